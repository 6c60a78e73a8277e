"""What the first rows of a training say, and what they cannot say yet."""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array

from slimlearn import Autoencoder, DNNClassifier, DNNRegressor
from slimlearn.estimators.losses import GaussianMixture, Ordinal

R = np.random.default_rng(0)
X = R.normal(size=(400, 4))
Z = X @ [1.0, 2, -1, 0.5] + 0.1 * R.normal(size=400)
BIG = 1e6 + 1e5 * Z
COUNTS = R.poisson(np.exp(2 + X[:, 0] * 0.5))


def regressor(**options):
    return DNNRegressor((16,), learning_rate=0.01, random_state=0, **options)


# -- centre and scale ------------------------------


@pytest.mark.parametrize("pieces", [[1], [1, 1, 1], [2], [29], [30], [1] * 40])
@pytest.mark.parametrize("several", [False, True], ids=["one", "two"])
def test_the_scale_of_y_is_not_that_of_its_first_rows(pieces, several):
    y = np.stack([BIG, Z * 1e-3], 1) if several else BIG
    reg, begin = regressor(), 0
    for rows in pieces:
        part = slice(begin, begin + rows)
        reg.partial_fit(X[part], y[part])
        begin += rows
    scale = np.array(reg._head.scale)
    for _ in range(30):
        reg.partial_fit(X, y)
    assert reg.score(X, y) > 0.98
    if begin >= 30:
        np.testing.assert_array_equal(reg._head.scale, scale)
    else:
        np.testing.assert_allclose(reg._head.scale, y.std(axis=0), rtol=0.05)


def test_an_output_that_begins_to_vary_late_leaves_the_others_alone():
    y = np.stack([BIG, np.full(400, 7.0)], 1)
    reg = regressor(warm_start=True, max_iter=20).fit(X, y)
    first = reg._head.scale[0], reg._head.center[0]
    np.testing.assert_allclose(reg.predict(X)[:, 1], 7.0, atol=1.0)
    y[:, 1] += 1e3 * Z
    y[:, 0] *= 2
    reg.fit(X, y)
    assert (reg._head.scale[0], reg._head.center[0]) == first
    reg.partial_fit(X, y)
    assert reg._head.scale[1] == pytest.approx(1e3 * Z.std() / 2**0.5, rel=0.3)
    kept = np.array(reg._head.scale)
    reg.partial_fit(X, y * 5)
    np.testing.assert_array_equal(reg._head.scale, kept)


def test_a_constant_target_of_a_fit_is_learned_when_it_varies():
    reg = regressor(warm_start=True, max_iter=40).fit(X, np.full(400, 3.0))
    fitted = reg._head
    assert reg.fit(X, BIG).score(X, BIG) > 0.98
    assert fitted.scale == 1.0 and fitted.center == 3.0


def test_a_failed_call_leaves_what_was_known():
    reg = regressor().partial_fit(X[:1], BIG[:1])
    head, known = reg._head, reg._head._seen
    with pytest.raises(ValueError, match="features"):
        reg.partial_fit(X[:, :2], BIG)
    with pytest.raises(ValueError, match="too large"):
        reg.partial_fit(X, BIG * 1e300)
    assert reg._head is head and head._seen is known


@pytest.mark.parametrize("loss", ["poisson", "tweedie"])
@pytest.mark.parametrize("unit", [1, 1000])
def test_counts_that_begin_with_zeros(loss, unit):
    reg = regressor(loss=loss).partial_fit(X[:5], np.zeros(5))
    for _ in range(40):
        reg.partial_fit(X, COUNTS * unit)
    whole = regressor(loss=loss, max_iter=40).fit(X, COUNTS * unit)
    assert reg.score(X, COUNTS * unit) > whole.score(X, COUNTS * unit) - 0.05


@pytest.mark.parametrize("loss", ["squared_error", "log_loss"])
def test_columns_of_an_autoencoder_that_begin_as_constants(loss):
    x = 1 / (1 + np.exp(-X[:, :1] * [1.0, -2.0, 3.0]))
    net = Autoencoder((8, 2), loss=loss, learning_rate=0.02, random_state=0)
    net.partial_fit(x[:1])
    for _ in range(60):
        net.partial_fit(x)
    assert net.score(x) > 0.9


