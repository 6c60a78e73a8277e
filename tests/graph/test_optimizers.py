"""Every optimizer's `update` against its published rule, written out in numpy."""

import numpy as np
import pytest
from sklearn.base import clone

from slimlearn.backend import optimizer as o
from slimlearn.backend import reference
from slimlearn.backend.graph import Model

RATE, STEPS, L2 = 0.05, 6, 0.3


def follow(optimizer, w, gradients, *, l1=0.0, l2=0.0, precision="f64", rates=None):
    """The weights after each step, by the program's own text of the rule."""
    model = Model(precision)
    optimizer.build(model, l1=l1 > 0, l2=l2 > 0)
    slots = {name: np.zeros_like(w) for name in model.slots.names()}
    hypers = {
        **optimizer.hypers(),
        "segment.l1": l1,
        "segment.proximal": optimizer.own_l1 + l1,
        "segment.l2": l2,
        "segment.decay": optimizer.own_decay,
    }
    seen = []
    for t, g in enumerate(gradients, start=1):
        rate = RATE if rates is None else rates[t - 1]
        result = reference.run(
            model,
            "update",
            {"weight": w, "gradient": g},
            {},
            hypers={**hypers, "learning_rate": rate, "step": float(t)},
            slots=slots,
        )
        w = result.returns[0]
        slots.update(result.sets)
        seen.append(w)
    return np.array(seen)


def sgd(w, gs, momentum=0.9, nesterov=True):
    v = 0.0
    for g in gs:
        v = momentum * v + g
        w = w - RATE * (g + momentum * v if nesterov else v)
        yield w


def adam(w, gs, decay=0.0, nesterov=False, b1=0.9, b2=0.999, eps=1e-8):
    m = v = 0.0
    for t, g in enumerate(gs, start=1):
        w = w - RATE * decay * w
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g**2
        hat = m / (1 - b1**t)
        if nesterov:
            hat = b1 * m / (1 - b1 ** (t + 1)) + (1 - b1) * g / (1 - b1**t)
        w = w - RATE * hat / (np.sqrt(v / (1 - b2**t)) + eps)
        yield w


def rmsprop(w, gs, rho=0.9, momentum=0.0, eps=1e-8):
    v = b = 0.0
    for g in gs:
        v = rho * v + (1 - rho) * g**2
        b = momentum * b + g / (np.sqrt(v) + eps)
        w = w - RATE * b
        yield w


def adagrad(w, gs, start=0.1, eps=1e-7):
    a = start
    for g in gs:
        a = a + g**2
        w = w - RATE * g / (np.sqrt(a) + eps)
        yield w


def adadelta(w, gs, rho=0.95, eps=1e-6):
    v = d = 0.0
    for g in gs:
        v = rho * v + (1 - rho) * g**2
        s = np.sqrt(d + eps) / np.sqrt(v + eps) * g
        d = rho * d + (1 - rho) * s**2
        w = w - RATE * s
        yield w


def ftrl(w, gs, l1=0.0, l2=0.0, beta=0.0, n=0.1):
    z = -w * (beta + np.sqrt(n)) / RATE
    for g in gs:
        after = n + g**2
        z = z + g - w * (np.sqrt(after) - np.sqrt(n)) / RATE
        n = after
        shrunk = np.sign(z) * np.maximum(np.abs(z) - l1, 0)
        w = -shrunk / ((beta + np.sqrt(n)) / RATE + l2)
        yield w


RULES = [
    (o.SGD(), sgd, {}),
    (o.SGD(momentum=0.0), sgd, {"momentum": 0.0}),
    (o.SGD(0.8, nesterov=False), sgd, {"momentum": 0.8, "nesterov": False}),
    (o.Adam(), adam, {}),
    (o.Adam(0.8, 0.9, 1e-3), adam, {"b1": 0.8, "b2": 0.9, "eps": 1e-3}),
    (o.AdamW(weight_decay=0.1), adam, {"decay": 0.1}),
    (o.Nadam(), adam, {"nesterov": True}),
    (o.LazyAdam(), adam, {}),
    (o.RMSProp(), rmsprop, {}),
    (o.RMSProp(momentum=0.5), rmsprop, {"momentum": 0.5}),
    (o.Adagrad(), adagrad, {}),
    (o.Adadelta(), adadelta, {}),
    (o.Ftrl(), ftrl, {}),
    (o.Ftrl(0.5, 0.2, 1.0), ftrl, {"l1": 0.5, "l2": 0.2, "beta": 1.0}),
]


@pytest.fixture
def problem():
    rng = np.random.default_rng(0)
    return rng.normal(size=40), rng.normal(size=(STEPS, 40))


