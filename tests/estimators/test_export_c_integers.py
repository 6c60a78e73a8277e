"""Networks of 8 bits in C: what they lose is what was told, and it is little."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.datasets import load_digits

from slimlearn import (
    ConvNetClassifier,
    DNNClassifier,
    DNNRegressor,
    LinearRegressor,
    SequenceClassifier,
)
from tests.support.exported_c import compiled, run_program

X, Y = load_digits(return_X_y=True)
X, Y = (X[:700] / 16).astype(np.float32), Y[:700]
SOME = slice(0, 200)


def dense():
    settings = {"batch_norm": True, "max_iter": 15, "random_state": 0}
    return DNNClassifier((48, 33), **settings).fit(X, Y), X, {}


def convolved():
    images = X.reshape(-1, 8, 8, 1)
    return ConvNetClassifier(max_iter=4, random_state=0).fit(images, Y), images, {}


def recurrent():
    steps = X.reshape(-1, 8, 8)
    estimator = SequenceClassifier(cell="gru", max_iter=6, random_state=0)
    return estimator.fit(steps, Y), steps, {"length": 8}


def embedded():
    words = (X[:, :24] * 8).astype(np.int32)
    estimator = SequenceClassifier(cell="conv", max_iter=2, random_state=0)
    return estimator.fit(words, Y), words, {"length": 24}


@pytest.mark.parametrize("make", [dense, convolved, recurrent, embedded])
def test_what_is_lost_is_told(tmp_path, capsys, make):
    estimator, rows, options = make()
    plain = estimator.export_c(tmp_path / "net.c", **options)
    data = {"X_calibration": rows[SOME], "y_calibration": Y[SOME]}
    options = {**options, "precision": "int8", **data}
    made = estimator.export_c(tmp_path / "net.c", **options)
    assert capsys.readouterr().out == f"{type(estimator).__name__}: {made.loss}\n"
    assert made.weight_bytes < 0.32 * plain.weight_bytes
    loss = made.loss
    assert loss.rows == 200
    assert loss.agreement >= 0.97
    assert loss.score == pytest.approx(loss.score_before, abs=0.015)
    flags = "-O1 -fsanitize=undefined -fno-sanitize-recover=all"
    net = compiled(estimator, tmp_path, flags, **options)
    want, got = estimator.predict_proba(rows), net.rows("predict_proba", rows)
    found = np.abs(got - want)[SOME].max()
    assert 0 < loss.difference == pytest.approx(found, abs=1e-4)
    assert np.mean(got.argmax(1) == want.argmax(1)) >= 0.97


@pytest.mark.parametrize(("apart", "real"), [(1, 1), (100, 2)])
def test_regressors_of_inputs_far_from_zero(tmp_path, apart, real):
    far = X[:, :5] * 4 + apart
    estimator = DNNRegressor((16,), max_iter=30, random_state=0).fit(far, Y)
    options = {"precision": "int8", "X_calibration": far, "y_calibration": Y}
    made = estimator.export_c(tmp_path / "net.c", **options)
    assert made.loss.agreement is None
    assert "R²" in str(made.loss)
    assert made.loss.real == real
    assert f"{real} of the arrays stay real numbers" in str(made.loss)
    got = compiled(estimator, tmp_path, **options).rows("predict", far)[:, 0]
    found = np.abs(got - estimator.predict(far)).max()
    assert made.loss.difference == pytest.approx(found, rel=1e-3, abs=1e-3)


def test_sums_that_cancel_stay_real_numbers(tmp_path):
    """Columns that are nearly the same, whose difference tells y."""
    one = X[:, 20:28] + np.random.default_rng(0).normal(size=(len(X), 8))
    rows = np.concatenate((one, one + 0.01 * X[:, 36:44]), axis=1)
    y = X[:, 36:44].sum(axis=1)
    estimator = LinearRegressor(random_state=0).fit(rows, y)
    options = {"X_calibration": rows[SOME], "y_calibration": y[SOME]}
    options["precision"] = "int8"
    net = compiled(estimator, tmp_path, **options)
    loss = estimator.export_c(tmp_path / "net.c", **options).loss
    assert loss.real == 1 and loss.score_before > 0.99
    assert loss.score == loss.score_before
    want, got = estimator.predict(rows), net.rows("predict", rows.astype(np.float32))
    assert_allclose(got[:, 0], want, atol=0.05 * y.std())


@pytest.mark.parametrize("count", [1, 2])
def test_rows_that_are_alike_say_nothing_of_what_cancels(tmp_path, count):
    estimator = DNNRegressor((4,), max_iter=1, random_state=0).fit(X[:, :3], Y)
    alike = np.repeat(X[5:6, :3], count, axis=0)
    options = {"precision": "int8", "X_calibration": alike}
    assert estimator.export_c(tmp_path / "net.c", **options).loss.real == 0


def test_rows_beyond_the_calibration_are_cut_off(tmp_path):
    estimator = DNNRegressor((4,), max_iter=1, random_state=0).fit(X[:, :3], Y)
    options = {"precision": "int8", "X_calibration": X[SOME, :3]}
    estimator.export_c(tmp_path / "net.c", **options)
    far = np.array([[1e30, -1e30, 1e-30], [0, 0, 0], [2, -2, 1]], np.float32)
    flags = "-O1 -fsanitize=address,undefined -fno-sanitize-recover=all"
    got = run_program(tmp_path, f"gcc {flags}", "", far)
    assert np.isfinite(got).all()
    inside = np.clip(far[0], 0, X[SOME, :3].max())
    near = run_program(tmp_path, "gcc", "", inside[np.newaxis])
    assert_allclose(got[0], near[0], atol=0.05 * np.abs(Y).max())


def test_calibration_rows_are_checked(tmp_path):
    estimator = DNNClassifier((4,), max_iter=1).fit(X[:, :4], Y)
    path = tmp_path / "net.c"
    with pytest.raises(ValueError, match="'int8' needs X_calibration"):
        estimator.export_c(path, precision="int8")
    with pytest.raises(ValueError, match="other precisions take none"):
        estimator.export_c(path, X_calibration=X[:, :4])
    with pytest.raises(ValueError, match=r"X has 5 features, but .* is expecting 4"):
        estimator.export_c(path, precision="int8", X_calibration=X[:, :5])
    with pytest.raises(ValueError, match="0 sample"):
        estimator.export_c(path, precision="int8", X_calibration=X[:0, :4])
    with pytest.raises(ValueError, match="contains NaN"):
        bad = np.full((2, 4), np.nan)
        estimator.export_c(path, precision="int8", X_calibration=bad)
    with pytest.raises(ValueError, match="has 3 rows and X_calibration 700"):
        options = {"X_calibration": X[:, :4], "y_calibration": Y[:3]}
        estimator.export_c(path, precision="int8", **options)
    with pytest.raises(ValueError, match=r"y_calibration: y holds labels .*'0', '1'"):
        options = {"X_calibration": X[:, :4], "y_calibration": Y.astype(str)}
        estimator.export_c(path, precision="int8", **options)
    assert list(tmp_path.iterdir()) == []


def test_labels_of_another_type_are_the_same_labels(tmp_path):
    classifier = DNNClassifier((), max_iter=2, random_state=0).fit(X, Y)
    told = set()
    for y in (Y, Y.astype(float), Y.astype(object), Y[:, np.newaxis].tolist()):
        options = {"X_calibration": X, "y_calibration": y}
        made = classifier.export_c(tmp_path / "n.c", precision="int8", **options)
        told.add(made.loss)
    assert len(told) == 1 and told.pop().score > 0.2
