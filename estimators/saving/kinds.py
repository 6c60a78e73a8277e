"""Kinds: what classes stand in model files, by which words and with which fields.

The table is closed: a word that is not in it is refused, and so is a field. Modules of
this package write the rows of a family each; nothing is found by a name in a file but
through this table.
"""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from slimlearn.estimators.saving.checks import Check, anything

__all__ = ["Kind", "kind_named", "kind_of", "make_by_dict"]


# What scikit-learn keeps in estimators that are not fitted.
_UNFITTED = ("_metadata_request", "_sklearn_output_config")


def make_by_dict(cls: type, state: dict):
    """An object whose attributes are the fields."""
    made = object.__new__(cls)
    made.__dict__.update(state)
    return made


@dataclass
class Kind:
    """How objects of a class stand in a file.

    Attributes
    ----------
    word : str
        What the file calls the class.
    cls : type
    fields : mapping of str to Check
        Attributes that may be there, and what they may be.
    required : frozenset of str
        Attributes that must be there; of what has parameters, once it is fitted.
    parameters : tuple of str
        Those of the constructor. Where a file has none of that name, as it was written
        before there was one, it gets its default.
    own : frozenset of str
        Fields in which code of the user may be missing: what was fitted does without.
    omitted : frozenset of str
        Attributes that are not written: `make` finds them anew.
    library : mapping of str to str
        The package that the class is of, and its version.
    make : callable
        ``make(cls, state)``.
    state : callable
        The attributes of an object by name.
    check : callable
        Refuses an object whose fields do not fit each other, before it is written and
        after it was read: ValueError.
    """

    word: str
    cls: type
    fields: Mapping[str, Check] = field(default_factory=dict)
    required: frozenset[str] = frozenset()
    parameters: tuple[str, ...] = ()
    own: frozenset[str] = frozenset()
    omitted: frozenset[str] = frozenset()
    library: Mapping[str, str] = field(default_factory=dict)
    make: Callable = make_by_dict
    state: Callable = vars
    check: Callable | None = None

    @functools.cached_property
    def defaults(self) -> dict:
        """Of the parameters that have one."""
        known = inspect.signature(self.cls.__init__).parameters
        return {
            name: known[name].default
            for name in self.parameters
            if name in known and known[name].default is not inspect.Parameter.empty
        }

    def lacking(self, state: Mapping) -> str | None:
        """A required attribute that is not there, or None."""
        if self.parameters and state.keys() <= {*self.parameters, *_UNFITTED}:
            return None
        return min(self.required.difference(state), default=None)

    def check_of(self, name: str) -> Check | None:
        """The check of a field; None if there is none of that name."""
        found = self.fields.get(name)
        return anything if found is None and name in self.parameters else found


# Words whose classes modules of scikit-learn hold are looked up one by one.
_FAMILIES = ("parameters", "inputs", "heads", "tables", "networks")


@functools.cache
def _ours() -> tuple[dict[str, Kind], dict[type, Kind]]:
    words: dict[str, Kind] = {}
    for family in _FAMILIES:
        module = importlib.import_module(f"slimlearn.estimators.saving.{family}")
        rows: Iterable[Kind] = module.rows()
        words.update((kind.word, kind) for kind in rows)
    return words, {kind.cls: kind for kind in words.values()}


def kind_named(word: str) -> Kind | None:
    """The kind of a word in a file."""
    found = _ours()[0].get(word)
    if found is None:
        from slimlearn.estimators.saving import scikit

        found = scikit.kind_named(word)
    return found


def kind_of(cls: type) -> Kind | None:
    """The kind of a class."""
    found = _ours()[1].get(cls)
    if found is None and cls.__module__.startswith("sklearn."):
        from slimlearn.estimators.saving import scikit

        found = scikit.kind_of(cls)
    return found
