"""Parameters of estimators of tables, of their callbacks, and where members predict."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slimlearn.estimators.callbacks.holder import CallbackHolder
from slimlearn.estimators.tables.together import Together

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Settable"]


class Settable(CallbackHolder):
    """The part of an estimator of tables that sets parameters."""

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
        super().set_params(**params)
        if "device" in params and "members_" in self.__dict__:
            for member in self.members_:
                member.set_params(device=self.device)
            self._together = Together(self.members_)
        return self
