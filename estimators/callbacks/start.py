"""Start a fit from weights that exist already."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence

from sklearn.base import BaseEstimator

from slimlearn.backend.program import Program
from slimlearn.estimators.callbacks.base import Callback
from slimlearn.estimators.callbacks.weights import transfer

__all__ = ["StartFrom"]


class StartFrom(Callback):
    """Begin with the weights of another fitted estimator or of a file.

    Together with `ParamFreezer` it trains new last layers on features that are there,
    with `LayerRates` it tunes them gently.

    Parameters
    ----------
    source : fitted estimator, dict, Program, str or path-like
        As ``est.set_weights`` takes it; shared, not copied, by clones.
    include, exclude : str or list of str
        Names of layers or arrays of this network, with the wildcards of `fnmatch`.
    rename : dict, callable or None, default=None
        What the source's layers are called here: from beginnings of its names, such
        as ``{"InceptionV3/": ""}`` or ``{"dense": "fc1"}``, or a function from its
        name of an array to ours.
    skip_mismatch : bool, default=False
        Whether arrays that this network lacks, or has in another shape, are left out:
        those layers then begin as they are initialized.

    Attributes
    ----------
    names_ : list of str
        The arrays that were taken over.
    skipped_ : dict of str to str
        Those that were left out, and why.

    Notes
    -----
    A fit that goes on from earlier epochs keeps its weights.
    """

    def __init__(
        self,
        source: BaseEstimator | Mapping | Program | str | os.PathLike,
        include: str | Sequence[str] = "*",
        exclude: str | Sequence[str] = (),
        rename: Mapping[str, str] | Callable[[str], str] | None = None,
        skip_mismatch: bool = False,
    ) -> None:
        self.source = source
        self.include = include
        self.exclude = exclude
        self.rename = rename
        self.skip_mismatch = skip_mismatch

    def __sklearn_clone__(self):
        return type(self)(
            self.source, self.include, self.exclude, self.rename, self.skip_mismatch
        )

    def on_fit_begin(self, state) -> None:
        """Write the weights."""
        self.names_, self.skipped_ = [], {}
        if state.epoch == 0:
            self.names_, self.skipped_ = transfer(
                state.program,
                self.source,
                self.include,
                self.exclude,
                state.scales,
                self.rename,
                self.skip_mismatch,
            )
