"""How a scorer is asked for the score of some rows while a fit runs."""

from __future__ import annotations

import inspect

from slimlearn.estimators.callbacks.run import note

__all__ = ["Rater"]


class Rater:
    """A scorer and what it is asked of: called, it gives the present weights' score.

    Parameters
    ----------
    scoring : str or callable
        As scikit-learn's ``check_scoring`` takes it.
    candidate : NetworkEstimator
        A fitted one, whose weights are being trained.
    X, y, weights
        The rows; they are weighted where the scorer takes weights.
    """

    def __init__(self, scoring, candidate, X, y, weights):
        from sklearn.metrics import check_scoring

        self.scoring = scoring
        self._scorer = check_scoring(candidate, scoring=scoring)
        self._rows = candidate, X, y
        weighted = weights is not None and _takes_weights(self._scorer)
        self._options = {"sample_weight": weights} if weighted else {}
        self._count = len(y)

    def __str__(self) -> str:
        name = getattr(self.scoring, "__name__", None)
        return f"scoring={name or repr(self.scoring)}"

    @property
    def rows(self) -> str:
        """How many rows are scored, in words."""
        return f"{self._count} row{'s' * (self._count != 1)}"

    def __call__(self) -> float:
        candidate = self._rows[0]
        try:
            score = self._scorer(*self._rows, **self._options)
        except Exception as error:
            who = f"{self} cannot score {type(candidate).__name__} on {self.rows}"
            if not isinstance(self.scoring, str):
                note(error, f"{who} that are held out or trained on")
                raise
            raise ValueError(f"{who}: {error}: choose another scoring") from error
        try:
            return float(score)
        except (TypeError, ValueError):
            raise TypeError(
                f"{self} must return one number, larger being better; it returned "
                f"{score!r}"
            ) from None


def _takes_weights(scorer) -> bool:
    """Whether a scorer can be given ``sample_weight``.

    Scikit-learn's own take it for the function that they call, which may not.
    """
    function = getattr(scorer, "_score_func", scorer)
    try:
        return "sample_weight" in inspect.signature(function).parameters
    except (TypeError, ValueError):  # of some built-in functions nothing is known
        return False
