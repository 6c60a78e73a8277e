"""Young or private parts of scikit-learn, in one place."""

from __future__ import annotations

from sklearn.utils._param_validation import (
    HasMethods,
    Interval,
    InvalidParameterError,
    StrOptions,
    make_constraint,
    validate_parameter_constraints,
)
from sklearn.utils.validation import validate_data

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:
    # Before 1.9: no `set_callbacks`, and nothing to be done around a fit.
    class CallbackSupportMixin:
        """Stands for scikit-learn's mixin where there is none."""

    def with_callbacks(method):
        """Return the method as it is."""
        return method


__all__ = [
    "CallbackSupportMixin",
    "HasMethods",
    "Interval",
    "InvalidParameterError",
    "StrOptions",
    "make_constraint",
    "validate_data",
    "validate_parameter_constraints",
    "with_callbacks",
]
