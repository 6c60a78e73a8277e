"""Values from the JSON, arrays and programs of an untrusted model file."""

from __future__ import annotations

import datetime
import zoneinfo

import numpy as np
from scipy import sparse

from slimlearn.backend.arena import copy_arena
from slimlearn.backend.files import Parts
from slimlearn.backend.portable import Missing
from slimlearn.backend.program import Program
from slimlearn.estimators.saving.arrays import from_stored, simple_dtype
from slimlearn.estimators.saving.checks import count
from slimlearn.estimators.saving.constants import TYPES, functions
from slimlearn.estimators.saving.kinds import kind_named
from slimlearn.estimators.saving.scikit import scorer_named

__all__ = ["Damaged", "Reader"]

_PLAIN = (str, int, float, bool, type(None))


class Damaged(ValueError):
    """What a file tells cannot be."""


class LeftOut(Missing):
    """Stands for code of the user, which a model file does not hold."""

    _advice = "import or define it as it was and hand it to set_params"


def left_out(called: str, params: dict) -> LeftOut:
    """What stands for an object of the user in a model that was loaded."""
    reason = "a model file holds data alone"
    return LeftOut(called, params, reason, (left_out, (called, params)))


class Reader:
    """Turns the JSON of `Writer` back into values; everything in it is checked.

    Parameters
    ----------
    parts : Parts
        Of the file.
    """

    def __init__(self, parts: Parts):
        self._parts = parts
        self._arrays = parts.arrays
        self._objects: list = []
        self._programs: dict[int, Program] = {}
        self._made: dict[tuple, np.ndarray] = {}

    def read(self, node):
        """The value of a JSON value.

        Raises
        ------
        Damaged
            If it is none that `Writer` writes.
        """
        cls = type(node)
        if cls is list:
            return [n if type(n) in _PLAIN else self.read(n) for n in node]
        if cls is not dict:
            return node
        word = node.get("=")
        if not isinstance(word, str):
            raise Damaged("a value does not say what it is")
        how = _WORDS.get(word)
        if how is not None:
            names, make = how
            if node.keys() - {"="} - names:
                raise Damaged(f"{word} has other fields than it can have")
            try:
                return make(self, node)
            except KeyError as error:
                raise Damaged(f"{word} lacks {error}") from None
        kind = kind_named(word)
        if kind is None:
            raise Damaged(f"{word!r:.60} is no word of this slimlearn")
        return self._object(node, kind)

    def _object(self, node: dict, kind):
        state = {}
        for name, part in node.items():
            if name == "=":
                continue
            check = kind.check_of(name)
            if check is None:
                raise Damaged(f"{kind.word} has no {name!r:.60}")
            try:
                value = part if type(part) in _PLAIN else self.read(part)
            except Damaged as error:
                raise Damaged(f"{name}: {error}") from None
            if not check(value) and type(value) is not LeftOut:
                raise Damaged(f"{kind.word}.{name} is {value!r:.60}")
            state[name] = value
        for name, default in kind.defaults.items():
            state.setdefault(name, default)
        lacking = kind.lacking(state)
        if lacking is not None:
            raise Damaged(f"{kind.word} lacks {lacking}")
        try:
            made = kind.make(kind.cls, state)
            if kind.check is not None:
                kind.check(made)
        except Damaged:
            raise
        except Exception as error:
            raise Damaged(f"{kind.word}: {error}") from error
        self._objects.append(made)
        return made

    # -- values -----------------------------------------------------------------------

    def _list(self, node, what: str) -> list:
        value = self.read(node)
        if type(value) is not list:
            raise Damaged(f"{what} is no list")
        return value

    def _float(self, node: dict) -> float:
        if node["of"] not in ("nan", "inf", "-inf"):
            raise Damaged(f"{node['of']!r:.40} is no number")
        return float(node["of"])

    def _tuple(self, node: dict) -> tuple:
        return tuple(self._list(node["of"], "a tuple"))

    def _set(self, node: dict) -> set:
        return self._hashed(set, self._list(node["of"], "a set"))

    def _frozenset(self, node: dict) -> frozenset:
        return frozenset(self._set(node))

    def _dict(self, node: dict) -> dict:
        keys = self._list(node["keys"], "the keys of a dict")
        values = self._list(node["values"], "the values of a dict")
        if len(keys) != len(values):
            raise Damaged("a dict has not as many keys as values")
        made = self._hashed(dict, list(zip(keys, values)))
        if len(made) != len(keys):
            raise Damaged("a dict has a key twice")
        return made

    def _hashed(self, make, items: list):
        try:
            return make(items)
        except TypeError:
            raise Damaged("a key or an item of a set cannot be one") from None

    def _kept(self, name, kind: str | None = None) -> np.ndarray:
        found = self._arrays.get(name) if isinstance(name, str) else None
        if found is None:
            raise Damaged(f"the array {name!r:.40} is missing")
        if kind is not None and (found.dtype.str != kind or found.ndim != 1):
            raise Damaged(f"the array {name} is no row of {kind}")
        return found

    def _array(self, node: dict) -> np.ndarray:
        kept = self._kept(node["of"])
        key = node["of"], str(node.get("dtype")), str(node.get("order"))
        # What was one array is one again.
        if key not in self._made:
            try:
                self._made[key] = from_stored(kept, node)
            except ValueError as error:
                raise Damaged(str(error)) from None
        return self._made[key]

    def _objects_array(self, node: dict) -> np.ndarray:
        flat, shape = self._list(node["of"], "an array of objects"), node["shape"]
        if type(shape) is not list or not all(map(count, shape)) or len(shape) > 8:
            raise Damaged("an array of objects has no shape")
        made = np.empty(len(flat), dtype=object)
        made[:] = flat
        try:
            return made.reshape(shape)
        except ValueError as error:
            raise Damaged(str(error)) from None

    def _masked(self, node: dict):
        parts = self._list(node["of"], "a masked array")
        if len(parts) != 3 or not all(isinstance(p, np.ndarray) for p in parts[:2]):
            raise Damaged("a masked array has other parts")
        data, mask, fill = parts
        if mask.dtype != bool or mask.shape != data.shape:
            raise Damaged("a mask does not fit its array")
        try:
            return np.ma.MaskedArray(data, mask, fill_value=fill)
        except (TypeError, ValueError) as error:
            raise Damaged(str(error)) from None

    def _scalar(self, node: dict):
        value = self.read(node["of"])
        if not isinstance(value, np.ndarray) or value.ndim:
            raise Damaged("a number is no array without axes")
        return value[()]

    def _number(self, node: dict):
        dtype, value = simple_dtype(node["dtype"]), node["of"]
        if type(value) not in (int, float) or dtype.kind not in "iuf":
            raise Damaged(f"{value!r:.40} is no {dtype}")
        try:
            made = dtype.type(value)
        except (OverflowError, ValueError) as error:
            raise Damaged(str(error)) from None
        if made != value:
            raise Damaged(f"{value!r:.40} is no {dtype}")
        return made

    def _dtype(self, node: dict) -> np.dtype:
        try:
            return simple_dtype(node["of"])
        except ValueError as error:
            raise Damaged(str(error)) from None

    def _texts(self, node: dict) -> list[str]:
        data = self._kept(node["of"], "|u1").tobytes()
        ends = self._kept(node["ends"], "<i8")
        starts = np.concatenate(([0], ends))
        if (np.diff(starts) < 0).any() or starts[-1] != len(data):
            raise Damaged("texts do not end where they should")
        pairs = zip(starts.tolist(), ends.tolist())
        try:
            return [data[a:b].decode("utf-8", "surrogatepass") for a, b in pairs]
        except UnicodeDecodeError as error:
            raise Damaged(f"a text is none: {error}") from None

    def _text(self, node: dict) -> str:
        texts = self._texts(node)
        if len(texts) != 1:
            raise Damaged("a text is several")
        return texts[0]

    def _floats(self, node: dict) -> list[float]:
        return self._kept(node["of"], "<f8").tolist()

    def _ints(self, node: dict) -> list[int]:
        return self._kept(node["of"], "<i8").tolist()

    def _slice(self, node: dict) -> slice:
        parts = self._list(node["of"], "a slice")
        plain = all(p is None or isinstance(p, (int, np.integer, str)) for p in parts)
        if len(parts) != 3 or not plain:
            raise Damaged("a slice has other parts")
        return slice(*parts)

    def _named(self, table: dict, node: dict):
        word = node["of"]
        if not isinstance(word, str) or word not in table:
            raise Damaged(f"{word!r:.60} is no {node['=']} of this slimlearn")
        return table[word]

    def _function(self, node: dict):
        return self._named(functions(), node)

    def _scorer(self, node: dict):
        word = node["of"]
        found = scorer_named(word) if isinstance(word, str) else None
        if found is None:
            raise Damaged(f"{word!r:.60} is no scorer of this scikit-learn")
        return found

    def _type(self, node: dict) -> type:
        return self._named(TYPES, node)

    def _again(self, node: dict):
        number = node["of"]
        if type(number) is not int or not 0 <= number < len(self._objects):
            raise Damaged(f"{number!r:.40} is no object before this one")
        return self._objects[number]

    def _missing(self, node: dict) -> LeftOut:
        called, params = node["of"], node["params"]
        if not isinstance(called, str) or type(params) is not dict:
            raise Damaged("what is missing has no name")
        if params.get("=") != "fields":
            raise Damaged("what is missing has no parameters")
        known = {n: self.read(v) for n, v in params.items() if n != "="}
        return left_out(called, known)

    # -- programs, and others ---------------------------------------------------------

    def _stored(self, node: dict) -> int:
        number = node["of"]
        if type(number) is not int or not 0 <= number < len(self._parts.programs):
            raise Damaged(f"{number!r:.40} is no program of the file")
        return number

    def _program(self, node: dict) -> Program:
        number = self._stored(node)
        if number not in self._programs:
            self._programs[number] = Program.of(self._parts.saved(number))
        return self._programs[number]

    def _slots(self, node: dict) -> np.ndarray:
        found = self._parts.programs[self._stored(node)].slots
        if found is None:
            raise Damaged("the optimizer's arrays are missing")
        return copy_arena(found)

    def _sparse(self, node: dict):
        parts = [self.read(node[name]) for name in ("data", "indices", "indptr")]
        shape = node["shape"]
        good = type(shape) is list and len(shape) == 2 and all(map(count, shape))
        if not good or not all(
            isinstance(p, np.ndarray) and p.ndim == 1 for p in parts
        ):
            raise Damaged("a sparse matrix has other parts")
        if not isinstance(node["array"], bool):
            raise Damaged("a sparse matrix has other parts")
        made = f"{node['=']}_{'array' if node['array'] else 'matrix'}"
        makers = {
            "csr_array": sparse.csr_array,
            "csr_matrix": sparse.csr_matrix,
            "csc_array": sparse.csc_array,
            "csc_matrix": sparse.csc_matrix,
        }
        try:
            matrix = makers[made](tuple(parts), shape=tuple(shape))
            matrix.check_format(full_check=True)
        except (ValueError, TypeError, IndexError) as error:
            raise Damaged(f"a sparse matrix is none: {error}") from None
        return matrix

    def _random_state(self, node: dict) -> np.random.RandomState:
        key, rest = self._kept(node["of"], "<u4"), node["rest"]
        if type(rest) is not list or [type(v) for v in rest] != [int, int, float]:
            raise Damaged("a random state has other parts")
        place, has_gauss, cached = rest
        if len(key) != 624 or not 0 <= place <= 624 or has_gauss not in (0, 1):
            raise Damaged("a random state has other parts")
        made = np.random.RandomState()
        made.set_state(("MT19937", key, place, has_gauss, cached))
        return made

    def _offset(self, node: dict) -> datetime.timezone:
        seconds = node["of"]
        if type(seconds) is not int or abs(seconds) >= 86400:
            raise Damaged(f"{seconds!r:.40} is no offset of a clock")
        return datetime.timezone(datetime.timedelta(seconds=seconds))

    def _zone(self, node: dict) -> zoneinfo.ZoneInfo:
        key = node["of"]
        if not isinstance(key, str) or len(key) > 100:
            raise Damaged("a zone has no name")
        try:
            return zoneinfo.ZoneInfo(key)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise Damaged(f"the time zone {key!r} is not here: {error}") from None

    def _date(self, node: dict):
        try:
            return _DATES[node["="]].fromisoformat(node["of"])
        except (TypeError, ValueError) as error:
            raise Damaged(str(error)) from None


