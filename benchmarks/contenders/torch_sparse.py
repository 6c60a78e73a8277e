"""PyTorch for sparse rows: an EmbeddingBag and SparseAdam, which moves touched rows."""

import numpy as np
import torch
from contenders.torch_loop import Loop
from torch.nn.functional import cross_entropy


class Bags(Loop):
    """The first layer as weighted bags of its rows, the others as they are."""

    def fit(self, X, y):
        """Train for the case's epochs."""
        units = self.case.units
        torch.set_num_threads(self.case.threads)
        torch.manual_seed(0)
        self.bag = torch.nn.EmbeddingBag(*units[:2], mode="sum", sparse=True)
        torch.nn.init.uniform_(self.bag.weight, -(units[0] ** -0.5), units[0] ** -0.5)
        self.bias = torch.nn.Parameter(torch.zeros(units[1]))
        self.last = torch.nn.Linear(*units[1:])
        touched = torch.optim.SparseAdam(self.bag.parameters(), lr=1e-3)
        dense = [self.bias, *self.last.parameters()]
        adam = torch.optim.Adam(dense, lr=1e-3, fused=True)
        y = torch.from_numpy(y)
        for _ in range(self.epochs):
            order = np.random.default_rng(0).permutation(len(y))
            for at in range(0, len(y), self.case.batch):
                rows = order[at : at + self.case.batch]
                for optimizer in (touched, adam):
                    optimizer.zero_grad(set_to_none=True)
                cross_entropy(self.raw(X[rows]), y[rows]).backward()
                touched.step()
                adam.step()
        return self

    def raw(self, X):
        """Return the logits of sparse rows."""
        ids = torch.from_numpy(X.indices)
        starts = torch.from_numpy(X.indptr[:-1])
        net = self.bag(ids, starts, per_sample_weights=torch.from_numpy(X.data))
        return self.last(torch.relu(net + self.bias))

    @torch.inference_mode()
    def predict(self, X):
        """Return classes."""
        return self.raw(X).argmax(1).numpy()


def prepare(case, epochs):
    """Return the loop of a case, not yet run."""
    return Bags(case, epochs)
