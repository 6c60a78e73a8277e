"""A network by the native core: what it gives, and gradients of the squares of that."""

import numpy as np

from slimlearn.backend import engine, ops
from slimlearn.backend.arena import allocate
from slimlearn.backend.autodiff import gradients
from slimlearn.backend.graph import Model
from slimlearn.backend.program import Program
from slimlearn.backend.shape import B
from slimlearn.layers.initializers import build_init
from support.networks import NUMPY


class Summed:
    """The sum of what a network gives, squared, and the gradients of its parameters.

    Parameters
    ----------
    network : callable
        Of tensors: rows of `shape`, and, if `ragged`, their lengths.
    shape : tuple of int
    precision : {"f32", "f64"}
    ragged : bool
    """

    def __init__(self, network, shape, precision="f32", ragged=True):
        model = Model(precision)
        for func in ("grad", "predict"):
            with model.function(func, training=func == "grad") as graph:
                inputs = [ops.input_("X", (B, *shape), precision)]
                if ragged:
                    inputs.append(ops.input_("n", (B,), "i32"))
                made = network(*inputs)
                if func == "predict":
                    graph.return_(made)
                    continue
                total = ops.cast(ops.reduce_sum(ops.square(made)), "f64")
                graph.return_(total, total, ops.extent(B))
                parameters = list(model.parameters)
                slopes = gradients([total], parameters)
                for parameter, slope in zip(parameters, slopes, strict=True):
                    graph.grad_(parameter, slope)
        build_init(model)
        self.program = Program(model=model).initialize(3)
        self.compiled = engine.compile(self.program.text)

    def predict(self, *rows, **options):
        """What the network gives for rows, and their lengths."""
        sources = dict(zip("Xn", rows))
        return self.compiled.run("predict", sources, self.program, **options)[0]

    def train(self, *rows, threads=1, **options):
        """The bytes of the sum and of the gradients."""
        gradient = allocate(self.program.params.nbytes)
        made = self.compiled.run(
            "grad",
            dict(zip("Xn", rows)),
            self.program,
            rows=np.arange(len(rows[0])),
            gradient=gradient,
            n_threads=threads,
            **options,
        )
        slopes = gradient.view(NUMPY[self.program.model.precision])
        assert np.isfinite(slopes).all() and slopes.any()
        return made[0].tobytes(), gradient.tobytes()
