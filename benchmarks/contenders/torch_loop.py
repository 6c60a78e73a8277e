"""A PyTorch loop as a careful user writes it: tensors in memory, fused Adam."""

import torch
from torch.nn.functional import cross_entropy


def network(case):
    """Return the case's stack of linear layers with relu between."""
    layers = []
    for a, b in zip(case.units, case.units[1:]):
        layers += [torch.nn.Linear(a, b), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


class Loop:
    """A network and its loop, behind fit and score."""

    def __init__(self, case, epochs):
        self.case, self.epochs = case, epochs

    def fit(self, X, y):
        """Train for the case's epochs."""
        torch.set_num_threads(self.case.threads)
        torch.manual_seed(0)
        self.net = network(self.case)
        adam = torch.optim.Adam(self.net.parameters(), lr=1e-3, fused=True)
        X, y = torch.from_numpy(X), torch.from_numpy(y)
        for _ in range(self.epochs):
            for rows in torch.randperm(len(X)).split(self.case.batch):
                adam.zero_grad(set_to_none=True)
                cross_entropy(self.net(X[rows]), y[rows]).backward()
                adam.step()
        return self

    @torch.no_grad()
    def score(self, X, y):
        """Return the accuracy."""
        return float((self.net(torch.from_numpy(X)).argmax(1).numpy() == y).mean())


def prepare(case, epochs):
    """Return the loop of a case, not yet run."""
    return Loop(case, epochs)
