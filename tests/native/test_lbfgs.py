"""L-BFGS against SciPy's, and what it refuses."""

import numpy as np
import pytest
from scipy.optimize import minimize
from support.training_case import Case, data, network

from slimlearn.backend import engine, ops, reference
from slimlearn.backend.autodiff import gradients
from slimlearn.backend.graph import Model
from slimlearn.backend.optimizer import Adam
from slimlearn.backend.program import Program
from slimlearn.backend.shape import B


def logistic(rows=1300, l2=0.01, precision="f64", **options):
    """A convex problem: softmax regression with a penalty."""
    model = Model(precision)
    w, b = model.parameter("w", (20, 3)), model.parameter("b", (3,))
    with model.function("init") as graph:
        graph.set_(w, ops.constant(0.0, precision, (20, 3)))
        graph.set_(b, ops.constant(0.0, precision, (3,)))
    with model.function("grad", training=True) as graph:
        logits = ops.input_("X", (B, 20), precision) @ w + b
        each = ops.sparse_softmax_cross_entropy(logits, ops.input_("y", (B,), "i32"))
        weight = ops.input_("sample_weight", (B,), precision)
        total = ops.reduce_sum(ops.cast(each * weight, "f64"))
        objective = total / ops.extent(B, "f64")
        graph.return_(objective, total, ops.reduce_sum(ops.cast(weight, "f64")))
        for parameter, slope in zip(
            (w, b), gradients([objective], [w, b]), strict=True
        ):
            graph.grad_(parameter, slope)
    Adam().build(model, l2=True)
    segments = [{"l2": l2}, {}]
    return Case(model, data(rows, precision), segments=segments, **options)


def scipy_minimum(case, l2):
    shapes = {name: w.shape for name, w in case.program.weights.items()}

    def objective(flat):
        split = np.split(flat, np.cumsum([np.prod(s) for s in shapes.values()])[:-1])
        params = {
            n: f.reshape(s) for (n, s), f in zip(shapes.items(), split, strict=True)
        }
        result = reference.run(case.model, "grad", case.sources, params, {})
        grads = {**result.grads, "w": result.grads["w"] + l2 * params["w"]}
        value = float(result.returns[0]) + 0.5 * l2 * np.sum(params["w"] ** 2)
        return value, np.concatenate([grads[name].ravel() for name in shapes])

    start = np.concatenate([w.ravel() for w in case.program.weights.values()])
    options = {"gtol": 1e-9, "ftol": 1e-15, "maxiter": 1000}
    return minimize(objective, start, jac=True, method="L-BFGS-B", options=options)


@pytest.mark.parametrize("rows", [50, 512, 513, 1300])
def test_the_minimum_is_scipy_s(rows):
    case = logistic(rows)
    expected = scipy_minimum(case, 0.01)
    result = case.trainer().lbfgs(max_iter=1000, tol=1e-8)
    assert result.converged and result.gradient_max <= 1e-6
    np.testing.assert_allclose(result.objective, expected.fun, rtol=1e-10)
    found = np.concatenate([w.ravel() for w in case.program.weights.values()])
    np.testing.assert_allclose(found, expected.x, atol=1e-5)
    assert result.evaluations < 3 * expected.nfev + 10


def test_it_trains_a_network_and_reports():
    case = Case(network(), data(400))
    losses = []

    def observe(iteration, objective, loss):
        assert iteration == len(losses) + 1
        losses.append(loss)
        return False

    result = case.trainer().lbfgs(max_iter=60, tol=1e-6, callback=observe)
    assert len(losses) == result.iterations
    assert losses[-1] < 0.05 * losses[0]
    assert result.loss == losses[-1]
    (total, weights) = case.compiled.run("score", case.sources, case.program)
    np.testing.assert_allclose(total / weights, result.loss, rtol=1e-9)


def test_float32_parameters():
    case = logistic(precision="f32")
    expected = scipy_minimum(logistic(), 0.01)
    result = case.trainer().lbfgs(max_iter=200, tol=1e-4)
    np.testing.assert_allclose(result.objective, expected.fun, rtol=1e-4)


def test_iterations_end_it_and_the_callback_may():
    assert logistic().trainer().lbfgs(max_iter=3, tol=1e-9).end == "iterations"
    stop = logistic().trainer().lbfgs(callback=lambda i, objective, loss: i == 2)
    assert stop.end == "interrupted" and stop.iterations == 2

    def fail(iteration, objective, loss):
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        logistic().trainer().lbfgs(callback=fail)


def test_frozen_parameters_do_not_move():
    case = logistic()
    case.options["segments"] = [{"l2": 0.01}, {"frozen": True}]
    case.trainer().lbfgs(max_iter=20)
    assert not case.program.weights["b"].any()
    assert case.program.weights["w"].any()


def test_threads_and_repetition_give_the_same_bits():
    arenas = []
    for n_threads in (1, 2, 2):
        case = logistic()
        case.trainer(n_threads=n_threads).lbfgs(max_iter=15)
        arenas.append(case.program.params.tobytes())
    assert len(set(arenas)) == 1


def test_what_varies_is_refused():
    hypers = {"keep_prob": 0.5}
    with pytest.raises(ValueError, match="random numbers"):
        Case(network(dropout=True), data(), hypers=hypers).trainer().lbfgs()
    with pytest.raises(ValueError, match="updates state"):
        Case(network(center=True), data()).trainer().lbfgs()
    case = logistic()
    case.options["segments"] = [{"l1": 0.1}, {}]
    with pytest.raises(ValueError, match="l1"):
        case.trainer().lbfgs()


def test_data_that_cannot_be_minimised():
    case = logistic()
    case.sources["X"][3, 4] = np.inf
    with pytest.raises(ValueError, match="not finite at the start"):
        case.trainer().lbfgs()
    case = logistic()
    case.sources["y"][3] = 9
    with pytest.raises(ValueError, match="label"):
        case.trainer().lbfgs()


def test_a_parameter_without_gradient_does_not_move():
    model = Model("f64")
    w = model.parameter("w", (3,))
    model.parameter("aside", (3,))
    with model.function("grad") as graph:
        x = ops.input_("X", (B, 3), "f64")
        loss = ops.reduce_sum(ops.square(x - w))
        graph.return_(loss, loss, ops.extent(B, "f64"))
        graph.grad_(w, gradients([loss], [w])[0])
    program = Program(model=model)
    program.weights["aside"][...] = 1
    segments = [{"l2": 0.1}, {"l2": 0.1}]
    sources = {"X": np.ones((4, 3))}
    trainer = engine.compile(program.text).trainer(
        program, sources, batch_size=4, segments=segments
    )
    trainer.lbfgs()
    assert (program.weights["w"] > 0.5).all() and (program.weights["aside"] == 1).all()
