"""A program and its arrays: layout, start values, saving and loading."""

import os
import re
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from slimlearn.backend import reference
from slimlearn.backend.arena import Layout, allocate, copy_arena
from slimlearn.backend.graph import Model
from slimlearn.backend.text import parse_program, print_program

_HEADER = re.compile(rb"slimlearn program (\d+)((?: \d+:[0-9a-f]{8}){3})\n")
_FORMAT = 1


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
        """The parameters by name, as views: writing to them changes the program."""
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

    def copy(self) -> "Program":
        """Return a program with arrays of its own."""
        twin = object.__new__(Program)
        twin.text, twin._model = self.text, self._model
        twin._layouts, twin._views = self._layouts, None
        twin.params, twin.state = copy_arena(self.params), copy_arena(self.state)
        return twin

    __copy__ = copy

    def __deepcopy__(self, memo) -> "Program":
        return self.copy()

    def __getstate__(self) -> dict:
        return {"text": self.text, "params": self.params, "state": self.state}

    def __setstate__(self, saved: dict) -> None:
        self.__init__(saved["text"], None, saved["params"], saved["state"])

    def to_bytes(self) -> bytes:
        """Return the program as bytes: a header line, the text, the arenas."""
        parts = [self.text.encode(), self.params.tobytes(), self.state.tobytes()]
        sizes = "".join(f" {len(part)}:{zlib.crc32(part):08x}" for part in parts)
        return b"".join([f"slimlearn program {_FORMAT}{sizes}\n".encode(), *parts])

    @classmethod
    def from_bytes(cls, data: bytes) -> "Program":
        """Return the program that `to_bytes` gave.

        Raises
        ------
        ValueError
            If `data` is no saved program, is cut short or damaged.
        """
        match = _HEADER.match(data)
        if not match:
            raise ValueError(
                "this is no saved slimlearn program: it must begin with "
                "'slimlearn program'"
            )
        version = int(match.group(1))
        if version != _FORMAT:
            raise ValueError(
                f"saved with file format {version}, this slimlearn reads {_FORMAT}: "
                "upgrade slimlearn"
            )
        parts, at = [], match.end()
        for what, size in zip(
            ("text", "parameters", "states"), match.group(2).split(), strict=True
        ):
            length, checksum = size.split(b":")
            part = data[at : at + int(length)]
            if len(part) < int(length):
                raise ValueError(
                    f"the saved program is cut short: its {what} need {int(length)} "
                    f"bytes, {len(part)} are left; copy or save the file again"
                )
            if zlib.crc32(part) != int(checksum, 16):
                raise ValueError(
                    f"the saved program is damaged: the checksum of its {what} "
                    "differs; copy or save the file again"
                )
            parts.append(part)
            at += len(part)
        if at != len(data):
            raise ValueError(f"{len(data) - at} bytes too many after the saved program")
        params, state = (np.frombuffer(part, np.uint8) for part in parts[1:])
        return cls(parts[0].decode(), None, params, state)

    def save(self, file) -> None:
        """Write the program to `file`, a path or a binary file object."""
        data = self.to_bytes()
        if hasattr(file, "write"):
            file.write(data)
            return
        # A crash must leave the old file or the new one, never half of it.
        path = Path(file)
        temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
        try:
            temporary.write_bytes(data)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)

    @classmethod
    def load(cls, file) -> "Program":
        """Read a program that `save` wrote, from a path or a binary file object."""
        data = file.read() if hasattr(file, "read") else Path(file).read_bytes()
        return cls.from_bytes(data)

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
            return allocate(layout.size)
        if given.dtype != np.uint8 or given.shape != (layout.size,):
            raise ValueError(
                f"{what} must be {layout.size} bytes (uint8), got "
                f"{given.dtype} of shape {given.shape}"
            )
        return copy_arena(given)
