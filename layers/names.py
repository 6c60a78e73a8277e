"""Scopes that name variables and ops."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from slimlearn.backend.graph import (
    Declaration,
    absolute_scope,
    current_graph,
    name_scope,
)


class VariableScope:
    """Where variables get their names; yielded by `variable_scope`.

    Attributes
    ----------
    name : str
        The full name, such as ``"tower/fc1"``; "" at the top.
    reuse : bool
        Whether variables must be there already.
    """

    __slots__ = ("name", "reuse")

    def __init__(self, name: str, reuse: bool):
        self.name = name
        self.reuse = reuse

    @property
    def original_name_scope(self) -> str:
        """The name with a slash behind it."""
        return f"{self.name}/"

    def reuse_variables(self) -> None:
        """Make layers in this scope reuse variables from here on."""
        self.reuse = True


class Opened:
    """The full names of the scopes that were opened."""

    __slots__ = ("_inside", "_names", "_numbers")

    def __init__(self):
        self._names: set[str] = set()
        self._inside: dict[str, set[str]] = {}  # by scope, one level down
        self._numbers: dict[str, int] = {}  # the last that stood behind a name

    def add(self, name: str) -> None:
        """Remember that `name` was opened."""
        self._names.add(name)
        while outer := name.rpartition("/")[0]:
            inside = self._inside.setdefault(outer, set())
            if name in inside:
                break
            inside.add(name)
            name = outer

    def free(self, wish: str) -> str:
        """Return `wish`, or `wish_1`, `wish_2`, … where it was opened."""
        if wish not in self._names:
            return wish
        number = self._numbers.get(wish, 0)
        name = wish
        while name in self._names:
            number += 1
            name = f"{wish}_{number}"
        self._numbers[wish] = number
        return name

    def copy(self) -> "Opened":
        """Return the same with sets of its own."""
        twin = Opened()
        twin._names = set(self._names)
        twin._inside = {scope: set(inner) for scope, inner in self._inside.items()}
        twin._numbers = dict(self._numbers)
        return twin

    def forget_inside(self, name: str) -> None:
        """Forget what was opened inside `name`."""
        waiting = [name]
        while waiting:
            for inner in self._inside.pop(waiting.pop(), ()):
                self._names.discard(inner)
                self._numbers.pop(inner, None)
                waiting.append(inner)


class Notes:
    """What is remembered of one function: its scopes and the variables taken."""

    __slots__ = ("opened", "scope", "taken")

    def __init__(self):
        self.scope = VariableScope("", False)
        self.opened = Opened()
        self.taken: dict[str, Declaration] = {}

    def copy(self) -> "Notes":
        """Return the same notes, for a function that begins as this one stands."""
        twin = Notes()
        twin.scope = VariableScope(self.scope.name, self.scope.reuse)
        twin.opened = self.opened.copy()
        twin.taken = dict(self.taken)
        return twin


def current_notes() -> Notes:
    """Return the notes on the function being built."""
    layers = current_graph().root.layers
    notes = layers.get("variables")
    if notes is None:
        notes = layers["variables"] = Notes()
    return notes


def get_variable_scope() -> VariableScope:
    """Return the scope in which variables are being made."""
    return current_notes().scope


@contextmanager
def variable_scope(
    name_or_scope: str | VariableScope | None,
    default_name: str | None = None,
    values: Sequence | None = None,
    *,
    reuse: bool | None = None,
) -> Iterator[VariableScope]:
    """Put variables and ops of a `with` block under a name.

    Parameters
    ----------
    name_or_scope : str, VariableScope or None
        A name inside the current scope, a scope to enter again, or None.
    default_name : str, optional
        The name where `name_or_scope` is None; numbered where it is taken
        (`fully_connected`, `fully_connected_1`, …).
    values : sequence of Tensor, optional
        Accepted for TF-Slim's sake; not needed.
    reuse : bool, optional
        True: variables must be there already. None: as the scope around says.

    Yields
    ------
    VariableScope
    """
    notes = current_notes()
    outer = notes.scope
    prefix = f"{outer.name}/" if outer.name else ""
    if isinstance(name_or_scope, VariableScope):
        name = name_or_scope.name
        reuse = name_or_scope.reuse if reuse is None else reuse
        names = absolute_scope(name)
    else:
        if name_or_scope is None and default_name is None:
            raise ValueError("variable_scope: needs a name or a default_name")
        wish = f"{prefix}{default_name}"
        local = name_or_scope or notes.opened.free(wish)[len(prefix) :]
        name, names = prefix + local, name_scope(local)
    notes.opened.add(name)
    scope = VariableScope(name, bool(outer.reuse if reuse is None else reuse))
    notes.scope = scope
    try:
        with names:
            yield scope
    finally:
        notes.scope = outer
        # Entered again to share its layers, the scope numbers them as before.
        notes.opened.forget_inside(name)
