"""Updates on a GPU that read sums over parameters, or of which the data decides."""

import numpy as np
import pytest
from scipy import sparse
from support.cuda import CUDA
from support.training_case import data, network
from test_cuda_training import TOLERANCE, assert_near, train_alike, twins
from test_measure import LAMB, LARS, SIZES, Centred, case_of_rows, refuses_rows

from slimlearn.backend import engine, ops
from slimlearn.backend.optimizer import SGD


class Twice(SGD):
    """One sum under two names, and another one between them."""

    def _rule(self, u):
        first = u.total(ops.square(u.weight), "first")
        slopes = u.total(ops.square(u.gradient), "slopes")
        again = u.total(ops.square(u.weight), "again")
        ratio = ops.sqrt(first + again) / (ops.sqrt(slopes) + 1e-3)
        return u.weight - u.gradient * u.scalar(u.learning_rate * ratio)


SUMMING = [LARS(), LAMB(), Centred(), Twice()]


def name_of(optimizer):
    return type(optimizer).__name__


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("precision", ["f32", "f64"])
@pytest.mark.parametrize("options", [{}, {"clip_norm": 0.05}], ids=["", "clip"])
@pytest.mark.parametrize("optimizer", SUMMING, ids=name_of)
@pytest.mark.usefixtures("each_way")
def test_updates_that_read_sums(optimizer, options, precision, sizes):
    model = network(precision, optimizer, clip=bool(options), sizes=sizes)
    given = data(97, precision, features=sizes[0], classes=sizes[2])
    segments = [{}, {}, {"frozen": True}, {}]
    train_alike(
        model, given, precision, optimizer=optimizer, segments=segments, **options
    )


@pytest.mark.usefixtures("each_way")
def test_more_stretches_than_a_warp_has_threads():
    sizes = (3000, 97, 5)
    given = data(40, "f64", features=sizes[0], classes=sizes[2])
    model = network("f64", LAMB(), sizes=sizes)
    train_alike(model, given, "f64", epochs=1, optimizer=LAMB())


@pytest.mark.parametrize("optimizer", SUMMING, ids=name_of)
def test_sums_of_steps_in_parts(optimizer):
    model = network("f64", optimizer, split=True, center=True)
    there, here = twins(model, data(97), optimizer=optimizer, accumulate=3)
    np.testing.assert_allclose(there.train(3), here.train(3), TOLERANCE["f64"])
    assert_near(there, here, "f64")


def test_the_same_sums_again():
    first, second = (
        train_alike(
            network("f32", LAMB(), sizes=SIZES[1]),
            data(97, "f32", features=300, classes=5),
            "f32",
            optimizer=LAMB(),
        )
        for _ in range(2)
    )
    assert first.program.params.tobytes() == second.program.params.tobytes()


@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize("optimizer", [LARS(), Centred()], ids=name_of)
@pytest.mark.usefixtures("each_way")
def test_a_sum_that_is_not_finite_moves_no_parameter(optimizer, accumulate):
    model = network("f32", optimizer, split=accumulate > 1, sizes=SIZES[1])
    given = data(97, "f32", features=300, classes=5)
    there, _ = twins(
        model, given, optimizer=optimizer, shuffle=False, accumulate=accumulate
    )
    there.sources["X"][:, 0] = 3e38
    there.sources["sample_weight"][:] = 100
    there.program.weights["fc1/weights"][0] = 0
    before = there.program.params.copy()
    with pytest.raises(ValueError, match=r"epoch 1, step 1: .* not finite"):
        there.train(1, rate=1.0)
    np.testing.assert_array_equal(there.program.params, before)
    there.sources["X"][:, 0] = 0
    there.train(1)
    assert np.isfinite(there.program.params.view(np.float32)).all()


def test_rows_have_no_sums():
    case = case_of_rows()
    case.compiled = engine.compile(case.program.text, device=CUDA)
    refuses_rows(case)


