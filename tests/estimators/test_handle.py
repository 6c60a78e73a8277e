"""What a fitted estimator keeps beside its program stays bounded."""

import gc

import numpy as np
import pytest
from sklearn.datasets import load_iris

from slimlearn import DNNClassifier
from slimlearn.backend.extract import extract
from slimlearn.estimators.handle import Handle
from slimlearn.estimators.inputs import DenseInput

X, Y = load_iris(return_X_y=True)


@pytest.fixture(scope="module")
def program():
    return DNNClassifier((4,), max_iter=1, random_state=0).fit(X, Y).program_


def handles():
    gc.collect()
    return sum(isinstance(thing, Handle) for thing in gc.get_objects())


def test_few_of_ten_thousand_parts_are_kept(program):
    handle = Handle(program, DenseInput(4), False)
    before = handles()
    for i in range(10_000):
        part = handle.part(i, lambda i=i: f"part {i}")
        assert part.text == f"part {i}" and part.program is program
    assert handles() - before <= 64
    assert handle.part(9_999, lambda: "made again") is part


def test_few_of_many_bound_functions_are_kept(program):
    handle = Handle(program, DenseInput(4), False)
    rows = np.ascontiguousarray(X[:3], dtype=np.float32)
    values = [handle.quick("predict", rows, n) for n in range(1, 500)]
    assert all(np.array_equal(v, values[0]) for v in values)
    assert len(handle._predictors) <= 64


def test_parts_compute_as_ever_after_they_left(program):
    handle = Handle(program, DenseInput(4), False)
    text = extract(program.model, "predict", ["fc1/relu"])
    first = handle.part("hidden", lambda: text).run("predict", X, 1)
    for i in range(100):
        handle.part(i, lambda: text)
    again = handle.part("hidden", lambda: text).run("predict", X, 1)
    assert np.array_equal(first, again)
