"""Losses: formulas, TF-Slim's weights, the registry, penalties."""

import numpy as np
import pytest
from scipy import special
from sklearn.metrics import mean_tweedie_deviance
from support.networks import B, Built, evaluate

from slimlearn import layers as slim
from slimlearn.backend import ops, reference
from slimlearn.backend.autodiff import gradients
from slimlearn.backend.graph import Model
from slimlearn.layers import losses, per_example

rng = np.random.default_rng(0)
P = np.array([[4.0, 8.0, 12.0], [8.0, 1.0, 3.0]])
Y = np.array([[1.0, 9.0, 2.0], [-5.0, -2.0, 6.0]])
LOGITS = 10 * np.eye(3)
WRONG = np.eye(3)[[2, 0, 1]]


@pytest.fixture
def graph():
    """A function in which losses may be built by hand."""
    model = Model("f64")
    with model.function("grad", training=True) as made:
        yield made


@pytest.fixture
def pair(graph):
    return ops.input_("p", (B, 3), "f64"), ops.input_("y", (B, 3), "f64")


# TF-Slim's rule for weights, with the figures of its own tests


@pytest.mark.parametrize(
    "loss, plain, last",
    [
        (losses.absolute_difference, 5.5, 6.0),
        (losses.mean_squared_error, 49.5, 18.0),
    ],
)
def test_weights_follow_slims_rule(loss, plain, last):
    def run(weights):
        weights = np.asarray(weights, float)
        return evaluate(lambda p, y, w: loss(p, y, w), p=P, y=Y, w=weights)

    rows = np.array([1.2, 0.0])
    elements = np.array([[3.0, 6, 5], [0, 4, 2]])
    error = abs(P - Y) if loss is losses.absolute_difference else (P - Y) ** 2
    assert np.isclose(evaluate(loss, p=P, y=Y), plain)
    assert np.isclose(evaluate(lambda p, y: loss(p, y, 2.3), p=P, y=Y), plain * 2.3)
    assert np.isclose(run(rows), (rows @ error).sum() / 3)
    assert np.isclose(run(rows[:, None]), (rows @ error).sum() / 3)
    assert np.isclose(run(elements), (elements * error).sum() / 5)
    assert np.isclose(run([[0, 0, 0], [0, 0, 2]]), last)
    assert run(np.zeros((2, 3))) == 0.0
    assert run(np.zeros(2)) == 0.0


def test_weights_give_slims_own_figures():
    def run(weights):
        return evaluate(
            lambda p, y, w: losses.absolute_difference(p, y, w), p=P, y=Y, w=weights
        )

    assert np.isclose(run(np.array([1.2, 0.0])), 5.6)
    assert np.isclose(run(np.array([[3.0, 6, 5], [0, 4, 2]])), 16.6)


def test_scalar_weights():
    def total(p, y):
        return losses.absolute_difference(p, y, ops.constant(2.0, "f64", (1,)))

    assert np.isclose(evaluate(total, p=P, y=Y), 11.0)
    none = evaluate(lambda p, y: losses.absolute_difference(p, y, 0.0), p=P, y=Y)
    assert none == 0.0


def test_weights_of_all_zeros_give_gradients_of_zero():
    model = Model("f64")
    with model.function("grad", training=True) as graph:
        w = slim.variable("w", [3], initializer=1.0)
        p = ops.input_("p", (B, 3), "f64") * w
        y, weights = ops.input_("y", (B, 3), "f64"), ops.input_("w", (B,), "f64")
        total = losses.mean_squared_error(p, y, weights)
        graph.grad_(w, gradients(total, [w])[0])
    sources = {"p": P, "y": Y, "w": np.zeros(2)}
    result = reference.run(model, "grad", sources, {"w": np.ones(3)})
    np.testing.assert_array_equal(result.grads["w"], 0)


@pytest.mark.parametrize("weights", [None, "1", [1.0, 2.0]])
def test_weights_must_be_numbers_or_tensors(pair, weights):
    with pytest.raises(ValueError, match="weights must be a number or a tensor"):
        losses.mean_squared_error(*pair, weights=weights)


def test_weights_must_fit(pair):
    p, y = pair
    wrong = ops.constant(1.0, "f64", (B, 2))
    with pytest.raises(ValueError, match=r"weights f64\[B,2\] do not fit losses"):
        losses.mean_squared_error(p, y, wrong)
    with pytest.raises(ValueError, match=r"weights f64\[B,3\] do not fit losses"):
        losses.softmax_cross_entropy(p, y, weights=y)


