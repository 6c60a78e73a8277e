"""A program and its arrays: layout, start values, saving and loading."""

import sys
from collections.abc import Mapping

import numpy as np

from slimlearn.backend import files, reference
from slimlearn.backend.arena import Layout, allocate, copy_arena
from slimlearn.backend.graph import Model
from slimlearn.backend.text import parse_program, print_program


class Program:
    """The functions and the arrays of one network.

    Parameters
    ----------
    text : str, optional
        The program's text; printed from `model` if not given.
    model : Model, optional
        Parsed from `text` when it is needed, if not given.
    params, state : ndarray of uint8, optional
        Arenas laid out as `Layout` says, copied; zeros by default.

    Attributes
    ----------
    text : str
    params, state : ndarray of uint8
        The arenas: aligned to 64 bytes, with 64 readable bytes behind.
    weights, states : mapping of str to ndarray
        Views of the arenas by name.
    sealed : bool
        Whether nobody can write to the arrays any more; see `seal`.
    packed : tuple or None
        What the engine keeps beside a sealed program's arrays.
    """

    def __init__(
        self,
        text: str | None = None,
        model: Model | None = None,
        params: np.ndarray | None = None,
        state: np.ndarray | None = None,
    ):
        if text is None:
            if model is None:
                raise TypeError("Program needs a text or a model")
            text = print_program(model)
        self.text = text
        self._model = model
        self._layouts: tuple[Layout, Layout] | None = None
        self._views: tuple[dict, dict] | None = None
        self._sealed: tuple = ()
        self.packed: tuple | None = None
        self.params = self._arena("params", params, self.param_layout)
        self.state = self._arena("state", state, self.state_layout)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        count = sum(view.size for view in self.weights.values())
        return f"<Program: {len(self.weights)} parameters, {count} numbers>"

    @property
    def model(self) -> Model:
        """The program as graphs."""
        if self._model is None:
            self._model = parse_program(self.text)
        return self._model

    @property
    def param_layout(self) -> Layout:
        """Where each parameter stands in `params`."""
        return self._both_layouts()[0]

    @property
    def state_layout(self) -> Layout:
        """Where each state stands in `state`."""
        return self._both_layouts()[1]

    @property
    def offsets(self) -> dict[str, int]:
        """The byte offset of each parameter in `params`."""
        return self.param_layout.offsets

    @property
    def weights(self) -> Mapping[str, np.ndarray]:
        """The parameters by name, as views: writing to them changes the program.

        Those of a sealed program are read-only.
        """
        return self._both_views()[0]

    @property
    def states(self) -> Mapping[str, np.ndarray]:
        """The states by name, as views."""
        return self._both_views()[1]

    def initialize(self, seed: int = 0, *, engine: str = "native") -> "Program":
        """Set parameters and states by the program's ``init`` function.

        Parameters
        ----------
        seed : int
            Of 32 bits.
        engine : {"native", "reference"}
            Compiled code, or NumPy, whose numbers differ in their last bits.

        Returns
        -------
        Program
            Itself.

        Raises
        ------
        ImportError
            If native code is asked for and not built.
        """
        if engine == "native":
            # The engine imports this module, and reading programs needs no engine.
            from slimlearn.backend.engine import compile

            compile(self.text).run("init", {}, self, seed=seed)
        elif engine == "reference":
            weights, states = self._both_views()
            result = reference.run(self.model, "init", {}, weights, states, seed=seed)
            reference.apply(result, weights, states)
        else:
            raise ValueError(f"engine is 'native' or 'reference'; got {engine!r}")
        return self

    def allocate_slots(self) -> np.ndarray:
        """Return a zero arena for the optimizer: each slot is as long as `params`."""
        return allocate(len(self.model.slots) * self.params.size)

    def slot_views(self, arena: np.ndarray) -> dict[str, dict[str, np.ndarray]]:
        """Return ``views[slot][parameter]`` of a slot arena."""
        return {
            name: self.param_layout.views(arena, i * self.params.size)
            for i, name in enumerate(self.model.slots.names())
        }

    @property
    def sealed(self) -> bool:
        """Whether its arrays are read-only, so that what is made of them stays true."""
        sealed = self._sealed
        return bool(sealed) and sealed[0] is self.params and sealed[1] is self.state

    def seal(self) -> "Program":
        """Make the arrays read-only for good; fitted estimators hold such a program.

        Then what the engine makes of them, such as filters packed for its products, is
        made once and kept. Somebody who still has a writable view keeps the old array,
        and the program gets a copy. `copy` returns a program to write to.

        Returns
        -------
        Program
            Itself.
        """
        if self.sealed:
            return self
        self._views = None
        for name in ("params", "state"):
            if _is_viewed(getattr(self, name), self.params, self.state):
                setattr(self, name, copy_arena(getattr(self, name)))
            arena = getattr(self, name)
            arena.flags.writeable = arena.base.flags.writeable = False
        self._sealed = self.params, self.state
        return self

    def copy(self) -> "Program":
        """Return a program with arrays of its own, which may be written to."""
        twin = object.__new__(Program)
        twin.text, twin._model = self.text, self._model
        twin._layouts, twin._views = self._layouts, None
        twin._sealed, twin.packed = (), None
        twin.params, twin.state = copy_arena(self.params), copy_arena(self.state)
        return twin

    def __copy__(self) -> "Program":
        return self.copy().seal() if self.sealed else self.copy()

    def __deepcopy__(self, memo) -> "Program":
        return self.__copy__()

    def __getstate__(self) -> dict:
        return {"text": self.text, "params": self.params, "state": self.state}

    def __setstate__(self, saved: dict) -> None:
        self.__init__(saved["text"], None, saved["params"], saved["state"])

    def to_bytes(self) -> bytes:
        """Return the bytes of the file that `save` writes."""
        return files.write(None, self._saved())

    @classmethod
    def from_bytes(cls, data: bytes) -> "Program":
        """Return the program that `to_bytes` gave; errors as in `load`."""
        return cls.of(files.read(data))

    def save(self, file) -> None:
        """Write the program to `file`, a path or a binary file object.

        The file is one of safetensors: the arrays by their names, the text and
        checksums in its metadata. A crash leaves the old file or the new one.
        """
        if file is None:
            raise TypeError("save needs a path or a binary file object, got None")
        files.write(file, self._saved())

    @classmethod
    def load(cls, file) -> "Program":
        """Read a program that `save` wrote, from a path or a binary file object.

        A file that a path names is mapped into memory: its pages are shared with other
        processes until they are written to. Replace such a file, as `save` does; one
        that is cut short in place takes the memory away from its readers.

        Raises
        ------
        ValueError
            If it is no saved program, of a newer format, cut short or damaged.
        """
        return cls.of(files.read(file))

    @classmethod
    def of(cls, saved: files.Saved) -> "Program":
        """Return the program in `saved`, whose arenas it takes over."""
        program = object.__new__(cls)
        program.text, program._model = saved.text, None
        program._layouts = program._views = program.packed = None
        program._sealed = ()
        program.params, program.state = saved.params, saved.state
        if not saved.checked:
            _check("params", saved.params, program.param_layout)
            _check("state", saved.state, program.state_layout)
        return program

    def _saved(self) -> files.Saved:
        return files.Saved(self.text, self.params, self.state)

    def _both_layouts(self) -> tuple[Layout, Layout]:
        if self._layouts is None:
            model = self._model
            if model is None:
                # Declarations stand before functions, which need not be read yet.
                model = parse_program(self.text.partition("\nfunc ")[0])
            self._layouts = Layout(model.parameters), Layout(model.states)
        return self._layouts

    def _both_views(self) -> tuple[dict, dict]:
        if self._views is None:
            self._views = (
                self.param_layout.views(self.params),
                self.state_layout.views(self.state),
            )
        return self._views

    def _arena(self, what: str, given, layout: Layout) -> np.ndarray:
        if given is None:
            return layout.allocate()
        _check(what, given, layout)
        return copy_arena(given)


def _is_viewed(arena: np.ndarray, *arenas: np.ndarray) -> bool:
    """Whether other arrays than these lie in the arena's memory."""
    base, alone = arena.base, object()
    own = sum(other.base is base for other in arenas)
    return sys.getrefcount(base) - sys.getrefcount(alone) > own


def _check(what: str, arena: np.ndarray, layout: Layout) -> None:
    if arena.dtype != np.uint8 or arena.shape != (layout.size,):
        raise ValueError(
            f"{what} must be {layout.size} bytes (uint8), got {arena.dtype} of shape "
            f"{arena.shape}"
        )
