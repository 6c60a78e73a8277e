"""What the tests of layers share: build functions, draw variables, run with NumPy."""

import numpy as np

from slimlearn.backend import ops, reference
from slimlearn.backend.autodiff import gradients
from slimlearn.backend.graph import Model
from slimlearn.backend.shape import symbol
from slimlearn.layers.initializers import build_init

B = symbol("B")
NUMPY = {"f32": np.float32, "f64": np.float64}


class Built:
    """A network in training form (``grad``) and inference form (``predict``).

    `function` takes the input tensor. The output's sum, weighted where the network has
    sample weights, is what ``grad`` differentiates.
    """

    def __init__(self, function, shape=(5,), precision="f64", weighted=False):
        self.model = Model(precision)
        with self.model.function("grad", training=True) as graph:
            if weighted:
                graph.sample_weight = ops.input_("sample_weight", (B,), precision)
            output = self.trained = function(ops.input_("X", (B, *shape), precision))
            direction = ops.input_("direction", output.shape, precision)
            total = ops.reduce_sum(ops.mul(output, direction))
            graph.return_(output)
            parameters = [p for p in self.model.parameters if p.trainable]
            for parameter, slope in zip(parameters, gradients([total], parameters)):
                if slope is not None:
                    graph.grad_(parameter, slope)
        with self.model.function("predict") as graph:
            self.predicted = function(ops.input_("X", (B, *shape), precision))
            graph.return_(self.predicted)
        build_init(self.model)
        self.params, self.states = {}, {}
        self.initialize()

    def initialize(self, seed=0):
        made = reference.run(self.model, "init", {}, {}, seed=seed).sets
        self.params = {p.name: np.array(made[p.name]) for p in self.model.parameters}
        self.states = {s.name: np.array(made[s.name]) for s in self.model.states}
        return self

    def hypers(self):
        return {h.name: h.value for h in self.model.hypers}

    def train(self, x, direction=None, weights=None, step=0):
        """Run ``grad`` once; the states move. Returns the output and the gradients."""
        x = np.asarray(x, NUMPY[self.model.precision])
        out = self.trained.shape[1:]
        if direction is None:
            direction = np.zeros((len(x), *out))
        sources = {"X": x, "direction": direction}
        if weights is not None:
            sources["sample_weight"] = np.asarray(weights, x.dtype)
        result = reference.run(
            self.model,
            "grad",
            sources,
            self.params,
            self.states,
            self.hypers(),
            seed=1,
            step=step,
        )
        reference.apply(result, self.states)
        return result.returns[0], result.grads

    def predict(self, x):
        x = np.asarray(x, NUMPY[self.model.precision])
        arguments = {"X": x}, self.params, self.states
        return reference.run(self.model, "predict", *arguments).returns[0]


def evaluate(function, **arrays):
    """Run `function` of as many tensors on arrays; axis 0 of each is the batch."""
    kinds = {"f": "f64", "i": "i32", "b": "i32"}
    arrays = {name: np.asarray(array) for name, array in arrays.items()}
    model = Model("f64")
    with model.function("predict") as graph:
        tensors = {
            name: ops.input_(name, (B, *array.shape[1:]), kinds[array.dtype.kind])
            for name, array in arrays.items()
        }
        graph.return_(function(*tensors.values()))
    return reference.run(model, "predict", arrays, {}).returns[0]


def initial(initializer, shape, dtype="f64", seed=0):
    """Draw one variable."""
    model = Model(dtype)
    model.parameter("w", shape, initializer=initializer)
    build_init(model)
    return reference.run(model, "init", {}, {}, seed=seed).sets["w"]
