"""How tests run small programs on the native kernels of every instruction set."""

from slimlearn.backend import engine
from slimlearn.backend.graph import Model
from slimlearn.backend.ops import input_
from slimlearn.backend.program import Program
from slimlearn.backend.shape import B
from slimlearn.backend.text import print_program

ISAS = engine.available_isas()


def run(model: Model, sources: dict, isa: str, **keywords) -> tuple:
    """Return what the function ``f`` of `model` returns; it has no parameters."""
    text = print_program(model)
    compiled = engine.compile(text, isa=isa)
    return compiled.run("f", sources, Program(text, model=model), **keywords)


def apply(build, arrays: dict, isa: str, fixed=(), **keywords):
    """Return the result of one op on arrays, whose rows are the batch.

    Parameters
    ----------
    build : callable
        From the tensors by name to the result.
    arrays : dict of str to ndarray
    isa : str
    fixed : collection of str
        The arrays whose leading dimension is not the batch's.
    """
    model = Model("f32")
    with model.function("f") as graph:
        tensors = {
            name: input_(
                name,
                array.shape if name in fixed else (B, *array.shape[1:]),
                _WORDS[array.dtype.str[1:]],
            )
            for name, array in arrays.items()
        }
        graph.return_(build(**tensors))
    (result,) = run(model, arrays, isa, **keywords)
    return result


_WORDS = {"f4": "f32", "f8": "f64", "i4": "i32", "i8": "i64", "b1": "bool", "u1": "u8"}
