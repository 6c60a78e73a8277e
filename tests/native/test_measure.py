"""Sums over parameters that an update reads: native is numpy, for any lanes."""

import numpy as np
import pytest
from scipy import sparse
from support.training_case import Case, data, network

from slimlearn.backend import engine, ops, reference
from slimlearn.backend.graph import Model
from slimlearn.backend.optimizer import SGD, Adam


def norm(u, value, name):
    return ops.sqrt(u.total(ops.square(value), name))


class LARS(SGD):
    """You, Gitman and Ginsburg (2017), without momentum."""

    def _rule(self, u):
        weights, slopes = norm(u, u.weight, "w2"), norm(u, u.gradient, "g2")
        ratio = weights / (slopes + 1e-3)
        return u.weight - u.gradient * u.scalar(u.learning_rate * ratio)


class LAMB(Adam):
    """You et al. (2020): the sum is over what slots and hypers make of the gradient."""

    def _rule(self, u):
        m = u.blend(u.slot("m"), u.gradient, u.hyper("beta1"))
        v = u.blend(u.slot("v"), ops.square(u.gradient), u.hyper("beta2"))
        step = m / (ops.sqrt(v) + 1e-6) + u.weight * 0.01
        ratio = norm(u, u.weight, "weights") / (norm(u, step, "steps") + 1e-9)
        return u.weight - step * u.scalar(u.learning_rate * ratio)


class Centred(SGD):
    """Yong et al. (2020): the gradient less its mean."""

    def _rule(self, u):
        mean = u.total(u.gradient, "slopes") / u.total(u.one, "count")
        return u.weight - (u.gradient - u.scalar(mean)) * u.scalar(u.learning_rate)


SIZES = [(20, 24, 3), (300, 97, 5)]


def built(optimizer, sizes=SIZES[0], precision="f64", **options):
    return Case(
        network(precision, optimizer, clip="clip_norm" in options, sizes=sizes),
        data(precision=precision, features=sizes[0], classes=sizes[2]),
        optimizer=optimizer,
        **options,
    )


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("options", [{}, {"clip_norm": 0.05}], ids=["", "clip"])
@pytest.mark.parametrize("optimizer", [LARS(), LAMB(), Centred()], ids=repr)
def test_updates_that_read_sums_are_numpy_s(optimizer, options, sizes):
    case = built(optimizer, sizes, **options)
    oracle, twin = case.oracle()
    steps = case.trainer().info()["steps"]
    trainer = case.trainer()
    for epoch in range(2):
        rates = np.full(steps, 1e-2)
        trainer.epoch(epoch, epoch * steps, rates)
        oracle.epoch(epoch, epoch * steps, rates)
    for name, weights in case.program.weights.items():
        np.testing.assert_allclose(
            weights, twin.weights[name], rtol=1e-9, atol=1e-11, err_msg=name
        )


@pytest.mark.parametrize("optimizer", [LARS(), LAMB(), Centred()], ids=repr)
def test_any_number_of_lanes_adds_in_one_order(optimizer):
    runs = []
    for n_threads in (1, 2, 3):
        case = built(optimizer, SIZES[1], "f32", n_threads=n_threads)
        case.train(2)
        runs.append({name: w.copy() for name, w in case.program.weights.items()})
    for other in runs[1:]:
        for name, weights in runs[0].items():
            assert weights.tobytes() == other[name].tobytes(), name


def test_a_frozen_parameter_is_not_touched():
    case = built(LARS(), segments=[{}, {}, {"frozen": True}, {}])
    before = case.program.weights["fc2/weights"].copy()
    case.train(1)
    np.testing.assert_array_equal(case.program.weights["fc2/weights"], before)


def test_padding_is_not_counted():
    """Three biases lie in 64 bytes: the mean is over three."""
    model = Model("f32")
    Centred().build(model)
    gradient = np.array([1, 2, 6], np.float32)
    sources = {"weight": gradient, "gradient": gradient}
    sums = reference.run(model, "measure", sources, {}).returns
    assert [float(value) for value in sums] == [9, 3]
    case = built(Centred(), precision="f32")
    oracle, twin = case.oracle()
    case.train(1)
    oracle.epoch(0, 0, np.full(case.trainer().info()["steps"], 1e-2))
    got, want = (p.weights["fc2/biases"] for p in (case.program, twin))
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-6)


def case_of_rows():
    sources = data()
    sources["X"] = sparse.csr_array(sources["X"])
    model = network("f64", LARS(), sparse=True, rows=True)
    return Case(model, sources, optimizer=LARS())


def refuses_rows(case):
    with pytest.raises(ValueError, match=r"^\[fc1/weights\] .* keep it dense"):
        case.train(1)


def test_rows_have_no_sums():
    refuses_rows(case_of_rows())


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("optimizer", [LARS(), Centred()], ids=repr)
def test_a_sum_that_is_not_finite_moves_no_parameter(optimizer, n_threads):
    """One gradient overflows; the sums of all are known before any weight moves."""
    case = built(optimizer, SIZES[1], "f32", n_threads=n_threads, shuffle=False)
    case.sources["X"][:, 0] = 3e38
    case.sources["sample_weight"][:] = 100
    case.program.weights["fc1/weights"][0] = 0
    before = case.program.params.copy()
    with pytest.raises(ValueError, match=r"epoch 1, step 1: .* not finite"):
        case.train(1, rate=1.0)
    np.testing.assert_array_equal(case.program.params, before)


class Total(SGD):
    def _rule(self, u):
        return u.weight - u.gradient * u.scalar(u.total(u.weight, "all"))


WRONG = {
    "no sum": ("reduce_sum(", "reduce_max(", r"\[measure all\] is f64\[\]: measure"),
    "no hyper": ("%all", "%none", r"declare segment\.none"),
    "reads itself": ("(%cast,", "(%scaled,", r"reads segment\.all, which it returns"),
}


@pytest.mark.parametrize(("old", "new", "message"), WRONG.values(), ids=WRONG)
def test_measure_returns_sums_that_update_takes(old, new, message):
    model, given = network("f32", Total()), {"segment.all": 1.0}
    case = Case(model, data(precision="f32"), optimizer=Total(), hypers=given)
    head, measure = case.program.text.split("func measure")
    measure = measure.replace(old, new)
    if "scaled" in new:
        scaled = "  %scaled = mul(%cast, %segment.all) : f64[]\n"
        measure = measure.replace("  %all", scaled.replace("[]", "[P]") + "  %all")
    case.compiled = engine.compile(f"{head}func measure{measure}")
    with pytest.raises(ValueError, match=message):
        case.train(1)


def test_a_sum_of_what_depends_on_a_sum_is_refused():
    class Nested(SGD):
        def _rule(self, u):
            scaled = u.weight * u.scalar(u.total(u.weight, "all"))
            return u.weight * u.scalar(u.total(scaled, "scaled"))

    with pytest.raises(ValueError, match=r"\[total all, scaled\] .*segment\.all"):
        network(optimizer=Nested())
