"""The label and the probabilities of each row on stdin, by slim.h and ctypes alone.

    python predict.py libslim.so iris.slim < rows.txt

It needs no slimlearn and no NumPy: so does any language that can call C.
"""

import ctypes
import sys
from ctypes import POINTER, byref, c_char_p, c_int, c_int64, c_size_t, c_void_p


class Array(ctypes.Structure):
    """slim_array."""

    _fields_ = (
        ("name", c_char_p),
        ("type", c_int),
        ("data", c_void_p),
        ("rank", c_size_t),
        ("shape", POINTER(c_int64)),
        ("csr", c_void_p),
    )


class Value(ctypes.Structure):
    """slim_value."""

    _fields_ = (
        ("name", c_char_p),
        ("type", c_int),
        ("sparse", c_int),
        ("rank", c_size_t),
        ("shape", c_int64 * 8),
    )


F64 = 1


def main(library: str, path: str) -> None:
    """Answer until stdin ends."""
    slim = ctypes.CDLL(library)
    slim.slim_message.restype = c_char_p
    slim.slim_label.restype = c_char_p
    slim.slim_session_result.restype = POINTER(Array)

    def check(status: int) -> None:
        if status != 0:
            sys.exit(slim.slim_message().decode())

    model, label, proba = c_void_p(), c_void_p(), c_void_p()
    check(slim.slim_load(path.encode(), None, byref(model)))
    check(slim.slim_session_new(model, b"predict", None, byref(label)))
    check(slim.slim_session_new(model, b"predict_proba", None, byref(proba)))
    value = Value()
    check(slim.slim_input(model, b"predict", c_size_t(0), byref(value)))
    columns = value.shape[1]
    row, shape = (ctypes.c_double * columns)(), (c_int64 * 2)(1, columns)
    data = ctypes.cast(row, c_void_p)
    x = Array(value.name, F64, data, 2, shape, None)
    numbers = [float(word) for word in sys.stdin.read().split()]
    for begin in range(0, len(numbers), columns):
        row[:] = numbers[begin : begin + columns]
        for session in (label, proba):
            check(slim.slim_session_run(session, byref(x), c_size_t(1)))
        found = slim.slim_session_result(label, c_size_t(0)).contents
        code = ctypes.cast(found.data, POINTER(c_int64))[0]
        found = slim.slim_session_result(proba, c_size_t(0)).contents
        values = ctypes.cast(found.data, POINTER(ctypes.c_double))
        text = slim.slim_label(model, c_size_t(0), c_size_t(code)).decode()
        print(text, *(values[k] for k in range(found.shape[1])))
    slim.slim_session_free(label)
    slim.slim_session_free(proba)
    slim.slim_free(model)


if __name__ == "__main__":
    main(*sys.argv[1:])