def test_chunks_that_come_once_begin_with_rows_that_vary():
    def chunks(*sizes):
        return iter([(X[:n], BIG[:n]) for n in sizes])

    reg = regressor(max_iter=1)
    with pytest.raises(ValueError, match="y does not vary in the first chunk"):
        reg.fit_chunks(chunks(1, 400))
    reg.fit_chunks(chunks(40, 400))
    scale = reg._head.scale
    reg.partial_fit(X, BIG * 3)
    assert reg._head.scale == scale
    x = X.copy()
    x[:50, 1] = 5.0
    net = Autoencoder((8, 4), max_iter=1, random_state=0, learning_rate=0.01)
    with pytest.raises(ValueError, match="X does not vary in the first chunk"):
        net.fit_chunks(iter([x[:1], x]))
    net.fit_chunks(iter([x[:50]] + [x] * 60))
    assert np.corrcoef(net.reconstruct(x)[:, 1], x[:, 1])[0, 1] > 0.9


# -- every head ------------------------------

GRADES = R.integers(0, 4, 60)
SMALL = X[:60]
HEADS = {
    "binary": (DNNClassifier, {}, GRADES % 2, [0, 1]),
    "classes": (DNNClassifier, {}, GRADES, range(4)),
    "hinge": (DNNClassifier, {"loss": "hinge"}, GRADES, range(4)),
    "ordinal": (DNNClassifier, {"loss": Ordinal(order=[0, 1, 2, 3])}, GRADES, range(4)),
    "multilabel": (
        DNNClassifier,
        {},
        np.stack([GRADES > 0, GRADES > 1, GRADES > 2], 1).astype(int),
        range(3),
    ),
    "multioutput": (
        DNNClassifier,
        {},
        np.stack([GRADES, GRADES % 3], 1),
        [range(4), range(3)],
    ),
    "number": (DNNRegressor, {}, Z[:60], None),
    "numbers": (DNNRegressor, {}, np.stack([Z[:60], GRADES], 1), None),
    "huber": (DNNRegressor, {"loss": "huber"}, Z[:60], None),
    "quantile": (DNNRegressor, {"loss": "quantile", "quantile": 0.3}, Z[:60], None),
    "quantiles": (
        DNNRegressor,
        {"loss": "quantile", "quantile": (0.1, 0.5, 0.9)},
        np.stack([Z[:60], GRADES], 1),
        None,
    ),
    "distribution": (DNNRegressor, {"loss": "gaussian"}, Z[:60], None),
    "distributions": (
        DNNRegressor,
        {"loss": GaussianMixture()},
        np.stack([Z[:60], GRADES], 1),
        None,
    ),
    "counts": (DNNRegressor, {"loss": "poisson"}, GRADES, None),
    "amounts": (DNNRegressor, {"loss": "gamma"}, GRADES + 0.5, None),
    "several amounts": (
        DNNRegressor,
        {"loss": "tweedie"},
        np.stack([GRADES, GRADES + 1], 1),
        None,
    ),
}
CLASSES = ["binary", "classes", "hinge", "ordinal"]
NUMBERS = [name for name, row in HEADS.items() if row[0] is DNNRegressor]
CALLS = ["fit", "partial_fit"]
every_head = pytest.mark.parametrize("head", HEADS)
each_call = pytest.mark.parametrize("call", CALLS)


def first(head, call, x, y):
    """Return what a first call gives, which must not warn."""
    kind, options, _, known = HEADS[head]
    est = kind((4,), max_iter=2, random_state=0, **options)
    given = {}
    if call == "partial_fit" and known is not None:
        given = {"classes": known}
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        return getattr(est, call)(x, y, **given)


def check(est, y):
    """Check that predictions are finite, of y's shape, and known labels."""
    found = est.predict(SMALL)
    assert found.shape == (60, *np.shape(y)[1:])
    assert np.isfinite(np.asarray(found, dtype=float)).all()
    assert np.isfinite(est.loss_)
    if hasattr(est, "predict_proba"):
        parts = est.predict_proba(SMALL)
        for part in parts if isinstance(parts, list) else [parts]:
            assert np.isfinite(part).all() and (part >= 0).all() and (part <= 1).all()
    return found


