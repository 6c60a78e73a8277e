"""Nodes that users write, in networks of estimators."""

import itertools
import os
import pickle
import signal
import subprocess
import sys
import threading
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import cross_val_score

import slimlearn
from slimlearn import NetworkClassifier, NetworkRegressor, layers, ops
from slimlearn.backend import engine, reference
from slimlearn.backend.autodiff import gradients
from slimlearn.backend.graph import Model
from slimlearn.backend.program import Program
from slimlearn.backend.shape import B


def softsign_of(x):
    return x / (1 + np.abs(x))


def softsign_slope(dy, y, x):
    return dy / np.square(1 + np.abs(x))


softsign = ops.custom(softsign_of, softsign_slope, by_row=True)


def bilinear_of(x, w):
    return np.einsum("ni,ijk,nj->nk", x, w, x).astype(x.dtype, copy=False)


def bilinear_slopes(dy, y, x, w):
    dx = np.einsum("nk,ijk,nj->ni", dy, w, x) + np.einsum("nk,ijk,ni->nj", dy, w, x)
    dw = np.einsum("nk,ni,nj->ijk", dy, x, x)
    return dx.astype(x.dtype), dw.astype(w.dtype)


bilinear = ops.custom(
    bilinear_of, bilinear_slopes, shape=lambda x, w: (x[0], w[2]), by_row=True
)


def of_softsign(x, num_classes):
    x = softsign(layers.fully_connected(x, 32, activation_fn=None))
    return layers.fully_connected(x, num_classes, activation_fn=None)


def of_ops(x, num_classes):
    x = layers.fully_connected(x, 32, activation_fn=None)
    x = x / (1 + ops.abs(x))
    return layers.fully_connected(x, num_classes, activation_fn=None)


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return (X / 16).astype(np.float32), y


def test_it_trains_as_ops_do(digits):
    X, y = digits
    settings = {"max_iter": 8, "random_state": 0, "precision": "float64"}
    mine = NetworkClassifier(of_softsign, **settings).fit(X, y)
    theirs = NetworkClassifier(of_ops, **settings).fit(X, y)
    np.testing.assert_allclose(
        mine.predict_proba(X), theirs.predict_proba(X), rtol=1e-9, atol=1e-12
    )
    assert mine.score(X, y) > 0.9


@pytest.mark.parametrize("n_threads", [1, 2, 5])
def test_threads_and_batches_change_no_bit(digits, n_threads):
    X, y = digits
    settings = {"max_iter": 2, "random_state": 0, "batch_size": 600}
    one = NetworkClassifier(of_softsign, n_threads=1, **settings).fit(X, y)
    some = NetworkClassifier(of_softsign, n_threads=n_threads, **settings).fit(X, y)
    whole = some.predict_proba(X)
    np.testing.assert_array_equal(whole, one.predict_proba(X))
    np.testing.assert_array_equal(some.predict_proba(X[70:71]), whole[70:71])
    np.testing.assert_array_equal(some.predict_proba(X[5:400]), whole[5:400])


def test_several_operands_and_another_shape():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((400, 3)).astype(np.float32)
    y = X[:, 0] * X[:, 1] + X[:, 2] * X[:, 1]

    def net(x, num_outputs):
        w = layers.variable(
            "w", (3, 3, num_outputs), initializer=layers.xavier_initializer()
        )
        return bilinear(x, w)

    reg = NetworkRegressor(net, max_iter=200, learning_rate=0.02, random_state=0)
    assert reg.fit(X, y).score(X, y) > 0.99


def test_gradients_are_checked():
    rng = np.random.default_rng(0)
    softsign.check_gradient(rng.standard_normal((3, 4)))
    bilinear.check_gradient(rng.standard_normal((3, 2)), rng.standard_normal((2, 2, 2)))
    wrong = ops.custom(np.square, lambda dy, y, x: dy * x, name="test:wrong")
    with pytest.raises(AssertionError, match=r"test:wrong: the gradient of operand 0"):
        wrong.check_gradient([1.0, 2.0])


class Scaled:
    def __init__(self, factor):
        self.factor = factor

    def forward(self, x):
        return x * self.factor

    def gradient(self, dy, y, x):
        return dy * self.factor


