"""skorch's estimators: nothing held out, nothing printed."""

from dataclasses import replace

import numpy as np
import torch
from contenders.torch_loop import network
from skorch import NeuralNetClassifier, NeuralNetRegressor

SEARCH = {"hidden": "module__hidden", "rate": "lr", "batch": "batch_size"}


class Network(torch.nn.Module):
    """The case's layers as a module class, which skorch instantiates."""

    def __init__(self, case, hidden=None):
        super().__init__()
        if hidden is not None:
            case = replace(case, units=(case.units[0], *hidden, case.units[-1]))
        self.layers = network(case)

    def forward(self, X):
        """Return the logits, or one number a row."""
        return self.layers(X)


class Regressor(NeuralNetRegressor):
    """Takes y as one column."""

    def fit(self, X, y, **arguments):
        """Fit to y as skorch's documentation has it."""
        return super().fit(X, np.reshape(y, (-1, 1)), **arguments)


def prepare(case, epochs):
    """Return the estimator of a case, not yet fitted."""
    torch.set_num_threads(case.threads)
    torch.manual_seed(0)
    kind, loss = NeuralNetClassifier, torch.nn.CrossEntropyLoss
    if case.regression:
        kind, loss = Regressor, torch.nn.MSELoss
    return kind(
        Network,
        module__case=case,
        criterion=loss,
        optimizer=torch.optim.Adam,
        optimizer__fused=True,
        lr=1e-3,
        batch_size=case.batch,
        max_epochs=epochs,
        iterator_train__shuffle=True,
        train_split=None,
        verbose=0,
    )
