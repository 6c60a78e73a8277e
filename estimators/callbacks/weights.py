"""Weights by layer: out of an estimator, a program or a file, and into a program."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from slimlearn.backend.patterns import matches
from slimlearn.backend.program import Program
from slimlearn.backend.tensor_files import read_arrays
from slimlearn.estimators.callbacks.checkpoint import read_program
from slimlearn.estimators.loss_scale import LOSS_SCALE
from slimlearn.layers.normalization import AVERAGES, WEIGHT

__all__ = ["FORMER_LAST", "by_layer", "transfer"]

# What older files call the last layer of regressors, which is ``output`` now.
FORMER_LAST = "logits"

# Arrays that an error names at most.
_MOST = 10


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
        if name not in without and name not in LOSS_SCALE:
            layer, _, last = name.rpartition("/")
            found.setdefault(layer, {})[last] = array.copy()
    return found


def _flat(source) -> dict[str, np.ndarray]:
    if hasattr(source, "get_weights"):
        source = source.get_weights()
    elif isinstance(source, (str, os.PathLike)):
        path = os.path.expanduser(source)
        arrays = read_arrays(path)
        source = read_program(path) if arrays is None else arrays
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


class Transfer(NamedTuple):
    """What `transfer` did.

    Attributes
    ----------
    names : list of str
        The arrays that were written.
    skipped : dict of str to str
        Those that were not, as they do not fit, and why.
    """

    names: list[str]
    skipped: dict[str, str]


def transfer(
    program: Program,
    source,
    include="*",
    exclude=(),
    without=(),
    rename=None,
    skip_mismatch: bool = False,
) -> Transfer:
    """Write weights from a source into the arrays of `program`, all or none of them.

    Parameters
    ----------
    program : Program
    source : dict, fitted estimator, Program, str or path-like
        A dict is by layer and name, or by ``layer/name``; a path is a file of
        `Checkpoint` or of ``Program.save``, or an .npz or .safetensors file.
    include, exclude : str or list of str
        Patterns of layers or names of the network, with the wildcards of `fnmatch`.
    without : collection of str
        Names that are never written.
    rename : dict, callable or None
        From beginnings of the source's names to those of the network's, or a function
        of a name.
    skip_mismatch : bool, default=False
        Whether arrays that do not fit are left out.

    Raises
    ------
    ValueError
        If there is no such layer, or its array has another shape.
    """
    without = {*without, *LOSS_SCALE}
    arrays = {**program.weights, **program.states}
    given = _present_names(_renamed(_flat(source), rename), arrays)
    chosen = {
        name: np.asarray(value)
        for name, value in given.items()
        if matches(name, include) and not matches(name, exclude) and name not in without
    }
    known = [name for name in arrays if name not in without]
    if not chosen:
        raise ValueError(
            f"no weights fit include={include!r}, exclude={exclude!r}; the source has "
            f"{list(given)}, the network has {known}"
        )
    skipped = _unfit(chosen, arrays)
    if skipped and (not skip_mismatch or len(skipped) == len(chosen)):
        told = "; ".join(list(skipped.values())[:_MOST])
        raise ValueError(
            f"{len(skipped)} of {len(chosen)} weights do not fit: {told}"
            + "; …" * (len(skipped) > _MOST)
            + ". Name them in exclude, give their names in the network by rename, or "
            f"set skip_mismatch=True to go without them; the network has {known}"
        )
    chosen = {k: value for k, value in chosen.items() if k not in skipped}
    for name, value in chosen.items():
        if not np.isfinite(value).all():
            raise ValueError(f"{name}: the given array holds NaN or infinity")
    for name, value in chosen.items():
        arrays[name][...] = value
        layer, slash, last = name.rpartition("/")
        weight = f"{layer}{slash}{WEIGHT}"
        if last in AVERAGES and weight in arrays and weight not in chosen:
            arrays[weight][...] = 1.0  # averages of another library are whole
    return Transfer(list(chosen), skipped)


def _unfit(chosen: Mapping, arrays: Mapping) -> dict[str, str]:
    """What is wrong with arrays that the network has no place for."""
    found = {}
    for name, value in chosen.items():
        kind = f"{value.dtype} of shape {value.shape}"
        if name not in arrays:
            found[name] = f"the network has no {name!r} (given is {kind})"
        elif arrays[name].shape != value.shape or value.dtype.kind not in "fiub":
            own = arrays[name]
            found[name] = f"{name} is {own.dtype} of shape {own.shape}, given is {kind}"
    return found


def _renamed(given: Mapping, rename) -> dict:
    if rename is None:
        return dict(given)
    if not (callable(rename) or isinstance(rename, Mapping)):
        raise TypeError(
            "rename must be a dict from beginnings of names to others, or a function; "
            f"got {rename!r}"
        )
    found, before = {}, {}
    for name, value in given.items():
        new = rename(name) if callable(rename) else _by_beginning(name, rename)
        if new in found:
            raise ValueError(
                f"rename gives both {before[new]!r} and {name!r} the name {new!r}"
            )
        found[new], before[new] = value, name
    return found


def _by_beginning(name: str, rename: Mapping) -> str:
    """The name with the longest of the beginnings that it has replaced."""
    for old in sorted(rename, key=len, reverse=True):
        whole = old == "" or old.endswith("/") or name[len(old) :][:1] in ("", "/")
        if whole and name.startswith(old):
            return rename[old] + name[len(old) :]
    return name


def _present_names(given: Mapping, arrays: Mapping) -> dict:
    """The given arrays, the last layer of an older file by its present name."""
    found = {}
    for name, value in given.items():
        layer, _, last = name.rpartition("/")
        present = f"output/{last}"
        renamed = layer == FORMER_LAST and name not in arrays and present in arrays
        found[present if renamed else name] = value
    return found
