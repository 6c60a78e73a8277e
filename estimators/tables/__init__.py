"""Tables: what columns of any type mean, and what networks read of them."""

from slimlearn.estimators.tables.encoder import TabularEncoder
from slimlearn.estimators.tables.estimators import TabularClassifier, TabularRegressor

__all__ = ["TabularClassifier", "TabularEncoder", "TabularRegressor"]
