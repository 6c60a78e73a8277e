"""PyTorch for numbered vectors: an EmbeddingBag; SparseAdam moves touched rows."""

import time

import torch
from contenders.torch_loop import Loop
from torch.nn.functional import mse_loss


class Bags(Loop):
    """The mean of a row's vectors, and a linear layer."""

    sparse = True

    def fit(self, X, y):
        """Train for the case's epochs."""
        words, width, outputs = self.case.units
        torch.set_num_threads(self.case.threads)
        torch.manual_seed(0)
        bag = torch.nn.EmbeddingBag(words, width, mode="mean", sparse=self.sparse)
        torch.nn.init.trunc_normal_(bag.weight, std=width**-0.5)
        last = torch.nn.Linear(width, outputs)
        self.net = torch.nn.Sequential(bag, last)
        if self.sparse:
            touched = torch.optim.SparseAdam(bag.parameters(), lr=1e-3)
            dense = torch.optim.Adam(last.parameters(), lr=1e-3, fused=True)
            optimizers = [touched, dense]
        else:
            adam = torch.optim.Adam(self.net.parameters(), lr=1e-3, fused=True)
            optimizers = [adam]
        X, y = torch.from_numpy(X), torch.from_numpy(y)
        self.seconds = []
        for _ in range(self.epochs):
            start = time.perf_counter()
            for rows in torch.randperm(len(X)).split(self.case.batch):
                self.net.zero_grad(set_to_none=True)
                mse_loss(self.net(X[rows])[:, 0], y[rows]).backward()
                for optimizer in optimizers:
                    optimizer.step()
            self.seconds.append(time.perf_counter() - start)
        return self


def epoch_seconds(loop):
    """Return the time of each epoch."""
    return loop.seconds


def prepare(case, epochs):
    """Return the loop of a case, not yet run."""
    return Bags(case, epochs)
