"""Training on a GPU, or by its kernels on the host, is training on the CPU."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from support.cuda import CUDA
from support.training_case import Case, data, network

from slimlearn import (
    DNNClassifier,
    DNNRegressor,
    NetworkClassifier,
    NetworkRegressor,
    layers,
)
from slimlearn.backend import engine, ops
from slimlearn.backend.optimizer import OPTIMIZERS, SGD, AdamW
from slimlearn.backend.reference import DTYPES

# Sums are taken in other orders there.
TOLERANCE = {"f32": 2e-4, "f64": 1e-10}


def twins(model, sources, **options):
    """The same training there and on the CPU."""
    there, here = (Case(model, sources, **options) for _ in range(2))
    there.compiled = engine.compile(there.program.text, device=CUDA)
    assert there.compiled.device == CUDA
    return there, here


def assert_near(there, here, precision):
    for got, want in (
        (there.program.params, here.program.params),
        (there.program.state, here.program.state),
        (there.slots, here.slots),
    ):
        got, want = (a.view(DTYPES[precision]) for a in (got, want))
        near = TOLERANCE[precision]
        np.testing.assert_allclose(got, want, near, near)


def train_alike(model, sources, precision, epochs=3, **options):
    there, here = twins(model, sources, **options)
    losses = there.train(epochs)
    np.testing.assert_allclose(losses, here.train(epochs), TOLERANCE[precision])
    assert np.isfinite(losses).all()
    assert_near(there, here, precision)
    return there


ITERATIVE = {
    name: kind
    for name, kind in OPTIMIZERS.items()
    if kind().iterative and name != "lazy_adam"
}


@pytest.mark.parametrize("name", ITERATIVE)
def test_every_optimizer(name):
    optimizer = ITERATIVE[name]()
    train_alike(
        network("f64", optimizer, center=True, l2=True),
        data(33, "f64"),
        "f64",
        optimizer=optimizer,
        segments=[{"l2": 0.01}, {}, {"l2": 0.1}, {"frozen": True}],
    )


@pytest.mark.parametrize("rows", [1, 15, 16, 17, 33, 100])
@pytest.mark.parametrize("precision", ["f32", "f64"])
@pytest.mark.usefixtures("each_way")
def test_every_number_of_rows(rows, precision):
    model = network(precision, SGD(momentum=0.9), center=True)
    train_alike(model, data(rows, precision), precision, optimizer=SGD(momentum=0.9))


@pytest.mark.usefixtures("each_way")
def test_dropout_draws_the_same():
    model = network("f64", dropout=True)
    train_alike(model, data(50), "f64", hypers={"keep_prob": 0.7})


@pytest.mark.parametrize(
    "clip",
    [{"clip_norm": 0.05}, {"clip_value": 0.02}, {"clip_norm": 1, "clip_value": 1}],
)
@pytest.mark.usefixtures("each_way")
def test_clipping_with_penalties(clip):
    model = network("f64", SGD(momentum=0.0), clip=True, l2=True)
    segments = [{"l2": 0.01}, {}, {"l2": 0.1}, {}]
    train_alike(
        model, data(60), "f64", optimizer=SGD(momentum=0.0), segments=segments, **clip
    )


def test_what_one_run_gives_the_next_gives_again():
    first, second = (
        train_alike(network("f32"), data(100, "f32"), "f32") for _ in range(2)
    )
    assert first.program.params.tobytes() == second.program.params.tobytes()


@pytest.mark.usefixtures("each_way")
def test_a_refused_step_changes_nothing():
    sources = data(64, "f64")
    sources["X"][40] = np.nan
    model = network("f64", center=True)
    there, here = twins(model, sources, shuffle=False)
    for case in (there, here):
        with pytest.raises(Exception, match=r"NaN|not finite|nan"):
            case.train(1)
    assert_near(there, here, "f64")


@pytest.mark.parametrize("blocks", ["0", "1", "2", "3"])
@pytest.mark.parametrize("dropout", [False, True])
def test_a_trainer_goes_on_after_a_refused_step(dropout, blocks, monkeypatch):
    """Each block sees that it counts again; with dropout they come in another order."""
    monkeypatch.setenv("SLIM_CUDA_WHOLE", blocks)
    engine.clear_cache()
    sources = data(100, "f64")
    sources["X"][70] = np.nan
    given = {"hypers": {"keep_prob": 0.7}} if dropout else {}
    there, here = twins(network("f64", dropout=dropout), sources, **given)
    for case in (there, here):
        trainer = case.trainer()
        for _ in range(3):
            with pytest.raises(ValueError, match=r"NaN|not finite|nan"):
                case.train(1, trainer=trainer)
            case.done += 1
    assert_near(there, here, "f64")


@pytest.fixture(params=["classifier", "regressor", "batch_norm", "lbfgs"])
def estimator(request):
    X, y = load_digits(return_X_y=True)
    X, y = X[:300] / 16, y[:300]
    options = {"hidden_units": (16, 8), "max_iter": 4, "random_state": 3}
    kind = DNNClassifier
    if request.param == "regressor":
        kind, y = DNNRegressor, y.astype(float)
        options["early_stopping"] = True
    elif request.param == "batch_norm":
        options |= {"batch_norm": True, "dropout": 0.2, "early_stopping": True}
    elif request.param == "lbfgs":
        options["optimizer"] = "lbfgs"
    return kind(**options), X, y


@pytest.mark.filterwarnings("ignore:.*without converging")
def test_an_estimator(estimator):
    here, X, y = estimator
    there = clone(here).set_params(device=CUDA)
    for fitted in (there, here):
        assert fitted.fit(X, y).score(X, y) > 0
    near = {"rtol": 2e-3, "atol": 2e-3}
    np.testing.assert_allclose(there.loss_curve_, here.loss_curve_, **near)
    raw = "predict_proba" if hasattr(here, "predict_proba") else "predict"
    for rows in (X, X[:1], X[:0]):
        if len(rows):
            got, want = (getattr(e, raw)(rows) for e in (there, here))
            np.testing.assert_allclose(got, want, **near)
    moved = pickle.loads(pickle.dumps(there))
    np.testing.assert_array_equal(getattr(moved, raw)(X), getattr(there, raw)(X))
    moved.set_params(device="cpu")
    np.testing.assert_allclose(
        getattr(pickle.loads(pickle.dumps(moved)), raw)(X),
        getattr(there, raw)(X),
        **near,
    )


@pytest.mark.parametrize("rows", [17, 33, 100])
@pytest.mark.parametrize(
    "kind", [{}, {"center": True, "dropout": True}, {"clip": True}]
)
def test_steps_in_parts(rows, kind):
    """Three batches a step: the last step has fewer, or one that is smaller."""
    model = network("f64", split=True, **kind)
    options = {"hypers": {"keep_prob": 0.7}} if kind.get("dropout") else {}
    if kind.get("clip"):
        options["clip_norm"] = 0.05
    there, here = twins(model, data(rows), accumulate=3, **options)
    np.testing.assert_allclose(there.train(3), here.train(3), TOLERANCE["f64"])
    assert_near(there, here, "f64")


def test_a_refused_step_in_parts_changes_nothing():
    """A later part is bad: what an earlier one set is undone."""
    sources = data(64, "f64")
    sources["X"][40] = np.nan
    model = network("f64", center=True, split=True)
    there, here = twins(model, sources, shuffle=False, accumulate=3)
    before = there.program.state.tobytes()
    for case in (there, here):
        with pytest.raises(Exception, match=r"NaN|not finite|nan"):
            case.train(1)
        assert case.program.state.tobytes() == before
    assert_near(there, here, "f64")


def test_parts_of_steps_whose_rows_come_and_go(monkeypatch):
    want = twins(network("f32", split=True), data(100, "f32"), accumulate=2)[0]
    losses = want.train(2)
    monkeypatch.setenv("SLIM_CUDA_DATA", "6000")
    some = twins(network("f32", split=True), data(100, "f32"), accumulate=2)[0]
    assert some.train(2) == losses
    assert some.program.params.tobytes() == want.program.params.tobytes()


@pytest.mark.parametrize("compute", ["bfloat16", "float16"])
def test_operands_of_16_bits(compute, each_way):
    """Sums that differ in their last bit may round apart where they are operands."""
    model = network("f32")
    model.compute = compute
    there, here = twins(model, data(97, "f32"))
    np.testing.assert_allclose(there.train(3), here.train(3), 2e-3)
    got, want = (a.program.params.view(np.float32) for a in (there, here))
    np.testing.assert_allclose(got, want, rtol=0, atol=2e-2)
    full, _ = twins(network("f32"), data(97, "f32"))
    full.train(3)
    assert np.abs(got - full.program.params.view(np.float32)).max() > 1e-5


def steep(x, num_classes):
    """Gradients are large inside: with float16 they overflow at the first scales."""
    x = layers.fully_connected(layers.batch_norm(x), 16)
    return layers.fully_connected(x, num_classes, activation_fn=None) * 4096.0


@pytest.mark.parametrize("norm", [None, 1e3])
@pytest.mark.filterwarnings("ignore:.*without converging")
def test_steps_that_overflow_are_left_out(norm, each_way):
    X, y = load_digits(return_X_y=True)
    here = NetworkClassifier(
        steep, precision="float16", batch_size=100, max_iter=2, optimizer="sgd",
        learning_rate=1e-9, gradient_clip_norm=norm, random_state=0,
    )  # fmt: skip
    there = clone(here).set_params(device=CUDA)
    for fitted in (there, here):
        fitted.fit(X / 16, y)
    got, want = (fitted.program_.states for fitted in (there, here))
    assert want["loss_scale/scale"] < 2.0**15 and want["loss_scale/steps"] > 0
    for name, value in want.items():
        np.testing.assert_allclose(got[name], value, 1e-3, 1e-3, err_msg=name)
    for name, value in here.program_.weights.items():
        np.testing.assert_allclose(there.program_.weights[name], value, 0, 1e-5)
    np.testing.assert_allclose(there.loss_curve_, here.loss_curve_, 1e-2)


@pytest.mark.filterwarnings("ignore:.*without converging")
def test_nothing_moves_in_a_step_that_is_left_out(each_way):
    X, y = load_digits(return_X_y=True)
    here = NetworkClassifier(
        steep, precision="float16", batch_size=len(X), max_iter=1, learning_rate=1.0,
        optimizer="sgd", random_state=0,
    )  # fmt: skip
    there = clone(here).set_params(device=CUDA)
    got, want = (fitted.fit(X, y).program_ for fitted in (there, here))
    assert got.states["loss_scale/scale"] == 2.0**15
    for which in ("weights", "states"):
        for name, value in getattr(want, which).items():
            np.testing.assert_allclose(getattr(got, which)[name], value, 1e-6)


def softer(x):
    return np.tanh(x)


def softer_gradient(dy, y, x):
    return dy * (1 - y * y)


@pytest.mark.parametrize("looped", [False, True])
@pytest.mark.filterwarnings("ignore:.*without converging")
def test_a_node_of_the_users_is_called_by_the_host(looped):
    node = ops.custom(softer, softer_gradient, by_row=True)

    def net(x):
        x = layers.fully_connected(x, 8, activation_fn=None)
        if looped:
            return ops.scan(lambda h, _: (node(h * 2), None), x, length=3)[0]
        return node(x)

    X, y = load_digits(return_X_y=True)
    options = {"max_iter": 2, "random_state": 0}
    there, here = (
        NetworkClassifier(net, device=device, **options).fit(X[:200] / 16, y[:200])
        for device in (CUDA, "cpu")
    )
    near = {"rtol": 2e-3, "atol": 2e-3}
    np.testing.assert_allclose(there.loss_curve_, here.loss_curve_, **near)
    raw = (e.predict_proba(X[200:230] / 16) for e in (there, here))
    np.testing.assert_allclose(*raw, **near)


def on_both(net, **options):
    """A network of some layers, fitted on the CPU and there."""
    X = np.random.default_rng(0).normal(size=(64, 5)).astype(np.float32)
    y = X[:, 0].astype(float)
    options = {"batch_size": 64, "max_iter": 3, "precision": "float32", **options}
    for device in ("cpu", CUDA):
        made = NetworkRegressor(net, device=device, random_state=0, **options)
        yield made.fit(X, y).loss_curve_


def test_rates_of_what_is_frozen():
    def net(x, num_outputs):
        hidden = layers.fully_connected(x, 8, scope="a", trainable=False)
        return layers.linear(hidden, num_outputs, scope="b")

    here, there = on_both(
        net,
        optimizer={"a": AdamW(weight_decay=0.1), "b": SGD()},
        schedules={"weight_decay": "cosine"},
    )
    np.testing.assert_allclose(there, here, 2e-4)


def test_products_of_columns_and_beside_columns():
    def net(x, num_outputs):
        hidden = layers.fully_connected(x, 12, scope="a")
        left = layers.linear(hidden[:, :8], 6, biases_initializer=None, scope="b")
        both = ops.concat([left, ops.tanh(hidden), left * 2.0], 1)
        return layers.linear(both, num_outputs, scope="c")

    here, there = on_both(net)
    np.testing.assert_allclose(there, here, 2e-4)


@pytest.mark.parametrize("pickled", [False, True])
def test_another_device_predicts_with_what_was_fitted(pickled):
    X, y = load_digits(return_X_y=True)
    there = DNNClassifier((8,), max_iter=1, device=CUDA, random_state=0).fit(X, y)
    want = there.predict_proba(X[:5])
    if pickled:
        there = pickle.loads(pickle.dumps(there))
    for device in ("cpu", CUDA, "cpu"):
        there.set_params(device=device)
        np.testing.assert_allclose(there.predict_proba(X[:5]), want, 1e-4, 1e-5)
        assert there._handle.native._wanted[1] == device
    assert there.set_params(max_iter=2)._handle is there._handle
    assert clone(there).set_params(device=CUDA).device == CUDA
