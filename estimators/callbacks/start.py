"""Start a fit from weights that exist already."""

from __future__ import annotations

from slimlearn.estimators.callbacks.base import Callback
from slimlearn.estimators.callbacks.weights import transfer

__all__ = ["StartFrom"]


class StartFrom(Callback):
    """Begin with the weights of another fitted estimator or of a file.

    Together with `ParamFreezer` it trains new last layers on features that are there.

    Parameters
    ----------
    source : fitted estimator, dict, Program, str or path-like
        As ``est.set_weights`` takes it; shared, not copied, by clones.
    include, exclude : str or list of str
        Names of layers or arrays, with the wildcards of `fnmatch`.

    Attributes
    ----------
    names_ : list of str
        The arrays that were taken over.

    Notes
    -----
    A fit that goes on from earlier epochs keeps its weights.
    """

    def __init__(self, source, include="*", exclude=()):
        self.source = source
        self.include = include
        self.exclude = exclude

    def __sklearn_clone__(self):
        return type(self)(self.source, self.include, self.exclude)

    def on_fit_begin(self, state) -> None:
        """Write the weights."""
        self.names_ = []
        if state.epoch == 0:
            self.names_ = transfer(
                state.program, self.source, self.include, self.exclude, state.scales
            )
