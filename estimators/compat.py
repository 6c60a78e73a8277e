"""Young or private parts of scikit-learn, in one place."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from sklearn.base import BaseEstimator
from sklearn.utils import _safe_indexing
from sklearn.utils._array_api import (
    _convert_to_numpy,
    _max_precision_float_dtype,
    get_namespace_and_device,
)
from sklearn.utils._available_if import _AvailableIfDescriptor
from sklearn.utils._param_validation import (
    HasMethods,
    Interval,
    InvalidParameterError,
    StrOptions,
    make_constraint,
    validate_parameter_constraints,
)
from sklearn.utils.validation import (
    _check_feature_names_in,
    _check_y,
    validate_data,
)

if TYPE_CHECKING:
    # scikit-learn has no types: these decorators keep those of what they decorate.
    _Method = TypeVar("_Method", bound=Callable)

    class CallbackSupportMixin: ...

    def with_callbacks(method: _Method) -> _Method: ...

    def available_if(check: Callable) -> Callable[[_Method], _Method]: ...
else:
    from sklearn.utils.metaestimators import available_if

    try:
        from sklearn.callback import CallbackSupportMixin, with_callbacks
    except ImportError:
        # Before 1.9: no `set_callbacks`, and nothing to be done around a fit.
        class CallbackSupportMixin:
            """Stands for scikit-learn's mixin where there is none."""

        def with_callbacks(method):
            """Return the method as it is."""
            return method


try:
    from sklearn.utils._repr_html.estimator import _VisualBlock as VisualBlock
except ImportError:
    # Before 1.7.
    from sklearn.utils._estimator_html_repr import _VisualBlock as VisualBlock

# Whether diagrams have tables of parameters, from 1.7 on; else they have plain text.
PARAMETERS_IN_DIAGRAMS = hasattr(BaseEstimator, "_get_params_html")


def add_html(shown, more):
    """Show the HTML that the function `more` returns under scikit-learn's own."""
    own = shown._html_repr
    shown._html_repr = lambda: own() + more()
    return shown


def is_conditional(member) -> bool:
    """Return whether a class's member is a method under `available_if`."""
    return isinstance(member, _AvailableIfDescriptor)


check_feature_names_in = _check_feature_names_in
check_y = _check_y
convert_to_numpy = _convert_to_numpy
max_precision_float_dtype = _max_precision_float_dtype
safe_indexing = _safe_indexing

__all__ = [
    "PARAMETERS_IN_DIAGRAMS",
    "CallbackSupportMixin",
    "HasMethods",
    "Interval",
    "InvalidParameterError",
    "StrOptions",
    "VisualBlock",
    "add_html",
    "available_if",
    "check_feature_names_in",
    "check_y",
    "convert_to_numpy",
    "get_namespace_and_device",
    "is_conditional",
    "make_constraint",
    "max_precision_float_dtype",
    "safe_indexing",
    "validate_data",
    "validate_parameter_constraints",
    "with_callbacks",
]
