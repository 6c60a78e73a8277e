"""A small classifier as a program of all functions, and data to train it on."""

import numpy as np

from slimlearn.backend import engine, ops, reference
from slimlearn.backend.autodiff import gradients
from slimlearn.backend.graph import Model
from slimlearn.backend.optimizer import Adam
from slimlearn.backend.program import Program
from slimlearn.backend.shape import B

FEATURES, HIDDEN, CLASSES = 20, 24, 3


def network(
    precision="f64",
    optimizer=None,
    *,
    dropout=False,
    center=False,
    l2=False,
    clip=False,
    sparse=False,
    rows=False,
    branches=False,
    split=False,
    rates=False,
    sizes=(FEATURES, HIDDEN, CLASSES),
):
    """Return a model: dense, relu, dense, softmax cross-entropy.

    `sparse` reads X as sparse rows; with `rows` the first gradient is kept as rows.

    With `branches` the sign of X's mean over the batch decides whether there is a third
    layer, in which a cond chooses again; dropout is inside it.

    With `split` a step's rows may come in parts: the objective is divided by those of
    all of them.

    `center` subtracts the batch's means in training and tracks them in a state, so that
    rows depend on each other.
    """
    features, hidden, classes = sizes
    model = Model(precision)
    w1 = model.parameter("fc1/weights", (features, hidden))
    b1 = model.parameter("fc1/biases", (hidden,))
    w2 = model.parameter("fc2/weights", (hidden, classes))
    b2 = model.parameter("fc2/biases", (classes,))
    parameters = (w1, b1, w2, b2)
    if branches:
        w3 = model.parameter("fc3/weights", (hidden, hidden))
        parameters += (w3,)
    mean = model.state("mean", (hidden,)) if center else None

    def logits(graph, training):
        if sparse:
            x = ops.input_("X", (B, features), f"csr {precision}")
            hidden_ = ops.relu(ops.csr_matmul(x, w1) + b1)
        else:
            x = ops.input_("X", (B, features), precision)
            hidden_ = ops.relu(x @ w1 + b1)
        if center and training:
            batch = ops.reduce_mean(hidden_, axis=(0,))
            graph.set_(mean, mean * 0.9 + batch * 0.1)
            hidden_ = hidden_ - batch
        elif center:
            hidden_ = hidden_ - mean

        def dropped(values):
            if not (dropout and training):
                return values
            keep = ops.cast(model.hyper("keep_prob"), precision)
            return ops.dropout(values, keep, name="drop")

        if branches:
            level, before = ops.reduce_mean(x), hidden_

            def longer():
                third = dropped(ops.tanh(before @ w3 + b1))
                return ops.cond(level > 0.03, lambda: third, lambda: third + before)

            hidden_ = ops.cond(level > 0, longer, lambda: before * 0.5)
        else:
            hidden_ = dropped(hidden_)
        return hidden_ @ w2 + b2

    with model.function("init") as graph:
        for parameter in parameters:
            drawn = ops.random_normal(parameter.shape, precision)
            graph.set_(parameter, drawn * 0.2)
        if center:
            graph.set_(mean, ops.constant(0.0, precision, (hidden,)))
    with model.function("predict") as graph:
        graph.return_(ops.cast(logits(graph, False), "f64"))
    for name in ("score", "grad"):
        with model.function(name, training=name == "grad") as graph:
            each = ops.sparse_softmax_cross_entropy(
                logits(graph, name == "grad"), ops.input_("y", (B,), "i32")
            )
            weight = ops.input_("sample_weight", (B,), precision)
            total = ops.reduce_sum(ops.cast(each * weight, "f64"))
            weights = ops.reduce_sum(ops.cast(weight, "f64"))
            if name == "score":
                graph.return_(total, weights)
                continue
            rows_ = ops.extent(B, "f64")
            objective = total / (model.hyper("global_rows") if split else rows_)
            graph.return_(objective, total, weights)
            slopes = gradients([objective], list(parameters))
            if rows:
                slopes[0] = ops.rows(slopes[0])
            for parameter, slope in zip(parameters, slopes, strict=True):
                graph.grad_(parameter, slope)
    (optimizer or Adam()).build(model, l2=l2, clip=clip, rate=rates)
    return model


def data(rows=100, precision="f64", seed=0, features=FEATURES, classes=CLASSES):
    """Return the sources of so many rows."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((rows, features))
    true = rng.standard_normal((features, classes))
    return {
        "X": x.astype(reference.DTYPES[precision]),
        "y": np.argmax(x @ true, axis=1).astype(np.int32),
        "sample_weight": rng.uniform(0.5, 1.5, rows),
    }


class Case:
    """A model with its arrays, trained natively."""

    def __init__(self, model, sources, *, optimizer=None, seed=7, **options):
        self.model, self.sources = model, sources
        self.program = Program(model=model).initialize(3, engine="reference")
        self.slots = self.program.allocate_slots()
        self.compiled = engine.compile(self.program.text)
        hypers = {**(optimizer or Adam()).hypers(), **options.pop("hypers", {})}
        declared = set(self.compiled.native.hypers())
        self.options = {
            "batch_size": 16,
            "seed": seed,
            "hypers": {k: v for k, v in hypers.items() if k in declared},
            **options,
        }
        self.done = self.step = 0

    def trainer(self, **changes):
        return self.compiled.trainer(
            self.program, self.sources, slots=self.slots, **self.options, **changes
        )

    def train(self, epochs, rate=1e-2, trainer=None, **changes):
        """Train and return the losses of the epochs."""
        trainer = trainer or self.trainer(**changes)
        losses = []
        for _ in range(epochs):
            rates = np.full(trainer.info()["steps"], rate)
            result = trainer.epoch(self.done, self.step, rates)
            losses.append(result.loss)
            self.done += 1
            self.step += result.steps
        return losses

    def oracle(self):
        """Return NumPy's trainer of a copy of the arrays, and that copy."""
        program = self.program.copy()
        slots = program.allocate_slots()
        slots[...] = self.slots
        trainer = reference.Trainer(
            self.model,
            program.weights,
            program.states,
            program.slot_views(slots),
            self.sources,
            **self.options,
        )
        return trainer, program
