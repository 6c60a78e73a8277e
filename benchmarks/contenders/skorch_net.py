"""skorch's NeuralNetClassifier: nothing held out, nothing printed."""

import torch
from contenders.torch_loop import network
from skorch import NeuralNetClassifier


class Network(torch.nn.Module):
    """The case's layers as a module class, which skorch instantiates."""

    def __init__(self, case):
        super().__init__()
        self.layers = network(case)

    def forward(self, X):
        """Return the logits."""
        return self.layers(X)


def prepare(case, epochs):
    """Return the estimator of a case, not yet fitted."""
    torch.set_num_threads(case.threads)
    torch.manual_seed(0)
    return NeuralNetClassifier(
        Network,
        module__case=case,
        criterion=torch.nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        lr=1e-3,
        batch_size=case.batch,
        max_epochs=epochs,
        iterator_train__shuffle=True,
        train_split=None,
        verbose=0,
    )
