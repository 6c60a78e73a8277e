"""The same loop with torch.compile; one network is compiled once for all fits."""

import torch
from contenders.torch_loop import Loop, network

_COMPILED = {}


def compiled(case):
    """Return the network and its compiled form."""
    key = case.units, case.filters, case.batch_norm, case.dropout
    if key not in _COMPILED:
        net = network(case)
        _COMPILED[key] = net, torch.compile(net)
    return _COMPILED[key]


class Compiled(Loop):
    """Trains in full batches compiled, the rest of an epoch uncompiled."""

    def fit(self, X, y):
        """Train for the case's epochs."""
        case = self.case
        torch.set_num_threads(case.threads)
        torch.manual_seed(0)
        self.net, fast = compiled(case)
        self.net.train()
        for layer in self.net:
            if hasattr(layer, "reset_parameters"):
                layer.reset_parameters()
        adam = torch.optim.Adam(self.net.parameters(), lr=1e-3, fused=True)
        X, y = torch.from_numpy(X), torch.from_numpy(y)
        for _ in range(self.epochs):
            for rows in torch.randperm(len(X)).split(case.batch):
                net = fast if len(rows) == case.batch else self.net
                self.step(net, adam, X[rows], y[rows])
        self.net.eval()
        return self


def prepare(case, epochs):
    """Return the loop of a case, not yet run."""
    return Compiled(case, epochs)