def test_shapes_and_kinds_of_predictions_and_labels_are_checked(pair):
    p, y = pair
    with pytest.raises(ValueError, match=r"differ in shape: f64\[B,3\] and f64\[B,2\]"):
        losses.absolute_difference(p, y[:, :2])
    with pytest.raises(TypeError, match="must be tensors"):
        losses.absolute_difference(p, Y)


# Slim's losses


def test_softmax_cross_entropy():
    def run(labels, *arguments, **keywords):
        def loss(z, y):
            return losses.softmax_cross_entropy(z, y, *arguments, **keywords)

        return evaluate(loss, z=LOGITS, y=labels)

    assert np.isclose(run(np.eye(3, dtype=int)), 0.0, atol=1e-3)
    assert np.isclose(run(WRONG), 10.0, atol=1e-3)
    assert np.isclose(run(WRONG, 2.3), 23.0, atol=1e-3)
    smooth = WRONG * 0.9 + 0.1 / 3
    wanted = -(smooth * special.log_softmax(LOGITS, axis=1)).sum(axis=1).mean()
    assert np.isclose(run(WRONG, label_smoothing=0.1), wanted)


def test_weights_of_examples_in_a_cross_entropy():
    weights = np.array([1.2, 0.0, 0.0])
    out = evaluate(
        lambda z, y, w: losses.sparse_softmax_cross_entropy(z, y, w),
        z=LOGITS,
        y=np.array([[2], [0], [1]]),
        w=weights[:, None],
    )
    assert np.isclose(out, 12.0, atol=1e-3)


def test_sparse_softmax_cross_entropy_takes_either_integer():
    for cast in ("i32", "i64"):
        out = evaluate(
            lambda z, y, cast=cast: losses.sparse_softmax_cross_entropy(
                z, ops.cast(y, cast)
            ),
            z=LOGITS,
            y=np.array([2, 0, 1]),
        )
        assert np.isclose(out, 10.0, atol=1e-3)


def test_sigmoid_cross_entropy():
    z = np.array([[100.0, -100, -100], [-100, 100, -100], [-100, -100, 100]])
    out = evaluate(losses.sigmoid_cross_entropy, z=z, y=WRONG)
    assert np.isclose(out, 600 / 9)
    smoothed = evaluate(
        lambda z, y: losses.sigmoid_cross_entropy(z, y, label_smoothing=0.1),
        z=np.array([[100.0, -100, -100]]),
        y=np.array([[1, 0, 1]]),
    )
    assert np.isclose(smoothed, (100 + 50 * 0.1) / 3)


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_a_wrong_label_smoothing_is_refused(pair, share):
    with pytest.raises(ValueError, match="label_smoothing must be from 0 to 1"):
        losses.softmax_cross_entropy(*pair, label_smoothing=share)


def test_log_loss():
    p = np.array([[0.9, 0.2, 0.2], [0.8, 0.4, 0.6]])
    y = np.array([[1.0, 0, 1], [1, 0, 0]])
    wanted = -(y * np.log(p + 1e-7) + (1 - y) * np.log(1 - p + 1e-7)).mean()
    assert np.isclose(evaluate(losses.log_loss, p=p, y=y), wanted)
    assert np.isfinite(evaluate(losses.log_loss, p=np.array([0.0, 1]), y=np.eye(2)[0]))


def test_hinge_loss_is_not_reduced():
    z = np.array([[1.2, 0.4, -1.0, -1.1]])
    y = np.array([[1, 0, 0, 1]])
    out = evaluate(losses.hinge_loss, z=z, y=y)
    np.testing.assert_allclose(out, [[0.0, 1.4, 0.0, 2.1]])


def test_hinge_loss_is_added_to_no_list(pair):
    losses.hinge_loss(*pair)
    assert losses.get_losses() == []


def test_huber_loss():
    error = P - Y
    size = abs(error)
    wanted = np.where(size <= 2, error**2 / 2, 2 * size - 2).mean()
    out = evaluate(lambda p, y: losses.huber_loss(p, y, delta=2.0), p=P, y=Y)
    assert np.isclose(out, wanted)


def test_cosine_distance():
    a = np.array([[1.0, 0, 0], [0, 0, -1], [np.sqrt(0.5), np.sqrt(0.5), 0]])
    b = np.array([[0.0, 0, 1], [0, 0, 1], [np.sqrt(0.5), np.sqrt(0.5), 0]])
    out = evaluate(lambda a, b: losses.cosine_distance(a, b, axis=1), a=a, b=b)
    assert np.isclose(out, 1.0)
    out = evaluate(
        lambda a, b, w: losses.cosine_distance(a, b, dim=1, weights=w),
        a=a,
        b=b,
        w=np.array([0.0, 1, 1]),
    )
    assert np.isclose(out, 1.0)


