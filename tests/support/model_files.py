"""A small model file, taken apart and put together again with other parts."""

import json
import random

import numpy as np

from slimlearn import _native
from slimlearn.backend import files, ops
from slimlearn.backend.arena import allocate
from slimlearn.backend.graph import Model
from slimlearn.backend.program import Program
from slimlearn.backend.shape import B


def program(bias: int = 3, precision: str = "f32", odd: bool = True) -> Program:
    """A layer with one slot; `odd` states are of types that only NumPy knows."""
    m = Model(precision)
    w = m.parameter("fc/weights", (5, bias))
    b = m.parameter("fc/biases", (bias,))
    m.state("bn/mean", (17,))
    m.state("bn/seen", (3,), dtype="bool" if odd else precision)
    m.state("bn/count", (), dtype="i64" if odd else precision)
    m.slot("adam/m")
    with m.function("predict") as graph:
        graph.return_(ops.input_("X", (B, 5), precision) @ w + b)
    made = Program(model=m)
    rng = np.random.default_rng(0)
    for views in (made.weights, made.states):
        for view in views.values():
            view[...] = rng.integers(0, 100, view.shape)
    return made


def saved(made: Program | None = None, **more) -> files.Saved:
    """Everything that a file can hold."""
    made = made or program()
    slots = allocate(made.allocate_slots().size)
    for slot in made.slot_views(slots).values():
        for view in slot.values():
            view[...] = np.arange(view.size).reshape(view.shape) + 1
    content = {
        "slots": slots,
        "inputs": [{"name": "num", "source": "X", "columns": ["age", "färe"]}],
        "fit": {"epoch": 3, "curve": [1.5, 1e-300], "ended": None},
        "arrays": {"0": np.arange(6, dtype=np.uint16).reshape(2, 3)},
        **more,
    }
    return files.Saved(made.text, made.params, made.state, **content)


def same(a: files.Saved, b: files.Saved) -> bool:
    """Whether two files say the same, to the byte."""
    return (
        (a.text, a.inputs, a.fit) == (b.text, b.inputs, b.fit)
        and a.params.tobytes() == b.params.tobytes()
        and a.state.tobytes() == b.state.tobytes()
        and (a.slots is None) == (b.slots is None)
        and (a.slots is None or a.slots.tobytes() == b.slots.tobytes())
        and a.arrays.keys() == b.arrays.keys()
        and all(
            v.dtype == b.arrays[k].dtype
            and v.shape == b.arrays[k].shape
            and v.tobytes() == b.arrays[k].tobytes()
            for k, v in a.arrays.items()
        )
    )


def take_apart(data: bytes) -> tuple[dict, bytes]:
    """The header and the bytes of the arrays."""
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def put_together(header, arrays: bytes) -> bytes:
    """A file of this header: a dict, or text as it stands."""
    if not isinstance(header, bytes):
        header = json.dumps(header).encode()
    return len(header).to_bytes(8, "little") + header + arrays


def mutated(data: bytes, chance: random.Random) -> bytes:
    """The bytes with some flipped, set, cut out, doubled, moved or cut off."""
    made = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 5))):
        at = chance.randrange(len(made)) if made else 0
        size = chance.choice((1, 1, 2, 8, 64))
        kind = chance.randrange(7)
        if kind == 0:
            made[at : at + 1] = bytes(
                [made[at] ^ 1 << chance.randrange(8)] if made else []
            )
        elif kind == 1:
            made[at : at + 1] = bytes([chance.randrange(256)])
        elif kind == 2:
            del made[at : at + size]
        elif kind == 3:
            made[at:at] = made[at : at + size]
        elif kind == 4:
            other = chance.randrange(len(made) + 1)
            made[at : at + size] = made[other : other + size]
        elif kind == 5:
            digit = chance.choice(
                (b"0", b"9", b"-", b'"', b"{", b"]", b",", b"\\", b"\xff")
            )
            made[at : at + 1] = digit
        else:
            del made[at if chance.random() < 0.3 else len(made) - size :]
    return bytes(made)


def told_by(header: dict) -> dict:
    return json.loads(header["__metadata__"]["slimlearn.estimator"])


def tell(header: dict, told: dict) -> None:
    """Put another estimator into a header, with its checksum."""
    text = told if isinstance(told, str) else json.dumps(told)
    meta = header["__metadata__"]
    meta["slimlearn.estimator"] = text
    sums = json.loads(meta["slimlearn.checksums"])
    sums["#estimator"] = f"{_native.checksum(text.encode()):016x}"
    meta["slimlearn.checksums"] = json.dumps(sums)


def with_model(data: bytes, change) -> bytes:
    """The file of another estimator: change(told) changes what the file tells."""
    header, arrays = take_apart(data)
    told = told_by(header)
    change(told)
    tell(header, told)
    return put_together(header, arrays)


def resealed(header: dict, arrays: bytes) -> bytes:
    """A file whose checksums are right whatever else is wrong."""
    metadata, sums = header["__metadata__"], {}
    for key, text in metadata.items():
        name = key.removeprefix("slimlearn.")
        if name not in ("format", "checksums", "sha256"):
            sums[f"#{name}"] = f"{_native.checksum(text.encode()):016x}"
    for name, entry in header.items():
        if name != "__metadata__" and not name.startswith("#padding"):
            begin, end = entry["data_offsets"][:2]
            sums[name] = f"{_native.checksum(arrays[begin:end]):016x}"
    metadata["slimlearn.checksums"] = json.dumps(sums)
    return put_together(header, arrays)
