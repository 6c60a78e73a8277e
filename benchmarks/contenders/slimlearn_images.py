"""slimlearn's side of networks for images: the programs that an estimator would run."""

import numpy as np
from images import CLASSES, PASSES

from slimlearn.backend import engine, ops
from slimlearn.backend.arena import allocate
from slimlearn.backend.autodiff import gradients
from slimlearn.backend.graph import Model
from slimlearn.backend.optimizer import SGD
from slimlearn.backend.program import Program
from slimlearn.backend.shape import B
from slimlearn.layers import per_example
from slimlearn.layers.initializers import build_init
from slimlearn.layers.nets import nets_factory


class Net:
    """A network: its logits, and its gradients on one batch."""

    def __init__(self, case, X, y):
        more = {"create_aux_logits": False} if case.net == "inception_v3" else {}
        function = nets_factory.get_network_fn(case.net, CLASSES)
        model = Model("f32")

        def logits():
            return function(ops.input_("X", (B, *X.shape[1:]), "f32"), **more)[0]

        with model.function("predict") as graph:
            graph.return_(logits())
        with model.function("grad", training=True) as graph:
            labels = ops.input_("y", (B,), "i32")
            losses = per_example.sparse_softmax_cross_entropy(logits(), labels)
            total, rows = ops.sum(ops.cast(losses, "f64")), ops.extent(B, "f64")
            loss = total / rows
            graph.return_(loss, total, rows)
            parameters = list(model.parameters)
            for parameter, slope in zip(parameters, gradients([loss], parameters)):
                graph.grad_(parameter, slope)
        build_init(model)
        SGD(momentum=0.0).build(model)
        self.case, self.sources = case, {"X": X, "y": y.astype("int32")}
        self.program = Program(model=model)
        self.program.initialize(0)
        hypers = {hyper.name: hyper.value for hyper in model.hypers}
        self.hypers = {name: value for name, value in hypers.items() if value}
        self.model = engine.compile(self.program.text)
        self.gradient = allocate(self.program.params.nbytes)
        weights = self.program.weights.values()
        self.weights = sum(array.size for array in weights if array.ndim > 1)
        self.predictor = self.trainer = None

    def forward(self):
        """Return the logits, of a program that is sealed as a fitted estimator's is."""
        if self.predictor is None:
            self.predictor = self.model.predictor(
                *("predict", self.program.seal(), ["X"]), n_threads=self.case.threads
            )
        return self.predictor(self.sources["X"])

    def training(self):
        """Compute the loss and all gradients, as a fit does; its SGD step is more."""
        if self.program.sealed:
            self.program, self.predictor = self.program.copy(), None
            self.trainer = None
        if self.trainer is None:
            self.trainer = self.model.trainer(
                self.program,
                self.sources,
                hypers=self.hypers,
                n_threads=self.case.threads,
                batch_size=self.case.batch,
                shuffle=False,
                gradient=self.gradient,
            )
        return self.trainer.epoch(0, 0, np.array([1e-3]))


def prepare(case, X, y):
    """Return a case's network."""
    return Net(case, X, y)


def convolution(case):
    """Return the time of each pass over arrays that lie in place; on one thread."""
    arrays = case.arrays()
    model = Model("f32")
    x, w, dy = (model.state(name, array.shape) for name, array in arrays.items())
    for which in PASSES:
        with model.function(which) as graph:
            y = ops.convolution(x, w, case.stride, "SAME", groups=case.groups)
            if which != "forward":
                [y] = gradients([y], [x if which == "images" else w], [dy])
            graph.return_(y)
    program = Program(model=model)
    for name, array in arrays.items():
        program.states[name][...] = array
    native = engine.compile(program.text)

    def seconds(which, repeats):
        launches = native.profile(which, {}, program, batch=1, rounds=repeats)
        return sum(row["least"] for row in launches)

    return {
        which: lambda repeats, which=which: seconds(which, repeats) for which in PASSES
    }
