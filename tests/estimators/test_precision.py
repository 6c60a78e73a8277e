"""Estimators whose products have operands of 16 bits."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_digits
from sklearn.model_selection import train_test_split

from slimlearn import (
    ConvNetClassifier,
    DNNClassifier,
    DNNRegressor,
    NetworkClassifier,
    layers,
)
from slimlearn.backend import engine, ops, reference
from slimlearn.backend.optimizer import SGD

SIXTEEN = ("bfloat16", "float16")
# Of what is computed from numbers near 1: some roundings of 2^-9 and 2^-12.
ERROR = {"bfloat16": 3e-2, "float16": 4e-3}


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    X = (X / 16).astype(np.float32)
    return train_test_split(X, y, random_state=0)


def test_in_the_text_and_nowhere_else(digits):
    X, _, y, _ = digits
    plain = DNNClassifier((8,), max_iter=1, precision="float32").fit(X, y)
    rounds = DNNClassifier((8,), max_iter=1, precision="bfloat16").fit(X, y)
    lines = rounds.program_.text.splitlines()
    assert lines.pop(1) == "compute bfloat16"
    assert lines == plain.program_.text.splitlines()


@pytest.mark.parametrize("precision", SIXTEEN)
def test_scores_are_those_of_float64(digits, precision):
    X, X_test, y, y_test = digits
    found = {}
    for one in ("float64", precision):
        clf = DNNClassifier((64,), max_iter=25, precision=one, random_state=0)
        found[one] = clf.fit(X, y).score(X_test, y_test)
    assert found[precision] > found["float64"] - 0.02 > 0.9


@pytest.mark.parametrize("precision", SIXTEEN)
def test_regression_is_that_of_float64(precision):
    X, y = load_diabetes(return_X_y=True)
    X = X * 20
    found = {}
    for one in ("float64", precision):
        reg = DNNRegressor((32,), max_iter=60, precision=one, random_state=0)
        found[one] = reg.fit(X[:300], y[:300]).score(X[300:], y[300:])
    assert abs(found[precision] - found["float64"]) < 0.02
    assert found["float64"] > 0.3


@pytest.mark.parametrize("precision", SIXTEEN)
def test_images_train_as_in_float64(digits, precision):
    X, X_test, y, y_test = digits

    def net(x, num_classes):
        x = layers.conv2d(x, 8, 3, normalizer_fn=layers.batch_norm)
        x = layers.max_pool2d(x, 2)
        return layers.fully_connected(
            layers.flatten(x), num_classes, activation_fn=None
        )

    def fitted(one):
        clf = ConvNetClassifier(
            net, image_shape=(8, 8, 1), max_iter=6, precision=one, random_state=0
        )
        return clf.fit(X, y)

    wide, near = fitted("float64"), fitted(precision)
    assert near.score(X_test, y_test) > wide.score(X_test, y_test) - 0.03 > 0.85


@pytest.mark.parametrize("precision", SIXTEEN)
def test_predictions_are_near_those_of_float64_with_the_same_weights(digits, precision):
    X, X_test, y, _ = digits
    clf = DNNClassifier((64, 32), max_iter=10, precision=precision, random_state=0)
    near = clf.fit(X, y).predict_proba(X_test)
    wide = DNNClassifier((64, 32), max_iter=1, precision="float64").fit(X, y)
    wide.set_weights(clf)
    error = np.abs(near - wide.predict_proba(X_test)).max()
    assert ERROR[precision] / 300 < error < ERROR[precision]


@pytest.mark.parametrize("precision", SIXTEEN)
def test_a_row_has_the_same_bits_in_any_batch(digits, precision):
    X, X_test, y, _ = digits
    clf = DNNClassifier((64,), max_iter=2, precision=precision, random_state=0)
    whole = clf.fit(X, y).predict_proba(X_test)
    for part in (X_test[7:8], X_test[3:40]):
        at = np.flatnonzero((X_test == part[0]).all(axis=1))[0]
        one = clf.predict_proba(part)
        np.testing.assert_array_equal(one, whole[at : at + len(part)])


@pytest.mark.parametrize("precision", SIXTEEN)
def test_clone_pickle_and_set_params_keep_it(digits, precision):
    X, X_test, y, _ = digits
    clf = DNNClassifier((16,), max_iter=3, precision=precision, random_state=0)
    clf.fit(X, y)
    assert clone(clf).precision == precision
    again = pickle.loads(pickle.dumps(clf))
    np.testing.assert_array_equal(
        again.predict_proba(X_test), clf.predict_proba(X_test)
    )
    for name, state in clf.program_.states.items():
        np.testing.assert_array_equal(again.program_.states[name], state)
    clf.set_params(precision="float32").fit(X, y)
    assert "compute" not in clf.program_.text
    assert not clf.program_.states


@pytest.mark.parametrize("precision", SIXTEEN)
def test_halves_of_a_fit_have_the_bytes_of_the_whole(digits, precision):
    X, _, y, _ = digits
    settings = {"precision": precision, "random_state": 0, "warm_start": True}
    whole = DNNClassifier((16,), max_iter=6, **settings).fit(X, y)
    half = DNNClassifier((16,), max_iter=3, **settings).fit(X, y)
    half = pickle.loads(pickle.dumps(half)).fit(X, y)
    for name in ("params", "state"):
        np.testing.assert_array_equal(
            getattr(half.program_, name), getattr(whole.program_, name)
        )


@pytest.mark.parametrize("precision", SIXTEEN)
def test_partial_fit(digits, precision):
    X, X_test, y, y_test = digits
    clf = DNNClassifier((32,), precision=precision, random_state=0)
    for _ in range(12):
        clf.partial_fit(X, y, classes=np.arange(10))
    assert clf.score(X_test, y_test) > 0.9
    if precision == "float16":
        steps = clf.program_.states["loss_scale/steps"]
        assert 12 * (len(X) // 200) <= steps < 2000


def test_going_on_in_another_precision(digits):
    X, X_test, y, y_test = digits
    clf = DNNClassifier((32,), max_iter=8, warm_start=True, random_state=0)
    for precision in ("float32", "float16", "auto", "bfloat16", "float32"):
        clf.set_params(precision=precision).fit(X, y)
        word = {"auto": "float16", "float32": ""}.get(precision, precision)
        assert clf.program_.model.compute == word
        assert bool(clf.program_.states) == (word == "float16")
    assert clf.score(X_test, y_test) > 0.93


def test_the_loss_scale_is_no_weight(digits):
    X, _, y, _ = digits
    clf = DNNClassifier((8,), max_iter=1, precision="float16").fit(X, y)
    assert clf.program_.states["loss_scale/scale"] == 2.0**16
    assert list(clf.get_weights()) == ["fc1", "logits"]
    plain = DNNClassifier((8,), max_iter=1).fit(X, y).set_weights(clf.program_)
    clf.set_weights(plain.program_)
    assert clf.program_.states["loss_scale/scale"] == 2.0**16


def steep(x, num_classes):
    """Gradients are large inside: they overflow at the first scales."""
    x = layers.fully_connected(x, 16)
    return layers.fully_connected(x, num_classes, activation_fn=None) * 4096.0


@pytest.mark.parametrize("accumulate", [1, 2])
def test_steps_that_overflow_are_left_out(digits, accumulate):
    X, _, y, _ = digits
    clf = NetworkClassifier(
        steep, batch_size=256, accumulate=accumulate, precision="float16",
        max_iter=5, optimizer="sgd", learning_rate=1e-9, random_state=0,
    )  # fmt: skip
    clf.fit(X, y)
    scale = float(clf.program_.states["loss_scale/scale"])
    assert scale < 2.0**16
    assert np.log2(scale) % 1 == 0
    assert clf.program_.states["loss_scale/steps"] > 0


def test_training_is_numpys_where_steps_are_left_out(digits):
    X, _, y, _ = digits
    clf = NetworkClassifier(
        steep,
        max_iter=1,
        precision="float16",
        optimizer=SGD(momentum=0.0),
        learning_rate=1e-9,
        random_state=0,
    ).fit(X, y)
    program = clf.program_.copy().initialize(5)
    twin, sources = program.copy(), {"X": X, "y": y.astype(np.int32)}
    settings = {"batch_size": 50, "shuffle": False, "hypers": {"momentum": 0.0}}
    declared = set(engine.compile(program.text).native.hypers())
    settings["hypers"] = {k: v for k, v in settings["hypers"].items() if k in declared}
    native = engine.compile(program.text).trainer(program, sources, **settings)
    slots = twin.slot_views(twin.allocate_slots())
    numpys = reference.Trainer(
        twin.model, twin.weights, twin.states, slots, sources, **settings
    )
    steps = native.info()["steps"]
    rates, left_out = np.full(steps, 1e-6), 0
    for epoch in range(2):
        before = float(program.states["loss_scale/scale"])
        native.epoch(epoch, epoch * steps, rates)
        numpys.epoch(epoch, epoch * steps, rates)
        left_out += np.log2(before / program.states["loss_scale/scale"])
        for name, state in program.states.items():
            np.testing.assert_array_equal(state, twin.states[name], err_msg=name)
        for name, weights in program.weights.items():
            np.testing.assert_allclose(
                weights, twin.weights[name], rtol=0, atol=1e-3, err_msg=name
            )
    assert 0 < left_out < steps


def test_nothing_moves_in_a_step_that_is_left_out(digits):
    X, _, y, _ = digits

    def normed(x, num_classes):
        x = layers.batch_norm(x)
        return steep(x, num_classes)

    clf = NetworkClassifier(normed, max_iter=1, precision="float16", random_state=0)
    clf.fit(X, y)
    program = clf.program_.copy().initialize(5)
    params = program.params.copy()
    states = {name: array.copy() for name, array in program.states.items()}
    native = engine.compile(program.text).trainer(
        program, {"X": X, "y": y.astype(np.int32)}, batch_size=len(X),
        hypers={"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8},
    )  # fmt: skip
    native.epoch(0, 0, [1e-3])
    np.testing.assert_array_equal(program.params, params)
    assert not native._slots.any()
    assert program.states["loss_scale/scale"] == 2.0**15
    for name, array in states.items():
        if not name.startswith("loss_scale"):
            np.testing.assert_array_equal(program.states[name], array)


def test_a_gradient_that_never_is_finite_is_an_error(digits):
    X, _, y, _ = digits

    def broken(x, num_classes):
        y = layers.fully_connected(x, num_classes, activation_fn=None)
        return y + ops.sqrt(y - y)

    clf = NetworkClassifier(
        broken, max_iter=20, precision="float16", batch_size=len(X) // 2 + 1
    )
    with pytest.raises(ValueError, match=r"step 17.*gradient"):
        clf.fit(X, y)


def test_optimizers_of_all_rows_refuse_it(digits):
    X, _, y, _ = digits
    clf = DNNClassifier((8,), optimizer="lbfgs", precision="bfloat16")
    with pytest.raises(ValueError, match="precision='bfloat16' rounds what is mult"):
        clf.fit(X, y)
    with pytest.raises(ValueError, match="The 'precision' parameter"):
        DNNClassifier((8,), precision="float8").fit(X, y)
