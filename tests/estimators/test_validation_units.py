"""Rows of validation that were not scaled as the others, and rows that are right."""

import warnings

import numpy as np
import pandas as pd
import pytest
import sklearn
from scipy.sparse import csr_array
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import (
    load_breast_cancer,
    load_diabetes,
    load_digits,
    load_iris,
    load_wine,
)
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from slimlearn import Autoencoder, DNNClassifier, DNNRegressor, NetworkRegressor

FEW = {"max_iter": 1, "random_state": 0}
SETS = {
    "iris": (load_iris, DNNClassifier),
    "wine": (load_wine, DNNClassifier),
    "digits": (load_digits, DNNClassifier),
    "cancer": (load_breast_cancer, DNNClassifier),
    "diabetes": (load_diabetes, DNNRegressor),
}


def warned(call, *data, **options):
    """Return the warnings about units of a fit."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        call(*data, **options)
    found = [w for w in found if "lies far from" in str(w.message)]
    assert all(w.filename == __file__ for w in found)
    return [str(w.message) for w in found]


@pytest.fixture(params=SETS)
def parts(request):
    load, kind = SETS[request.param]
    x, y = load(return_X_y=True)
    return kind((4,), **FEW), *train_test_split(x, y, random_state=0)


def test_raw_rows_beside_scaled_ones_are_told(parts):
    model, x, raw, y, own = parts
    step = type(model).__name__.lower()
    pipe = make_pipeline(StandardScaler(), model)
    data = {f"{step}__X_val": raw, f"{step}__y_val": own}
    [told] = warned(pipe.fit, x, y, **data)
    assert "X_val lies far from X in columns [" in told
    assert "transform_input=['X_val']" in told and "set_fit_request(X_val=True" in told
    data[f"{step}__X_val"] = pipe[0].transform(raw)
    assert warned(pipe.fit, x, y, **data) == []


def test_the_way_that_the_warning_names(parts):
    model, x, raw, y, own = parts
    with sklearn.config_context(enable_metadata_routing=True):
        model.set_fit_request(X_val=True, y_val=True)
        steps = [("scale", StandardScaler()), ("net", model)]
        pipe = Pipeline(steps, transform_input=["X_val"])
        assert warned(pipe.fit, x, y, X_val=raw, y_val=own) == []


@pytest.mark.parametrize("rows", [1, 2, 5, 30])
def test_rows_of_the_same_kind_are_not_told(parts, rows):
    model, x, held, y, own = parts
    for begin in range(0, len(held) - rows, max(rows, len(held) // 8)):
        part = slice(begin, begin + rows)
        assert warned(model.fit, x, y, X_val=held[part], y_val=own[part]) == []


R = np.random.default_rng(0)
X = R.normal(size=(200, 8))
Y = X @ np.arange(8.0)


def test_columns_that_drift_are_not_told():
    later = X.copy()
    later[:, 0] += 50  # such as the date
    assert warned(DNNRegressor((4,), **FEW).fit, X, Y, X_val=later, y_val=Y) == []
    later[:, 1] += 50
    assert warned(DNNRegressor((4,), **FEW).fit, X, Y, X_val=later, y_val=Y) != []


def test_columns_that_never_vary_are_not_told():
    x = np.zeros((200, 8))
    x[:, :2] = X[:, :2]
    assert warned(DNNRegressor((4,), **FEW).fit, x, Y, X_val=X, y_val=Y) == []
    heavy = R.pareto(1.5, size=(200, 8))
    for row in range(100):
        one = heavy[row : row + 1]
        fit = DNNRegressor((4,), **FEW).fit
        assert warned(fit, heavy[100:], Y[100:], X_val=one, y_val=Y[:1]) == []


def test_targets_in_other_units_are_told():
    inner = DNNRegressor((4,), **FEW)
    model = TransformedTargetRegressor(inner, transformer=StandardScaler())
    [told] = warned(model.fit, X, Y * 100 + 4e3, X_val=X, y_val=Y * 100 + 4e3)
    assert "y_val lies far from y" in told and "transform y_val" in told
    both = np.stack([Y, Y], 1)
    assert warned(inner.fit, X, both, X_val=X, y_val=both) == []
    assert warned(inner.fit, X, both, X_val=X, y_val=both * 1000) != []


@pytest.mark.parametrize("form", [pd.DataFrame, csr_array, np.asfortranarray])
def test_other_forms(form):
    told = warned(
        DNNRegressor((4,), **FEW).fit, form(X), Y, X_val=form(X * 100 + 500), y_val=Y
    )
    assert len(told) == (form is not csr_array)
    told = warned(Autoencoder((4,), **FEW).fit, X, X_val=X * 100)
    assert len(told) == 1 and "X_val" in told[0]


def test_inputs_by_name():
    frame = pd.DataFrame(X, columns=list("abcdefgh"))
    frame["id"] = np.arange(200)
    inputs = {"num": list("abcd"), "one": "e", "id": "id"}
    reg = NetworkRegressor(lambda x: x["num"], inputs=inputs, **FEW)
    later = frame.assign(id=frame["id"] + 100_000)
    fits = {"X_val": later, "y_val": Y}
    assert warned(reg.fit, frame, Y, **fits) == []
    fits["X_val"] = later.assign(c=later["c"] + 99)
    [told] = warned(reg.fit, frame, Y, **fits)
    assert "in columns ['c']" in told
    fits["X_val"] = later.assign(e=later["e"] + 99)
    [told] = warned(reg.fit, frame, Y, **fits)
    assert "in columns ['e']" in told
