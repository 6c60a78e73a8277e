"""slimlearn's side of layers over sequences: the program that a fit would run."""

import numpy as np

from slimlearn import layers
from slimlearn.backend import engine, ops
from slimlearn.backend.arena import allocate
from slimlearn.backend.autodiff import gradients
from slimlearn.backend.graph import Model
from slimlearn.backend.program import Program
from slimlearn.backend.shape import B
from slimlearn.layers.initializers import build_init


def _outputs(case, x, lengths):
    if case.layer == "block":
        return layers.transformer_encoder(x, 4, case.units)
    layer = getattr(layers, case.layer)
    return layer(x, case.units, sequence_length=lengths, return_sequences=True)


def prepare(case, X, lengths):
    """Return what sums the outputs and finds the gradients."""
    sources = {"X": X} if lengths is None else {"X": X, "lengths": lengths}
    model = Model("f32")
    with model.function("grad", training=True) as graph:
        x = ops.input_("X", (B, *X.shape[1:]))
        n = None if lengths is None else ops.input_("lengths", (B,), "i32")
        total = ops.cast(ops.sum(_outputs(case, x, n)), "f64")
        graph.return_(total, total, ops.extent(B))
        parameters = list(model.parameters)
        for parameter, slope in zip(parameters, gradients([total], parameters)):
            graph.grad_(parameter, slope)
    build_init(model)
    program = Program(model=model)
    program.initialize(0)
    compiled = engine.compile(program.text)
    gradient, rows = allocate(program.params.nbytes), np.arange(len(X))

    def both():
        return compiled.run(
            "grad",
            sources,
            program,
            rows=rows,
            gradient=gradient,
            n_threads=case.threads,
        )

    return both