def test_cosine_distance_needs_its_axis(pair):
    with pytest.raises(ValueError, match="give the axis"):
        losses.cosine_distance(*pair)


def test_mean_pairwise_squared_error():
    def brute(row_p, row_y):
        n = len(row_p)
        pairs = [
            ((row_p[i] - row_p[j]) - (row_y[i] - row_y[j])) ** 2
            for i in range(n)
            for j in range(n)
        ]
        return sum(pairs) / n**2

    wanted = np.array([brute(p, y) for p, y in zip(P, Y)])
    out = evaluate(losses.mean_pairwise_squared_error, p=P, y=Y)
    assert np.isclose(out, wanted.sum())
    w = np.array([2.0, 0.5])
    out = evaluate(
        lambda p, y, w: losses.mean_pairwise_squared_error(p, y, w), p=P, y=Y, w=w
    )
    assert np.isclose(out, w @ wanted)


# Formulas of one example

Z = np.concatenate([rng.normal(0, 3, size=20), [-800.0, 800.0]])
T = (rng.random(22) > 0.5).astype(float)
R = rng.normal(0, 3, size=22)
FORMULAS = {
    "squared_error": (R, lambda z, y: (z - y) ** 2),
    "absolute_error": (R, lambda z, y: abs(z - y)),
    "huber": (R, lambda z, y: special.huber(1.0, z - y)),
    "log_cosh": (R, lambda z, y: np.logaddexp(z - y, y - z) - np.log(2)),
    "sigmoid_cross_entropy": (T, lambda z, y: np.logaddexp(0, z) - y * z),
    "hinge": (T, lambda z, y: np.maximum(0, 1 - (2 * y - 1) * z)),
    "squared_hinge": (T, lambda z, y: np.maximum(0, 1 - (2 * y - 1) * z) ** 2),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_formulas_have_their_values_and_stay_finite(name):
    labels, wanted = FORMULAS[name]
    out = evaluate(getattr(per_example, name), z=Z, y=labels)
    np.testing.assert_allclose(out, wanted(Z, labels), rtol=1e-10, atol=1e-12)


def test_quantile_is_the_pinball_loss():
    z, y = R[:20], Z[:20]
    out = evaluate(lambda z, y: per_example.quantile(z, y, 0.8), z=z, y=y)
    np.testing.assert_allclose(out, np.where(y > z, 0.8 * (y - z), 0.2 * (z - y)))
    best = np.quantile(y, 0.8)
    grid = np.linspace(-5, 5, 101)
    total = [
        evaluate(lambda z, y: per_example.quantile(z, y, 0.8), z=0 * y + g, y=y).sum()
        for g in grid
    ]
    assert abs(grid[np.argmin(total)] - best) < 1.0


def test_losses_with_a_log_link_are_least_at_the_logarithm_of_y():
    y = np.array([0.5, 1.0, 4.0])
    for formula in (per_example.poisson, per_example.gamma):
        least = evaluate(formula, z=np.log(y), y=y)
        assert (least < evaluate(formula, z=np.log(y) + 0.1, y=y)).all()
        assert (least < evaluate(formula, z=np.log(y) - 0.1, y=y)).all()
    np.testing.assert_allclose(evaluate(per_example.poisson, z=np.log(y), y=y)[1], 1)


def test_multiclass_hinge():
    z = rng.normal(size=(9, 4))
    y = rng.integers(0, 4, size=9)
    rows = np.arange(9)
    rival = np.where(np.eye(4, dtype=bool)[y], -np.inf, z).max(axis=1)
    out = evaluate(per_example.multiclass_hinge, z=z, y=y)
    np.testing.assert_allclose(out, np.maximum(0, 1 + rival - z[rows, y]))


def test_cross_entropies_of_one_example_agree():
    z = rng.normal(size=(9, 4))
    y = rng.integers(0, 4, size=9)
    sparse = evaluate(per_example.sparse_softmax_cross_entropy, z=z, y=y)
    dense = evaluate(per_example.softmax_cross_entropy, z=z, y=np.eye(4)[y])
    np.testing.assert_allclose(sparse, dense)
    np.testing.assert_allclose(sparse, -special.log_softmax(z, axis=1)[range(9), y])


def test_a_formula_takes_whole_numbers_as_labels():
    whole = evaluate(per_example.sigmoid_cross_entropy, z=Z, y=T.astype(int))
    np.testing.assert_array_equal(
        whole, evaluate(per_example.sigmoid_cross_entropy, z=Z, y=T)
    )


# The registry


def test_losses_are_listed_and_summed(pair):
    p, y = pair
    with pytest.raises(ValueError, match="no loss has been added yet"):
        losses.get_total_loss()
    first = losses.mean_squared_error(p, y)
    second = losses.absolute_difference(p, y, scope="mine")
    losses.add_loss(first, loss_collection="elsewhere")
    losses.add_loss(first, loss_collection=None)
    assert losses.get_losses() == [first, second]
    assert losses.get_losses("mine") == [second]
    assert losses.get_losses(loss_collection="elsewhere") == [first]
    assert losses.get_total_loss().name.startswith("total_loss/")


def test_a_loss_is_a_scalar(pair):
    with pytest.raises(ValueError, match="must be a scalar f32 or f64"):
        losses.add_loss(pair[0])
    with pytest.raises(ValueError, match="must be a scalar f32 or f64"):
        losses.add_loss(1.0)


def test_losses_of_one_function_are_its_own():
    model = Model("f64")
    for name in ("grad", "score"):
        with model.function(name):
            p = ops.input_("p", (B, 3), "f64")
            losses.mean_squared_error(p, p)
            assert len(losses.get_losses()) == 1


def test_total_loss_adds_penalties():
    def net(x):
        net = slim.linear(
            x,
            3,
            scope="a",
            weights_regularizer=slim.l2_regularizer(0.1),
            biases_regularizer=slim.l1_regularizer(0.2),
        )
        losses.add_loss(ops.reduce_sum(net) * 0.0)
        return ops.reshape(losses.get_total_loss(), (1, 1))

    built = Built(net)
    built.params["a/biases"][...] = [1.0, -2.0, 3.0]
    w = built.params["a/weights"]
    out = built.predict(rng.normal(size=(4, 5)))
    assert np.isclose(out.item(), 0.1 * (w**2).sum() / 2 + 0.2 * 6)


# The losses of probabilities, and those with a log link


def finite_differences(formula, z, y):
    """The slopes of a loss, by autodiff and by differences."""

    def slope(z, y):
        return gradients([ops.reduce_sum(formula(z, y))], [z])[0]

    def total(z):
        return evaluate(formula, z=z, y=y).sum()

    wanted = np.zeros_like(z)
    for place in np.ndindex(z.shape):
        step = np.zeros_like(z)
        step[place] = 1e-6
        wanted[place] = (total(z + step) - total(z - step)) / 2e-6
    return evaluate(slope, z=z, y=y), wanted


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal(gamma):
    def formula(z, y):
        return per_example.focal(z, y, gamma)

    z, y = R, (R + Z > 0).astype(float)
    p = special.expit(np.where(y == 1, z, -z))
    wanted = -((1 - p) ** gamma) * np.log(p)
    np.testing.assert_allclose(evaluate(formula, z=z, y=y), wanted, rtol=1e-9)
    np.testing.assert_allclose(*finite_differences(formula, z, y), atol=1e-7)
    assert np.isfinite(evaluate(formula, z=Z, y=T)).all()


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_multiclass_focal(gamma):
    def formula(z, y):
        return per_example.multiclass_focal(z, y, gamma)

    z, y = rng.normal(size=(9, 4)), rng.integers(0, 4, size=9)
    p = special.softmax(z, axis=1)[np.arange(9), y]
    wanted = -((1 - p) ** gamma) * np.log(p)
    np.testing.assert_allclose(evaluate(formula, z=z, y=y), wanted, rtol=1e-9)
    np.testing.assert_allclose(*finite_differences(formula, z, y), atol=1e-7)
    sure = np.array([[800.0, 0.0], [0.0, 800.0]])
    losses, slopes = (
        evaluate(f, z=sure, y=np.zeros(2, int))
        for f in (
            formula,
            lambda z, y: gradients([ops.reduce_sum(formula(z, y))], [z])[0],
        )
    )
    assert losses[0] == 0 and losses[1] == 800 and np.isfinite(slopes).all()


@pytest.mark.parametrize("power", [1.1, 1.5, 1.9, 2.5, 3.0])
def test_tweedie_is_half_the_deviance(power):
    def formula(z, y):
        return per_example.tweedie(z, y, power)

    z, y = R[:20] / 3, rng.gamma(2.0, size=20)
    above = evaluate(formula, z=z, y=y) - evaluate(formula, z=np.log(y), y=y)
    wanted = mean_tweedie_deviance(y, np.exp(z), power=power)
    np.testing.assert_allclose(2 * above.mean(), wanted, rtol=1e-8)
    np.testing.assert_allclose(*finite_differences(formula, z, y), atol=1e-6)
