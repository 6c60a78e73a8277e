"""Parameters of estimators of tables, of their callbacks, and where members predict."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slimlearn.estimators.callbacks.base import nested_params, set_nested_params
from slimlearn.estimators.tables.together import Together

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Settable"]

_CALLBACKS = "callbacks__"


class Settable:
    """The part of an estimator of tables that gets and sets parameters."""

    def set_params(self, **params) -> Self:
        """Set parameters.

        Parameters
        ----------
        **params
            Of the constructor, and of callbacks as ``callbacks__<name>__<parameter>``.
            `device` and `n_threads` predict from now on with what was fitted; all
            others are for the next fit.

        Returns
        -------
        self
        """
        inner = {n: v for n, v in params.items() if n.startswith(_CALLBACKS)}
        super().set_params(**{n: v for n, v in params.items() if n not in inner})
        set_nested_params(
            self, {n.removeprefix(_CALLBACKS): v for n, v in inner.items()}
        )
        if "device" in params and "members_" in self.__dict__:
            for member in self.members_:
                member.set_params(device=self.device)
            self._together = Together(self.members_)
        return self

    def get_params(self, deep: bool = True) -> dict:
        """Parameters by name, those of named callbacks among them.

        Parameters
        ----------
        deep : bool, default=True
            Whether parameters of callbacks are given too, as
            ``callbacks__<name>__<parameter>``.

        Returns
        -------
        dict
        """
        params = super().get_params(deep=deep)
        if deep and self.callbacks is not None:
            params.update(nested_params(self.callbacks))
        return params
