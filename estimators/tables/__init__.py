"""Tables: what columns of any type mean, and what networks read of them."""

from slimlearn.estimators.tables.classifier import TabularClassifier
from slimlearn.estimators.tables.encoder import TabularEncoder
from slimlearn.estimators.tables.regressor import TabularRegressor

__all__ = ["TabularClassifier", "TabularEncoder", "TabularRegressor"]
