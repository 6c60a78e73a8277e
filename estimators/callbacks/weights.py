"""Weights by layer: out of an estimator, a program or a file, and into a program."""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np

from slimlearn.backend.program import Program
from slimlearn.estimators.callbacks.checkpoint import read_program
from slimlearn.estimators.callbacks.state import matches
from slimlearn.layers.normalization import AVERAGES, WEIGHT

__all__ = ["FORMER_LAST", "by_layer", "transfer"]

# What older files call the last layer of regressors, which is ``output`` now.
FORMER_LAST = "logits"


def by_layer(program: Program, without=()) -> dict[str, dict[str, np.ndarray]]:
    """Copies of parameters and states: ``found["fc1"]["weights"]``.

    Parameters
    ----------
    program : Program
    without : collection of str
        Names that are left out.
    """
    found: dict[str, dict[str, np.ndarray]] = {}
    for name, array in (*program.weights.items(), *program.states.items()):
        if name not in without:
            layer, _, last = name.rpartition("/")
            found.setdefault(layer, {})[last] = array.copy()
    return found


def _flat(source) -> dict[str, np.ndarray]:
    if hasattr(source, "get_weights"):
        source = source.get_weights()
    elif isinstance(source, (str, os.PathLike)):
        source = read_program(source)
    if isinstance(source, Program):
        source = by_layer(source)
    if not isinstance(source, Mapping):
        raise TypeError(
            "weights come from a dict by layer name, a fitted estimator, a Program, or "
            f"a file; got {type(source).__name__}"
        )
    flat = {}
    for layer, arrays in source.items():
        if not isinstance(arrays, Mapping):
            flat[layer] = arrays
            continue
        for name, array in arrays.items():
            flat[f"{layer}/{name}" if layer else name] = array
    return flat


def transfer(
    program: Program, source, include="*", exclude=(), without=()
) -> list[str]:
    """Write weights from a source into the arrays of `program`, all or none of them.

    Parameters
    ----------
    program : Program
    source : dict, fitted estimator, Program, str or path-like
        A dict is by layer and name, or by ``layer/name``; a path is a file of
        `Checkpoint` or of ``Program.save``.
    include, exclude : str or list of str
        Patterns of layers or names, with the wildcards of `fnmatch`.
    without : collection of str
        Names that are never written.

    Returns
    -------
    list of str
        The names that were written.

    Raises
    ------
    ValueError
        If there is no such layer, or its array has another shape.
    """
    arrays = {**program.weights, **program.states}
    given = _present_names(_flat(source), arrays)
    chosen = {
        name: np.asarray(value)
        for name, value in given.items()
        if matches(name, include) and not matches(name, exclude) and name not in without
    }
    if not chosen:
        raise ValueError(
            f"no weights fit include={include!r}, exclude={exclude!r}; the source has "
            f"{list(given)}"
        )
    for name, value in chosen.items():
        if name not in arrays:
            raise ValueError(
                f"the network has no {name!r}: name it in exclude, or choose among "
                f"{[n for n in arrays if n not in without]}"
            )
        if arrays[name].shape != value.shape or value.dtype.kind not in "fiu":
            raise ValueError(
                f"{name} is {arrays[name].dtype} of shape {arrays[name].shape}, given "
                f"is {value.dtype} of shape {value.shape}: name it in exclude if it "
                "shall stay as it is"
            )
        if not np.isfinite(value).all():
            raise ValueError(f"{name}: the given array holds NaN or infinity")
    for name, value in chosen.items():
        arrays[name][...] = value
        layer, slash, last = name.rpartition("/")
        weight = f"{layer}{slash}{WEIGHT}"
        if last in AVERAGES and weight in arrays and weight not in chosen:
            arrays[weight][...] = 1.0  # averages of another library are whole
    return list(chosen)


def _present_names(given: Mapping, arrays: Mapping) -> dict:
    """The given arrays, the last layer of an older file by its present name."""
    found = {}
    for name, value in given.items():
        layer, _, last = name.rpartition("/")
        present = f"output/{last}"
        renamed = layer == FORMER_LAST and name not in arrays and present in arrays
        found[present if renamed else name] = value
    return found