def test_methods_of_objects_need_a_name():
    """Those of two objects would have one."""
    with pytest.raises(ValueError, match=r"Scaled\.forward has no name by which"):
        ops.custom(Scaled(2.0).forward)


def scaled(factor, name="test:scaled"):
    return ops.custom(lambda x: x * factor, lambda dy, y, x: dy * factor, name=name)


def test_a_gradient_is_checked_with_the_functions_of_its_node():
    first = scaled(2.0)
    scaled(3.0)
    first.check_gradient([[1.0, 2.0]])


def test_a_gradient_that_cannot_be_checked_is_named():
    with pytest.raises(ValueError, match="test:none has no gradient: give"):
        ops.custom(np.tanh, name="test:none").check_gradient([1.0])
    with pytest.raises(ValueError, match="test:ints: no operand is an array of floats"):
        scaled(2, "test:ints").check_gradient([1, 2])


def test_a_name_that_changes_its_functions_warns():
    def of(node):
        return lambda x: node(x) * 2.0

    x = np.ones(3)
    slimlearn.function(of(scaled(2.0, "test:two")))(x)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = scaled(2.0, "test:two")
        slimlearn.function(of(again))(x)
    with pytest.warns(UserWarning, match="'test:two' was another node: networks that"):
        other = scaled(-5.0, "test:two")
    slimlearn.function(of(other))(x)
    with pytest.warns(UserWarning, match="'test:two' was another node"):
        slimlearn.function(of(again))(x)


def test_clone_pickle_and_search(digits):
    X, y = digits
    clf = NetworkClassifier(of_softsign, max_iter=3, random_state=0).fit(X, y)
    again = pickle.loads(pickle.dumps(clf))
    np.testing.assert_array_equal(again.predict_proba(X), clf.predict_proba(X))
    clone(clf).fit(X, y)
    assert cross_val_score(clf, X, y, cv=2, n_jobs=2).min() > 0.5
    assert pickle.loads(pickle.dumps(softsign)) is softsign


