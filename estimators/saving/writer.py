"""What is around programs as JSON values, arrays and programs of a model file."""

from __future__ import annotations

import datetime
import math
import zoneinfo

import numpy as np
from scipy import sparse

from slimlearn.backend.files import Stored
from slimlearn.backend.portable import Missing, name_of
from slimlearn.backend.program import Program
from slimlearn.backend.progress import Progress
from slimlearn.estimators.base import NetworkEstimator
from slimlearn.estimators.saving.arrays import as_stored
from slimlearn.estimators.saving.constants import TYPES, name_of_function
from slimlearn.estimators.saving.kinds import kind_of
from slimlearn.estimators.saving.scikit import word_of_scorer

__all__ = ["Writer"]

# Lists of so many numbers or texts stand beside the JSON, as arrays.
_LONG = 64

_WORDS_OF_TYPES = {kind: word for word, kind in TYPES.items()}


class Writer:
    """Turns values into JSON; arrays and programs are gathered beside it.

    Every JSON object says by "=" what it is.

    Attributes
    ----------
    programs : list of Stored
    arrays : dict of str to ndarray
    models : list
        The fitted networks of the programs.
    libraries : dict of str to str
        Versions of packages whose objects are in the file.
    """

    def __init__(self):
        self.programs: list[Stored] = []
        self.arrays: dict[str, np.ndarray] = {}
        self.models: list = []
        self.libraries: dict[str, str] = {}
        self._numbers: dict[tuple[int, bool], int] = {}
        self._kept: list = []
        self._open: set[int] = set()
        self._programs: dict[int, int] = {}
        self._slots_of: dict[int, int] = {}
        self._nodes: dict[int, dict] = {}

    def write(self, value, path: str, own: bool = False):
        """The JSON of a value.

        Parameters
        ----------
        value : object
        path : str
            Where it stands, for errors.
        own : bool
            Whether code of the user in it may be left out.

        Raises
        ------
        TypeError
            If a file cannot hold it.
        """
        cls = type(value)
        if value is None or cls in (bool, int):
            return value
        if cls is float:
            if math.isfinite(value):
                return value
            return {"=": "float", "of": repr(value)}
        if cls is str:
            return value if _is_whole(value) else self._texts([value], "text")
        if cls is list:
            return self._list(value, path, own)
        if cls in (tuple, set, frozenset):
            items = sorted(value, key=repr) if cls is not tuple else value
            of = self._list(list(items), path, own)
            return {"=": cls.__name__, "of": of}
        if cls is dict:
            return self._dict(value, path, own)
        if isinstance(value, np.ndarray):
            return self._array(value, path, own)
        if isinstance(value, np.generic):
            return self._scalar(value, path)
        if isinstance(value, np.dtype):
            return {"=": "dtype", "of": self._words(value, path)}
        if cls is slice:
            parts = value.start, value.stop, value.step
            return {"=": "slice", "of": [self.write(p, path, own) for p in parts]}
        if isinstance(value, Program):
            return self._program(value, None)
        if cls is Missing or isinstance(value, Missing):
            return self._missing(value._called, value._params, path)
        return self._other(value, cls, path, own)

    # -- values -----------------------------------------------------------------------

    def _list(self, value: list, path: str, own: bool):
        if len(value) > _LONG:
            kinds = set(map(type, value))
            if kinds == {str}:
                return self._texts(value, "texts")
            if kinds == {float}:
                return {"=": "floats", "of": self._keep(np.array(value, np.float64))}
            if kinds == {int} and max(map(abs, value)) < 2**63:
                return {"=": "ints", "of": self._keep(np.array(value, np.int64))}
        return [self.write(v, f"{path}[{i}]", own) for i, v in enumerate(value)]

    def _dict(self, value: dict, path: str, own: bool):
        values = [self.write(v, f"{path}[{k!r:.40}]", own) for k, v in value.items()]
        if len(values) > _LONG:
            values = self._list(list(value.values()), path, own)
        keys = self._list(list(value), f"a key of {path}", own)
        return {"=": "dict", "keys": keys, "values": values}

    def _texts(self, texts: list[str], word: str):
        parts = [text.encode("utf-8", "surrogatepass") for text in texts]
        ends = np.cumsum([len(part) for part in parts], dtype=np.int64)
        bytes_ = np.frombuffer(b"".join(parts), np.uint8)
        return {"=": word, "of": self._keep(bytes_), "ends": self._keep(ends)}

    def _keep(self, array: np.ndarray) -> str:
        name = str(len(self.arrays))
        self.arrays[name] = array
        return name

    def _words(self, dtype: np.dtype, path: str) -> str:
        if dtype.fields is not None or dtype.kind == "V":
            raise TypeError(f"{path}: a model file holds no arrays of type {dtype}")
        return dtype.str

    def _array(self, value: np.ndarray, path: str, own: bool):
        if type(value) is np.ma.MaskedArray:
            parts = value.data, np.ma.getmaskarray(value), value.fill_value
            of = [self.write(part, path, own) for part in parts]
            return {"=": "masked", "of": of}
        if type(value) is not np.ndarray:
            value = np.asarray(value)
        if value.dtype == object:
            flat = self._list(value.ravel().tolist(), path, own)
            shape = list(value.shape)
            return {"=": "objects", "of": flat, "shape": shape}
        node = self._nodes.get(id(value))
        if node is None:
            try:
                kept, told = as_stored(value)
            except TypeError as error:
                raise TypeError(f"{path}: {error}") from None
            node = {"=": "array", "of": self._keep(kept), **told}
            self._nodes[id(value)] = node
            self._kept.append(value)
        return node

    def _scalar(self, value: np.generic, path: str):
        if value.dtype.kind not in "biufmMUSc" or value.dtype.itemsize > 8:
            return {"=": "scalar", "of": self._array(np.asarray(value), path, False)}
        if value.dtype.kind in "iu":
            return {"=": "number", "of": value.item(), "dtype": value.dtype.str}
        if value.dtype.kind == "f" and np.isfinite(value):
            return {"=": "number", "of": float(value), "dtype": value.dtype.str}
        return {"=": "scalar", "of": self._array(np.asarray(value), path, False)}

    # -- objects ----------------------------------------------------------------------

    def _other(self, value, cls: type, path: str, own: bool):
        kind = kind_of(cls)
        if kind is not None:
            return self._object(value, kind, path, own)
        if sparse.issparse(value) and value.format in ("csr", "csc"):
            return self._sparse(value, path)
        if isinstance(value, np.random.RandomState):
            return self._random_state(value, path)
        word = word_of_scorer(value)
        if word is not None:
            return {"=": "scorer", "of": word}
        word = name_of_function(value)
        if word is not None:
            return {"=": "function", "of": word}
        if isinstance(value, type) and value in _WORDS_OF_TYPES:
            return {"=": "type", "of": _WORDS_OF_TYPES[value]}
        dates = datetime.datetime, datetime.date, datetime.time
        if cls in dates and getattr(value, "tzinfo", None) is None:
            return {"=": cls.__name__, "of": value.isoformat()}
        if cls is datetime.timezone and not value.utcoffset(None).microseconds:
            seconds = value.utcoffset(None).total_seconds()
            return {"=": "offset", "of": int(seconds)}
        if cls is zoneinfo.ZoneInfo and value.key is not None:
            return {"=": "zone", "of": value.key}
        if own:
            params = {}
            if hasattr(value, "get_params") and not isinstance(value, type):
                params = value.get_params(deep=False)
            return self._missing(_called(value), params, path)
        raise TypeError(_refusal(value, path))

    def _missing(self, called: str, params: dict, path: str):
        known = {}
        for name, value in params.items():
            try:
                known[name] = self.write(value, path)
            except TypeError:
                continue
        return {"=": "missing", "of": called, "params": {"=": "fields", **known}}

    def _object(self, value, kind, path: str, own: bool):
        key = id(value), own
        if key in self._numbers:
            return {"=": "again", "of": self._numbers[key]}
        if id(value) in self._open:
            raise TypeError(f"{path}: {type(value).__name__} holds itself")
        self._open.add(id(value))
        state = self._state(value, kind, path)
        made = {"=": kind.word}
        if isinstance(value, NetworkEstimator) and "program_" in state:
            progress = state.get("_progress")
            self._program(state["program_"], progress and progress.slots)
            self.models.append(value)
        for name, part in state.items():
            where = f"{path}.{name}"
            if isinstance(value, Progress) and name == "slots" and part is not None:
                made[name] = self._slots(part)
            else:
                made[name] = self.write(part, where, own or name in kind.own)
        self._open.discard(id(value))
        self._kept.append(value)
        self._numbers[key] = len(self._numbers)
        return made

    def _state(self, value, kind, path: str) -> dict:
        state = dict(kind.state(value))
        if kind.check is not None:
            try:
                kind.check(value)
            except ValueError as error:
                raise TypeError(f"{path}: {error}") from None
        for name in list(state):
            if name in kind.omitted:
                del state[name]
        for name, part in state.items():
            check = kind.check_of(name)
            called = type(value).__name__
            if check is None:
                raise TypeError(
                    f"{path}: a model file has no place for the attribute {name!r} of "
                    f"{called}: delete it, or pickle the estimator"
                )
            if not check(part):
                raise TypeError(
                    f"{path}.{name}: a model file cannot hold {part!r:.80} there"
                )
        lacking = kind.lacking(state)
        if lacking is not None:
            raise TypeError(f"{path}: {type(value).__name__} has no {lacking}")
        if kind.library:
            self.libraries.update(kind.library)
        return state

    def _program(self, program: Program, slots):
        number = self._programs.get(id(program))
        if number is None:
            number = self._programs[id(program)] = len(self.programs)
            self._kept.append(program)
            self.programs.append(
                Stored(program.text, program.params, program.state, slots)
            )
            if slots is not None:
                self._slots_of[id(slots)] = number
        return {"=": "program", "of": number}

    def _slots(self, slots: np.ndarray):
        return {"=": "slots", "of": self._slots_of[id(slots)]}

    def _sparse(self, value, path: str):
        made = {"=": value.format, "array": isinstance(value, sparse.sparray)}
        for name in ("data", "indices", "indptr"):
            made[name] = self._array(getattr(value, name), path, False)
        return {**made, "shape": [int(n) for n in value.shape]}

    def _random_state(self, value: np.random.RandomState, path: str):
        name, key, place, has_gauss, cached = value.get_state()
        if name != "MT19937":
            raise TypeError(f"{path}: a model file holds no generator {name}")
        rest = [int(place), int(has_gauss), float(cached)]
        return {"=": "random_state", "of": self._keep(key), "rest": rest}


def _is_whole(text: str) -> bool:
    """Whether it is characters alone, without halves of them."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _called(value) -> str:
    cls = value if hasattr(value, "__qualname__") else type(value)
    try:
        return str(name_of(cls))
    except (AttributeError, TypeError):
        return repr(cls)[:100]


def _refusal(value, path: str) -> str:
    code = "give what a function of NumPy's, such as numpy.log1p, does"
    if hasattr(value, "fit"):
        code = "put a transformer of scikit-learn's in its place"
    advice = f"{code}, or pickle the model where everyone who loads it is trusted"
    return (
        f"{path}: a model file is data and holds no {_called(value)}, which is code or "
        f"has no safe form: {advice}"
    )
