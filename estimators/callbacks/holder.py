"""Parameters of an estimator's callbacks, by names as those of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slimlearn.estimators.callbacks.base import named_callbacks

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["CallbackHolder"]

_PREFIX = "callbacks__"


class CallbackHolder:
    """The part of an estimator that gets and sets parameters of its callbacks."""

    def set_params(self, **params) -> Self:
        """Set parameters.

        Parameters
        ----------
        **params
            Of the constructor, and of callbacks as ``callbacks__<name>__<parameter>``.

        Returns
        -------
        self
        """
        inner = {
            name.removeprefix(_PREFIX): params.pop(name)
            for name in list(params)
            if name.startswith(_PREFIX)
        }
        super().set_params(**params)
        _set_nested_params(self, inner)
        return self

    def get_params(self, deep: bool = True) -> dict:
        """Parameters by name, those of named callbacks among them.

        Parameters
        ----------
        deep : bool, default=True
            Whether parameters of components are given too, as
            ``<component>__<parameter>`` and ``callbacks__<name>__<parameter>``.

        Returns
        -------
        dict
        """
        params = super().get_params(deep=deep)
        if deep and self.callbacks is not None:
            params.update(_nested_params(self.callbacks))
        return params


def _nested_params(value) -> dict:
    """``callbacks__<name>`` and ``callbacks__<name>__<parameter>`` with values."""
    found = {}
    for name, callback in named_callbacks(value):
        found[f"callbacks__{name}"] = callback
        if hasattr(callback, "get_params"):
            for parameter, inner in callback.get_params(deep=True).items():
                found[f"callbacks__{name}__{parameter}"] = inner
    return found


def _set_nested_params(estimator, params: dict) -> None:
    """Set ``<name>`` or ``<name>__<parameter>`` of an estimator's callbacks.

    Raises
    ------
    ValueError
        If there is no callback of that name, or it has no such parameter.
    """
    # Whole callbacks first: a parameter may be one of a new callback.
    for key, value in sorted(params.items(), key=lambda item: "__" in item[0]):
        name, nested, parameter = key.partition("__")
        named = named_callbacks(estimator.callbacks)
        held = dict(named)
        if name not in held:
            raise ValueError(
                f"callbacks__{key}: {type(estimator).__name__} has no callback "
                f"{name!r}; its callbacks are {list(held)}"
            )
        if not nested:
            estimator.callbacks = [(n, value if n == name else c) for n, c in named]
        elif hasattr(held[name], "set_params"):
            held[name].set_params(**{parameter: value})
        else:
            raise ValueError(
                f"callbacks__{key}: {held[name]!r} has no parameters to set"
            )