class Learned(SGD):
    """How far a weight moves is what a small network says."""

    def _rule(self, u):
        seen = ops.stack([u.gradient, u.weight])
        weights = ops.array([[0.5, -0.3, 0.2], [0.1, 0.4, -0.6]], seen.dtype)
        units = ops.tanh(ops.matmul(seen, weights)) * u.scalar(-u.learning_rate)
        return ops.reduce_sum(ops.concat([ops.stack([u.weight]), units]), -1)


@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize("precision", ["f32", "f64"])
@pytest.mark.usefixtures("each_way")
def test_products_in_updates(precision, accumulate):
    """A library is called before a step is recorded."""
    model = network(precision, Learned(), split=accumulate > 1)
    train_alike(
        model,
        data(97, precision),
        precision,
        optimizer=Learned(),
        accumulate=accumulate,
    )


class Branching(SGD):
    """The rate says which branch moves the weights."""

    def _rule(self, u):
        step = u.gradient * u.scalar(u.learning_rate)
        slow = u.learning_rate < ops.constant(0.05, u.learning_rate.dtype)
        return ops.cond(slow, lambda: u.weight - step * 2, lambda: u.weight - step)


class Doubling(SGD):
    """The rate is doubled until it is large."""

    def _rule(self, u):
        small = ops.constant(0.05, u.learning_rate.dtype)
        rate = ops.while_loop(lambda r: r < small, lambda r: r * 2, u.learning_rate)
        return u.weight - u.gradient * u.scalar(rate)


class Exchanging(SGD):
    """The gradient itself is the new weight."""

    def _rule(self, u):
        return u.gradient


class Summing(Doubling):
    """So far, and no further, as a sum says."""

    def _rule(self, u):
        far = u.total(ops.square(u.gradient), "squares")
        return ops.cond(
            far < ops.constant(1e-3, far.dtype),
            lambda: u.weight - u.gradient,
            lambda: super(Summing, self)._rule(u),
        )


DECIDING = [Branching(), Doubling(), Exchanging(), Summing()]


@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize("options", [{}, {"clip_norm": 0.05}], ids=["", "clip"])
@pytest.mark.parametrize("optimizer", DECIDING, ids=name_of)
@pytest.mark.usefixtures("each_way")
def test_updates_of_which_the_data_decides(optimizer, options, accumulate):
    model = network("f64", optimizer, clip=bool(options), split=accumulate > 1)
    there, here = twins(
        model, data(97), optimizer=optimizer, accumulate=accumulate, **options
    )
    np.testing.assert_allclose(there.train(3), here.train(3), TOLERANCE["f64"])
    assert_near(there, here, "f64")


@pytest.mark.parametrize("optimizer", DECIDING[:3], ids=name_of)
def test_rows_that_no_batch_touches(optimizer):
    """The first parameter has no gradient in some steps; the others have."""
    sources = data(64)
    sources["X"][:32] = 0
    sources["X"] = sparse.csr_array(sources["X"])
    model = network("f64", optimizer, sparse=True, rows=True)
    there, here = twins(model, sources, optimizer=optimizer, shuffle=False)
    np.testing.assert_allclose(there.train(2), here.train(2), TOLERANCE["f64"])
    assert_near(there, here, "f64")


@pytest.mark.parametrize("optimizer", DECIDING, ids=name_of)
def test_a_step_that_is_refused_moves_nothing(optimizer):
    sources = data(64)
    sources["X"][40] = np.nan
    there, here = twins(
        network("f64", optimizer), sources, optimizer=optimizer, shuffle=False
    )
    for case in (there, here):
        with pytest.raises(Exception, match=r"NaN|not finite|nan"):
            case.train(1)
    assert_near(there, here, "f64")


class Choosing(SGD):
    """A sum of what the rate chooses."""

    def _rule(self, u):
        slow = u.learning_rate < ops.constant(0.05, u.learning_rate.dtype)
        chosen = ops.cond(slow, lambda: u.weight, lambda: u.gradient * 2)
        return u.weight - u.gradient * u.scalar(u.total(chosen, "chosen"))


def test_sums_of_what_the_data_decides_are_refused():
    model = network("f64", Choosing())
    there, here = twins(model, data(64), optimizer=Choosing())
    here.train(1)
    with pytest.raises(ValueError, match=r"element by element: use device=\"cpu\""):
        there.train(1)