@pytest.mark.parametrize(
    "optimizer, rule, numbers", RULES, ids=[repr(row[0]) for row in RULES]
)
def test_the_published_rule(optimizer, rule, numbers, problem):
    w, gradients = problem
    got = follow(optimizer, w, gradients)
    expected = np.array(list(rule(w, gradients, **numbers)))
    np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-12)
    single = follow(optimizer, w.astype("f4"), gradients.astype("f4"), precision="f32")
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, expected, rtol=2e-3, atol=2e-5)


@pytest.mark.parametrize("name", [n for n in o.OPTIMIZERS if n != "lbfgs"])
def test_l2_is_part_of_the_gradient(name, problem):
    w, gradients = problem
    with_l2 = follow(o.make_optimizer(name), w, gradients[:1], l2=L2)
    by_hand = follow(o.make_optimizer(name), w, gradients[:1] + L2 * w)
    np.testing.assert_allclose(with_l2, by_hand, rtol=1e-12)


@pytest.mark.parametrize("name", sorted(o.OPTIMIZERS))
def test_rows_may_stay_untouched_where_zero_gradients_move_nothing(name, problem):
    optimizer = o.make_optimizer(name)
    if optimizer.row_sparse and name != "lazy_adam":
        w, gradients = problem
        touched = np.arange(40) % 3 > 0
        got = follow(optimizer, w, gradients * touched)
        assert np.array_equal(got[:, ~touched], np.tile(w[~touched], (STEPS, 1)))
        assert np.array_equal(
            got[:, touched], follow(optimizer, w, gradients)[:, touched]
        )
    assert not o.SGD().row_sparse
    assert o.SGD(momentum=0.0).row_sparse
    assert optimizer.keeps_rows(False, True) == (name == "lazy_adam")
    assert optimizer.keeps_rows(True, False) == (name in ("ftrl", "lazy_adam"))


def test_l1_pulls_with_the_sign_or_is_proximal(problem):
    w, gradients = problem
    pulled = follow(o.SGD(), w, gradients[:1], l1=0.4)
    by_hand = follow(o.SGD(), w, gradients[:1] + 0.4 * np.sign(w))
    np.testing.assert_allclose(pulled, by_hand, rtol=1e-12)
    assert np.any(follow(o.Ftrl(), np.zeros(40), gradients, l1=1.0)[-1] == 0)


def test_ftrl_without_penalties_is_adagrad_and_keeps_the_start(problem):
    w, gradients = problem
    ftrl_, adagrad_ = o.Ftrl(), o.Adagrad(epsilon=1e-300)
    np.testing.assert_allclose(
        follow(ftrl_, w, gradients), follow(adagrad_, w, gradients), rtol=1e-9
    )
    rates = np.linspace(0.1, 0.01, STEPS)
    np.testing.assert_allclose(
        follow(ftrl_, w, gradients, rates=rates),
        follow(adagrad_, w, gradients, rates=rates),
        rtol=1e-9,
    )


@pytest.mark.parametrize("name", [n for n in o.OPTIMIZERS if n != "lbfgs"])
def test_padding_stays_finite_and_zero(name):
    moved = follow(o.make_optimizer(name), np.zeros(4), np.zeros((3, 4)), l2=L2)
    np.testing.assert_array_equal(moved, 0)


def test_the_text_does_not_hold_the_numbers():
    def text(optimizer):
        model = Model("f32")
        optimizer.build(model, l2=True)
        return str(model)

    assert text(o.Adam()) == text(o.Adam(0.5, 0.6, 1e-4))
    assert o.Adam().structure() == o.Adam(0.5).structure()
    assert text(o.SGD(0.9)) == text(o.SGD(0.5)) != text(o.SGD(0.0))


@pytest.mark.parametrize("name", o.OPTIMIZERS)
def test_parameter_objects(name):
    optimizer = o.make_optimizer(name)
    assert clone(optimizer) == optimizer
    assert eval(repr(optimizer), vars(o)) == optimizer
    with pytest.raises(ValueError, match="Invalid parameter 'nothing'"):
        optimizer.set_params(nothing=1)


@pytest.mark.parametrize(
    "optimizer",
    [
        o.SGD(momentum=1.0),
        o.Adam(beta1=-0.1),
        o.Adam(epsilon=0.0),
        o.AdamW(weight_decay=-1),
        o.RMSProp(rho="x"),
        o.Adagrad(epsilon=0),
        o.Adadelta(rho=2),
        o.Ftrl(initial_accumulator=0),
        o.LBFGS(history=0),
    ],
    ids=repr,
)
def test_parameters_out_of_range_are_named(optimizer):
    with pytest.raises(ValueError, match=f"parameter of {type(optimizer).__name__}"):
        o.make_optimizer(optimizer)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"'adamax' is not known.*'lbfgs'"):
        o.make_optimizer("adamax")