@every_head
@each_call
def test_targets_that_are_all_the_same(head, call):
    y = np.repeat(HEADS[head][2][:1], 60, axis=0)
    if call == "fit" and head in CLASSES:
        with pytest.raises(ValueError, match="only one class"):
            first(head, call, SMALL, y)
        return
    est = first(head, call, SMALL, y)
    check(est, y)
    if not hasattr(est, "classes_"):
        # Its unit is unknown: it is given back, about, and others are learned later.
        est.set_params(learning_rate=0.05, warm_start=True, max_iter=40).fit(SMALL, y)
        if head != "distribution":  # whose deviation goes to 0
            np.testing.assert_allclose(est.predict(SMALL), y, rtol=0.2, atol=0.2)
        more = HEADS[head][2]
        est.partial_fit(SMALL, more).set_params(max_iter=100).fit(SMALL, more)
        if np.ndim(more) == 1 and head != "quantile":
            assert est.score(SMALL, more) > (0.5 if head in ("number", "huber") else 0)


@every_head
@each_call
def test_one_row(head, call):
    y = HEADS[head][2]
    if call == "fit" and head in CLASSES:
        with pytest.raises(ValueError, match="only one class"):
            first(head, call, SMALL[:1], y[:1])
        return
    check(first(head, call, SMALL[:1], y[:1]), y)
    est = first(head, "partial_fit", SMALL[:1], y[:1])
    for row in range(60):
        est.partial_fit(SMALL[row : row + 1], y[row : row + 1])
    check(est, y)


@every_head
@each_call
@pytest.mark.parametrize("missing", [None, np.nan, pd.NA], ids=str)
def test_missing_targets(head, call, missing):
    y = HEADS[head][2].astype(object)
    y[5] = missing
    with pytest.raises(ValueError, match=r"y contains NaN \(1 of 60, first in row 5\)"):
        first(head, call, SMALL, y)


@every_head
@each_call
@pytest.mark.parametrize("form", [np.asarray, np.ndarray.tolist, csr_array])
def test_no_rows(head, call, form):
    x = SMALL[:0] if form is not csr_array else csr_array(SMALL[:0])
    with pytest.raises(ValueError, match=r"0 sample|0 feature|Expected 2D array"):
        first(head, call, form(x) if form is not csr_array else x, HEADS[head][2][:0])


@pytest.mark.parametrize("head", CLASSES)
@each_call
def test_huge_labels(head, call):
    kind, options, y, _ = HEADS[head]
    labels = (y.astype(np.int64) - 1) * 2**61
    order = np.unique(labels).tolist()
    options = {"loss": Ordinal(order=order)} if head == "ordinal" else options
    est = kind((4,), max_iter=2, **options)
    given = {"classes": order} if call == "partial_fit" else {}
    getattr(est, call)(SMALL, labels, **given)
    assert est.classes_.tolist() == order
    assert np.isin(est.predict(SMALL), order).all()


@pytest.mark.parametrize("head", NUMBERS)
@each_call
@pytest.mark.parametrize("unit", [1e30, 1e-30, 1e160])
def test_huge_and_tiny_targets(head, call, unit):
    y = HEADS[head][2]
    try:
        est = first(head, call, SMALL, y * unit)
    except ValueError as error:
        # Squares of 1e160 are beyond float64.
        assert unit == 1e160 and "y is too large" in str(error)
        return
    found = check(est, y)
    plain = first(head, call, SMALL, y).predict(SMALL) * unit
    if head not in ("counts", "amounts", "several amounts"):
        np.testing.assert_allclose(found, plain, rtol=1e-6, atol=1e-6 * unit)


@pytest.mark.parametrize("head", NUMBERS)
@each_call
def test_infinite_targets(head, call):
    y = HEADS[head][2] * 1.0
    y[3] = np.inf
    for form in (y, y.astype(object)):
        with pytest.raises(ValueError, match="y contains infinity"):
            first(head, call, SMALL, form)