_DATES = {
    "date": datetime.date,
    "time": datetime.time,
    "datetime": datetime.datetime,
}
_OF = frozenset(("of",))
_WORDS = {
    "float": (_OF, Reader._float),
    "tuple": (_OF, Reader._tuple),
    "set": (_OF, Reader._set),
    "frozenset": (_OF, Reader._frozenset),
    "dict": (frozenset(("keys", "values")), Reader._dict),
    "array": (_OF | {"dtype", "order"}, Reader._array),
    "objects": (_OF | {"shape"}, Reader._objects_array),
    "masked": (_OF, Reader._masked),
    "scalar": (_OF, Reader._scalar),
    "number": (_OF | {"dtype"}, Reader._number),
    "dtype": (_OF, Reader._dtype),
    "texts": (_OF | {"ends"}, Reader._texts),
    "text": (_OF | {"ends"}, Reader._text),
    "floats": (_OF, Reader._floats),
    "ints": (_OF, Reader._ints),
    "slice": (_OF, Reader._slice),
    "function": (_OF, Reader._function),
    "type": (_OF, Reader._type),
    "scorer": (_OF, Reader._scorer),
    "again": (_OF, Reader._again),
    "missing": (_OF | {"params"}, Reader._missing),
    "program": (_OF, Reader._program),
    "slots": (_OF, Reader._slots),
    "csr": (frozenset(("array", "data", "indices", "indptr", "shape")), Reader._sparse),
    "csc": (frozenset(("array", "data", "indices", "indptr", "shape")), Reader._sparse),
    "random_state": (_OF | {"rest"}, Reader._random_state),
    "offset": (_OF, Reader._offset),
    "zone": (_OF, Reader._zone),
    "date": (_OF, Reader._date),
    "time": (_OF, Reader._date),
    "datetime": (_OF, Reader._date),
}
