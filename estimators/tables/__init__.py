"""Tables: what columns of any type mean, and what networks read of them."""

from slimlearn.estimators.tables.encoder import TabularEncoder

__all__ = ["TabularEncoder"]
