"""Neural networks for scikit-learn: Slim-style layers, trained natively."""

__version__ = "0.1.0"
