"""Optimizers: parameter objects that write the `update` function of a program.

Each composes its published rule from elementwise ops on one segment of the flat
arena: weight, gradient and slots are [P]; everything that is the same for all elements
(bias corrections, rates) is folded into float64 scalars first. Slots start at zero. The
numbers themselves are run-time hypers, so a search over them compiles once.
"""

from slimlearn.backend.optimizer.adam import Adam, AdamW, LazyAdam, Nadam
from slimlearn.backend.optimizer.base import Optimizer
from slimlearn.backend.optimizer.ftrl import Ftrl
from slimlearn.backend.optimizer.lbfgs import LBFGS
from slimlearn.backend.optimizer.named import OPTIMIZERS, OptimizerName, make_optimizer
from slimlearn.backend.optimizer.scaled import Adadelta, Adagrad, RMSProp
from slimlearn.backend.optimizer.sgd import SGD

__all__ = [
    "LBFGS",
    "OPTIMIZERS",
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Ftrl",
    "LazyAdam",
    "Nadam",
    "Optimizer",
    "OptimizerName",
    "RMSProp",
    "make_optimizer",
]