def test_another_process_says_what_it_lacks(digits, tmp_path):
    X, y = digits
    clf = NetworkClassifier(of_softsign, max_iter=1, random_state=0).fit(X, y)
    path = tmp_path / "program.slim"
    clf.program_.save(path)
    code = (
        "import numpy as np, sys\n"
        "from slimlearn.backend.program import Program\n"
        "from slimlearn.backend import engine\n"
        f"program = Program.load({str(path)!r})\n"
        "X = np.zeros((2, 64), np.float32)\n"
        "engine.compile(program.text).run('predict', {'X': X}, program)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode != 0
    assert "ImportError: the network has a node" in done.stderr
    assert "softsign_of' of the user's, which is not here: import" in done.stderr


COUNT = itertools.count()


def named(what: str) -> str:
    """Another name at each call."""
    return f"{next(COUNT)}:test:{what}"


def model_of(forward, gradient=None, **options):
    """One node on X, and where it has one its gradient."""
    node = ops.custom(forward, gradient, name=named("node"), **options)
    model = Model("f32")
    with model.function("f") as graph:
        x = ops.input_("X", (B, 3))
        y = node(x)
        graph.return_(y, *(gradients([y], [x]) if gradient else ()))
    return model


BAD = {
    "shape": (
        lambda x: x[:, :2],
        None,
        ValueError,
        r"test:node: forward returned shape \(4, 2\), needed is \(4, 3\)",
    ),
    "dtype": (
        lambda x: x.astype(np.float64),
        None,
        TypeError,
        r"forward returned float64, needed is float32: use \.astype\(np\.float32",
    ),
    "nothing": (lambda x: None, None, ValueError, r"forward returned shape \(\)"),
    "own": (lambda x: 1 / 0, None, ZeroDivisionError, "division by zero"),
    "gradient_shape": (
        lambda x: x,
        lambda dy, y, x: dy[:1],
        ValueError,
        r"gradient of operand 0 returned shape \(1, 3\)",
    ),
    "gradient_count": (
        lambda x: x,
        lambda dy, y, x: (dy, dy),
        ValueError,
        "gradient returned 2, needed are 1 arrays",
    ),
}


@pytest.mark.parametrize("fault", BAD)
def test_faults_come_out_as_they_are(fault):
    forward, gradient, kind, text = BAD[fault]
    model = model_of(forward, gradient)
    sources = {"X": np.ones((4, 3), np.float32)}
    with pytest.raises(kind, match=text):
        reference.run(model, "f", sources, {})
    compiled = engine.compile(str(model))
    for threads in (1, 2):
        with pytest.raises(kind, match=text):
            compiled.run("f", sources, Program(model=model), n_threads=threads)


def test_a_fault_within_fit_keeps_what_was_fitted(digits):
    X, y = digits
    calls = []

    def forward(x):
        calls.append(len(x))
        if len(calls) > 40:
            raise LookupError("no more")
        return x.copy()

    node = ops.custom(forward, lambda dy, y, x: dy, name=named("ends"))

    def net(x, num_classes):
        return layers.fully_connected(node(x), num_classes, activation_fn=None)

    clf = NetworkClassifier(net, max_iter=2, batch_size=200, random_state=0)
    clf.fit(X, y)
    before = clf.program_
    with pytest.raises(LookupError, match="no more"):
        clf.set_params(max_iter=50).fit(X, y)
    assert clf.program_ is before
    assert clf.n_iter_ == 2


def test_a_node_without_gradient_is_for_what_is_not_trained(digits):
    X, y = digits
    node = ops.custom(np.tanh, name="test:tanh")

    def data(x, num_classes):
        return layers.fully_connected(node(x), num_classes, activation_fn=None)

    def hidden(x, num_classes):
        x = node(layers.fully_connected(x, 8))
        return layers.fully_connected(x, num_classes, activation_fn=None)

    NetworkClassifier(data, max_iter=1).fit(X, y)
    with pytest.raises(ValueError, match=r"test:tanh has no gradient: give ops.custom"):
        NetworkClassifier(hidden, max_iter=1).fit(X, y)


def test_what_is_no_function_is_refused():
    with pytest.raises(TypeError, match="forward is a function of arrays, got 3"):
        ops.custom(3)
    with pytest.raises(TypeError, match="gradient is a function of arrays"):
        ops.custom(np.square, 3, name="a")
    with pytest.raises(ValueError, match="no name by which a pickle finds it"):
        ops.custom(lambda x: x)
    with pytest.raises(TypeError, match=r"\[custom softsign_of\] needs a tensor"):
        softsign()
    with pytest.raises(TypeError, match="needs a tensor of the network"):
        softsign(np.ones(3))


def test_operands_may_be_kept():
    kept = []

    def forward(x):
        kept.append(x)
        return x * 2

    model = model_of(forward)
    compiled, rows = engine.compile(str(model)), np.arange(12, dtype=np.float32)
    for i in range(3):
        compiled.run("f", {"X": rows.reshape(4, 3) + i}, Program(model=model))
    for i, array in enumerate(kept):
        np.testing.assert_array_equal(array, rows.reshape(4, 3) + i)


def test_denormals_are_numbers_inside():
    found = []

    def forward(x):
        found.append(float(np.float32(1e-38) * np.float32(0.1)))
        return x * 1

    model = model_of(forward)
    engine.compile(str(model)).run(
        "f", {"X": np.ones((2, 3), np.float32)}, Program(model=model)
    )
    assert found[-1] > 0


def test_threads_at_once(digits):
    X, y = digits
    clf = NetworkClassifier(of_softsign, max_iter=1, random_state=0).fit(X, y)
    want, found = clf.predict_proba(X), {}

    def work(i):
        found[i] = clf.predict_proba(X[i : i + 900])

    threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i, got in found.items():
        np.testing.assert_array_equal(got, want[i : i + 900])


@pytest.mark.parametrize("n_threads", [1, 2])
def test_ctrl_c_keeps_whole_epochs(digits, n_threads):
    X, y = digits
    seen = []

    def forward(x):
        seen.append(len(x))
        if len(seen) == 120:
            os.kill(os.getpid(), signal.SIGINT)
        return x.copy()

    node = ops.custom(forward, lambda dy, y, x: dy, name=named("stops"))

    def net(x, num_classes):
        return layers.fully_connected(node(x), num_classes, activation_fn=None)

    clf = NetworkClassifier(net, max_iter=10000, batch_size=100, n_threads=n_threads)
    with pytest.raises(KeyboardInterrupt):
        clf.fit(X, y)
    assert 1 <= clf.n_iter_ < 10000
    assert np.isfinite(next(iter(clf.program_.weights.values()))).all()
