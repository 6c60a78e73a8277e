"""A PyTorch loop as a careful user writes it: tensors in memory, fused Adam."""

from itertools import pairwise

import numpy as np
import torch
from sklearn.metrics import accuracy_score, r2_score
from torch.nn.functional import cross_entropy, mse_loss


def network(case):
    """Return the case's stack of layers."""
    layers, widths = _convolutions(case), case.units
    if case.filters:
        widths = (case.layers()[len(case.filters)][0] // widths[1], *widths[1:])
    for a, b in pairwise(widths):
        layers += [torch.nn.Linear(a, b, bias=not case.batch_norm)]
        if case.batch_norm:
            layers += [torch.nn.BatchNorm1d(b)]
        layers += [torch.nn.ReLU()]
        if case.dropout:
            layers += [torch.nn.Dropout(case.dropout)]
    while not isinstance(layers[-1], torch.nn.Linear):
        layers.pop()
    layers[-1] = torch.nn.Linear(*widths[-2:])
    return torch.nn.Sequential(*layers)


def _convolutions(case):
    """Return layers from flat rows to flat rows, none where there are no filters."""
    if not case.filters:
        return []
    layers, channels = [torch.nn.Unflatten(1, (1, case.side, case.side))], 1
    for filters in case.filters:
        layers += [
            torch.nn.Conv2d(channels, filters, 3, padding=1),
            torch.nn.ReLU(),
            torch.nn.MaxPool2d(2),
        ]
        channels = filters
    return [*layers, torch.nn.Flatten()]


class Loop:
    """A network and its loop, behind fit, predict and score."""

    def __init__(self, case, epochs):
        self.case, self.epochs = case, epochs

    def build(self):
        """Return a new network."""
        return network(self.case)

    def step(self, net, adam, X, y):
        """Make one update."""
        adam.zero_grad(set_to_none=True)
        if self.case.regression:
            mse_loss(net(X)[:, 0], y).backward()
        else:
            cross_entropy(net(X), y).backward()
        adam.step()

    def fit(self, X, y):
        """Train for the case's epochs."""
        torch.set_num_threads(self.case.threads)
        torch.manual_seed(0)
        self.net = self.build().train()
        adam = torch.optim.Adam(self.net.parameters(), lr=1e-3, fused=True)
        X, y = torch.from_numpy(X), torch.from_numpy(y)
        for _ in range(self.epochs):
            for rows in torch.randperm(len(X)).split(self.case.batch):
                self.step(self.net, adam, X[rows], y[rows])
        self.net.eval()
        return self

    @torch.inference_mode()
    def predict(self, X):
        """Return classes or numbers."""
        raw = self.net(torch.from_numpy(X))
        return (raw[:, 0] if self.case.regression else raw.argmax(1)).numpy()

    def score(self, X, y):
        """Return the accuracy, or R²."""
        measure = r2_score if self.case.regression else accuracy_score
        return measure(np.asarray(y), self.predict(X))


def prepare(case, epochs):
    """Return the loop of a case, not yet run."""
    return Loop(case, epochs)
