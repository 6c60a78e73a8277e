"""A member of an ensemble: an estimator of rows that were checked and encoded."""

from __future__ import annotations

import numpy as np

from slimlearn.backend.coded import Coded
from slimlearn.estimators.custom import NetworkClassifier, NetworkRegressor
from slimlearn.estimators.fitting import Fitting
from slimlearn.estimators.handle import Handle
from slimlearn.estimators.inputs.matrix import check_target
from slimlearn.estimators.inputs.named import NamedInput, Parts, columns_of

__all__ = ["ClassifierMember", "RegressorMember"]


class _EncodedInput(NamedInput):
    """Inputs that read rows which an ensemble has checked and encoded."""

    def check_fit(self, estimator, X, y, *, regression, reset=True, name="X"):
        estimator.n_features_in_ = X.shape[1]
        positions = self._resolved(X, None, name)
        coded = isinstance(X, Coded)
        arrays = [
            X.columns(list(own)) if coded else columns_of(X, own) for own in positions
        ]
        parts = Parts(X, tuple(arrays), positions)
        return parts, check_target(estimator, parts, y, regression, name)


class _MemberFitting(Fitting):
    """A fit that keeps weights of some epochs, and asks held-out rows after some."""

    def _monitor(self, rows, held):
        monitor, kept = super()._monitor(rows, held), self.estimator._kept
        every = self.estimator._every
        if monitor.validate is None or (not kept and every == 1):
            return monitor
        validate, known = monitor.validate, None

        def validated() -> float:
            nonlocal known
            epoch = self.history.epochs
            if kept and epoch in kept:
                kept[epoch] = self.program.params.copy()
            if known is None or epoch % every == 0 or epoch == self.epochs:
                known = validate()
            return known

        monitor.validate = validated
        return monitor


def _spread(epochs: int, count: int) -> list[int]:
    """So many epochs, or fewer, evenly spread up to the last one."""
    return sorted({round(epochs * i / count) for i in range(1, count + 1)} - {0})


class _Member:
    """What an ensemble trains on rows that it encoded, and draws into folds."""

    _compares_units = False
    _held: np.ndarray | None = None
    _kept: dict[int, np.ndarray] | None = None
    _every = 1

    def fit_but(
        self,
        held: np.ndarray,
        X: Coded | np.ndarray,
        y,
        weights,
        keep: int = 0,
        every: int = 1,
    ) -> dict[int, np.ndarray]:
        """Train on all rows but some, which tell the best epoch.

        Parameters
        ----------
        held : index array
            May be empty.
        X : Coded or ndarray of float32
        y : ndarray
        weights : ndarray or None
        keep : int
            So many epochs' parameters are kept.
        every : int
            Epochs after which the held-out rows are asked; between these the last
            answer counts.

        Returns
        -------
        dict of int to ndarray
            These by their epochs; none of a fit that ended before the last one.
        """
        if len(held):
            self._held = held
        self._kept = kept = dict.fromkeys(_spread(self.max_iter, keep)) if keep else {}
        self._every = every
        try:
            self.fit(X, y, weights)
        finally:
            self.__dict__.pop("_held", None)
            self.__dict__.pop("_kept", None)
            self.__dict__.pop("_every", None)
        whole = all(parameters is not None for parameters in kept.values())
        return kept if whole else {}

    def go_back(self, epoch: int, parameters: np.ndarray) -> None:
        """Take the parameters of another epoch than that of the least loss."""
        program = self.program_.copy()
        program.params[...] = parameters
        self.history_.best_iteration = self.best_iteration_ = epoch
        self.best_loss_ = self.validation_loss_curve_[epoch - 1]
        self.program_ = program.seal()
        former = self._handle
        self._handle = Handle(program, self._input, former.closely, former.device)

    def _fit(self, epochs, resume, data, kind=_MemberFitting, **options):
        return super()._fit(epochs, resume, data, kind, **options)

    def _held_rows(self):
        return self._held

    def _new_input(self):
        return _EncodedInput(self.inputs)

    def _network(self):
        return self.net

    def _network_key(self):
        return self.net.key


class ClassifierMember(_Member, NetworkClassifier):
    pass


class RegressorMember(_Member, NetworkRegressor):
    pass
