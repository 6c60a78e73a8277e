"""accumulate: several batches a step, as one larger batch."""

import numpy as np
import pytest
from scipy import sparse

from slimlearn import (
    DNNClassifier,
    DNNRegressor,
    LinearClassifier,
    NetworkClassifier,
    layers,
    network,
)
from slimlearn.backend import ops

RNG = np.random.default_rng(0)
X = RNG.normal(size=(203, 6))
Y = (X[:, 0] + X[:, 1] > 0).astype(int)
WEIGHTS = RNG.uniform(0.2, 3.0, len(X))
SPARSE = sparse.random_array((203, 40), density=0.1, rng=0, format="csr")


@network
def active(x):
    net = layers.fully_connected(x, 8, scope="fc1")
    layers.losses.add_loss(ops.mul(ops.reduce_mean(ops.square(net)), 0.1))
    return net


CASES = {
    "plain": (DNNClassifier((8,)), X),
    "dropout": (DNNClassifier((8, 5), dropout=0.3), X),
    "l2 and clipping": (DNNRegressor((8,), l2_regularization=0.1), X),
    "clipped": (DNNClassifier((8,), gradient_clip_norm=0.1), X),
    "sgd": (DNNClassifier((8,), optimizer="sgd"), X),
    "penalty of the activity": (NetworkClassifier(active()), X),
    "sparse": (LinearClassifier(optimizer="adagrad"), SPARSE),
}


def pair(estimator, rows, **options):
    common = {"max_iter": 4, "random_state": 0, "precision": "float64", **options}
    whole = type(estimator)(**{**estimator.get_params(deep=False), **common})
    whole.set_params(batch_size=48)
    parts = type(estimator)(**{**estimator.get_params(deep=False), **common})
    return whole, parts.set_params(batch_size=16, accumulate=3)


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["alike", "weighted"])
@pytest.mark.parametrize("case", CASES)
def test_accumulated_batches_are_one_larger_batch(case, weights):
    whole, parts = pair(*CASES[case])
    rows = CASES[case][1]
    whole.fit(rows, Y, weights)
    parts.fit(rows, Y, weights)
    np.testing.assert_allclose(parts.loss_curve_, whole.loss_curve_, rtol=1e-9)
    for name, array in whole.program_.weights.items():
        np.testing.assert_allclose(
            parts.program_.weights[name], array, rtol=1e-7, atol=1e-10, err_msg=name
        )


def test_batch_normalization_goes_by_each_batch():
    whole, parts = pair(DNNClassifier((8,), batch_norm=True), X, max_iter=80)
    whole.fit(X, Y)
    parts.fit(X, Y)
    assert np.isfinite(parts.loss_curve_).all()
    assert parts.loss_curve_ != whole.loss_curve_
    assert parts.score(X, Y) > 0.8


def test_chunks_accumulate_within_each():
    whole, parts = pair(DNNClassifier((8,)), X)
    chunks = [(X[:100], Y[:100]), (X[100:], Y[100:])]
    whole.fit_chunks(chunks)
    parts.fit_chunks(chunks)
    np.testing.assert_allclose(parts.loss_curve_, whole.loss_curve_, rtol=1e-9)


@pytest.mark.parametrize("value", [0, -3, 1.5, "2", None])
def test_what_is_no_number_of_batches_is_refused(value):
    with pytest.raises(ValueError, match="The 'accumulate' parameter of DNNClassifier"):
        DNNClassifier(accumulate=value).fit(X, Y)


@pytest.mark.parametrize("most", [14, 10**6, 2**70])
def test_more_batches_than_rows_make_one_step(most):
    clf = DNNClassifier((4,), batch_size=16, accumulate=most, max_iter=3)
    assert clf.fit(X, Y)._progress.step == 3
