"""Layers of columns of numbers: their formulas, rows alone, and what they refuse."""

import itertools
import math

import numpy as np
import pytest
from sklearn.base import clone
from support.networks import B, Built

from slimlearn import (
    DNNClassifier,
    NetworkClassifier,
    NetworkRegressor,
    layers,
    network,
)
from slimlearn.backend import ops
from slimlearn.backend.graph import Model

RNG = np.random.default_rng(0)
X = RNG.normal(size=(53, 6)).astype(np.float32)
Y = np.sin(4 * X[:, 0]) + X[:, 1]


@network
def waves(x, num_outputs, kind="pbld", frequencies=5, sigma=0.3, depth=1, dropped=0.0):
    x = layers.periodic_embedding(x, 3, frequencies, sigma, kind)
    for _ in range(depth):
        x = layers.fully_connected(x, 8, parametrization="ntk")
    x = layers.dropout(x, 1 - dropped)
    return layers.linear(x, num_outputs)


@network
def bins(x, num_outputs, edges=None, limit=3.0):
    x = layers.piecewise_linear(x, edges, limit=limit)
    return layers.linear(x, num_outputs)


def embedded(x, params, kind):
    """The layer's formula, in float64."""
    p = {k.split("/")[1]: np.asarray(v, dtype=float) for k, v in params.items()}
    z = 2 * np.pi * x[:, :, None].astype(float) * p["frequencies"]
    if kind == "pbld":
        z = np.cos(z + p["phases"])
    else:
        z = np.concatenate([np.sin(z), np.cos(z)], axis=2)
    z = np.einsum("bnk,ndk->bnd", z, p["weights"]) + p["biases"]
    if kind == "pbld":
        z = np.concatenate([z, x[:, :, None]], axis=2)
    else:
        z = np.maximum(z, 0)
    return z.reshape(len(x), -1)


@pytest.mark.parametrize("kind", ["pbld", "plr"])
@pytest.mark.parametrize("columns", [1, 6, 40])
def test_periodic_embedding_is_its_formula_in_training_and_prediction(kind, columns):
    x = RNG.normal(size=(9, columns))
    made = Built(
        lambda x: layers.periodic_embedding(x, 4, 7, 0.5, kind, scope="waves"),
        shape=(columns,),
    )
    want = embedded(x, made.params, kind)
    for got in (made.predict(x), made.train(x)[0]):
        np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-12)
    shapes = {p.name: p.shape for p in made.model.parameters}
    terms, features = (7, 3) if kind == "pbld" else (14, 4)
    assert shapes.pop("waves/phases", None) == ((columns, 7) if terms == 7 else None)
    assert shapes == {
        "waves/frequencies": (columns, 7),
        "waves/weights": (columns, features, terms),
        "waves/biases": (columns, features),
    }


def test_frequencies_are_drawn_with_sigma_and_phases_around_the_circle():
    clf = NetworkRegressor(waves(sigma=2.0, frequencies=400), max_iter=1, **SMALL)
    clf.set_params(learning_rate=1e-300).fit(X, Y)
    drawn = clf.program_.weights["periodic_embedding/frequencies"]
    assert abs(drawn.std() - 2.0) < 0.1
    phases = clf.program_.weights["periodic_embedding/phases"]
    assert abs(phases.std() - math.pi / math.sqrt(3)) < 0.1
    assert np.abs(phases).max() <= math.pi


SMALL = {"random_state": 0, "n_threads": 1, "batch_size": 16}


@pytest.mark.parametrize("kind", ["pbld", "plr"])
@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("dropped", [0.0, 0.2])
def test_rows_are_predicted_alike_in_any_company(kind, precision, dropped):
    net = waves(kind=kind, dropped=dropped)
    reg = NetworkRegressor(net, precision=precision, max_iter=3, **SMALL).fit(X, Y)
    whole = reg.predict(X)
    for size in (1, 2, 7, 52):
        parts = [reg.predict(X[i : i + size]) for i in range(0, len(X), size)]
        np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert "transpose(" not in reg.program_.text.partition("func grad")[0]


@pytest.mark.parametrize("depth", [1, 30])
@pytest.mark.parametrize("net", [waves(), bins(edges=[[-1.0, 0.0, 2.0]] * 6)], ids=str)
def test_they_train_stop_early_go_on_clone_and_search(net, depth):
    if "depth" in net.get_params():
        net = clone(net).set_params(depth=depth)
    options = {**SMALL, "precision": "float64"}
    whole = NetworkRegressor(net, max_iter=6, **options).fit(X, Y)
    half = NetworkRegressor(net, max_iter=3, warm_start=True, **options)
    half.fit(X, Y).fit(X, Y)
    assert half.program_.params.tobytes() == whole.program_.params.tobytes()
    part = NetworkRegressor(net, **options)
    for _ in range(2):
        part.partial_fit(X, Y)
    assert np.isfinite(part.predict(X)).all()
    early = clone(whole).set_params(early_stopping=True, max_iter=40)
    assert early.fit(X, Y).best_iteration_ <= early.n_iter_
    several = clone(whole).set_params(n_threads=2).fit(X, Y)
    assert several.program_.params.tobytes() == whole.program_.params.tobytes()


def test_lbfgs_learns_with_waves():
    net = waves(sigma=0.5)
    options = {"optimizer": "lbfgs", "precision": "float64", "tol": 1e-2}
    reg = NetworkRegressor(net, max_iter=200, random_state=0, **options)
    assert reg.fit(X, Y).score(X, Y) > 0.95


def test_waves_follow_what_a_plain_network_cannot():
    rng = np.random.default_rng(1)
    x = rng.uniform(-2, 2, size=(2000, 2))
    y = (np.sin(9 * x[:, 0]) > 0).astype(int)
    fitted = {"max_iter": 40, "random_state": 0, "batch_size": 64}
    clf = NetworkClassifier(waves(sigma=1.0, frequencies=16), **fitted).fit(x, y)
    assert (
        clf.score(x, y)
        > 0.97
        > 0.8
        > DNNClassifier((8,), **fitted).fit(x, y).score(x, y)
    )


def encoded(x, edges, limit):
    """One column, by a loop."""
    known = [(a, b) for a, b in itertools.pairwise(edges) if b > a]
    out = []
    for a, b in itertools.pairwise(edges):
        if a == b:
            out.append(np.zeros(len(x)))
            continue
        low = -limit if (a, b) == known[0] else 0.0
        high = limit if (a, b) == known[-1] else 1.0
        out.append(np.clip((x - a) / (b - a), low, high))
    return np.stack(out, axis=1)


@pytest.mark.parametrize("limit", [None, 3.0, 1.0])
def test_piecewise_linear_is_its_formula(limit):
    edges = [
        [-1.0, 0.0, 0.5, 2.0],
        [-1.0, -1.0, 0.5, 0.5],
        [0.0, 1.0],
        [2.0, 2.0, 2.0],
        [-3.0, 0.0, 0.0, 3.0],
        [-1e6, 0.0, 1e-3, 1e6],
    ]
    x = RNG.normal(size=(50, 6)) * [1, 1, 5, 1, 1, 1e6]
    made = Built(
        lambda x: layers.piecewise_linear(x, edges, limit=limit, scope="bins"),
        shape=(6,),
    )
    reach = np.inf if limit is None else limit
    filled = [e + [e[-1]] * (4 - len(e)) for e in edges]
    want = [encoded(c, e, reach) for c, e in zip(x.T, filled, strict=True)]
    got = np.asarray(made.predict(x))
    np.testing.assert_allclose(
        got, np.concatenate(want, axis=1), rtol=1e-12, atol=1e-14
    )
    assert got.shape == (50, 18)


def test_edges_are_not_trained_and_may_be_set_later():
    x, y = RNG.normal(size=(300, 2)), RNG.integers(0, 3, 300)
    edges = np.quantile(x, np.linspace(0, 1, 5), axis=0).T
    clf = NetworkClassifier(bins(edges=edges.tolist()), max_iter=3, **SMALL).fit(x, y)
    np.testing.assert_array_equal(clf.program_.weights["piecewise_linear/edges"], edges)
    later = Built(lambda x: layers.piecewise_linear(x, num_bins=4), shape=(2,))
    assert not later.predict(x).any()
    later.params["piecewise_linear/edges"][...] = edges
    known = Built(lambda x: layers.piecewise_linear(x, edges), shape=(2,))
    np.testing.assert_array_equal(later.predict(x), known.predict(x))


EDGES = [[0.0, 1.0]] * 5
REFUSED = {
    "embed_dim": (lambda x: layers.periodic_embedding(x, 0), "embed_dim must be a who"),
    "no room": (lambda x: layers.periodic_embedding(x, 1), "must be 2 or more where"),
    "waves": (lambda x: layers.periodic_embedding(x, 2, 1.5), "num_frequencies must"),
    "sigma": (
        lambda x: layers.periodic_embedding(x, sigma=0),
        "sigma must be a number",
    ),
    "kind": (lambda x: layers.periodic_embedding(x, kind="cos"), "'pbld' or 'plr'"),
    "decay": (
        lambda x: layers.periodic_embedding(x, decay_factor={"edges": 1.0}),
        "decay_factor names 'edges', but the layer's variables are 'frequencies'",
    ),
    "rank": (
        lambda x: layers.periodic_embedding(ops.reshape(x, (x.shape[0], 5, 1))),
        "inputs must be columns",
    ),
    "edges": (lambda x: layers.piecewise_linear(x, EDGES[1:]), "for each of 5 columns"),
    "numbers": (lambda x: layers.piecewise_linear(x, ["a"] * 5), "two or more numbers"),
    "none": (lambda x: layers.piecewise_linear(x), "give either edges or num_bins"),
    "both": (lambda x: layers.piecewise_linear(x, EDGES, 1), "give either edges or"),
    "falls": (
        lambda x: layers.piecewise_linear(x, [*EDGES[1:], [1.0, 0.0]]),
        "edges of column 4 must be finite and rise",
    ),
    "limit": (lambda x: layers.piecewise_linear(x, EDGES, limit=-1), "limit must be a"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused(case):
    build, message = REFUSED[case]
    with Model("f32").function("predict"):
        x = ops.input_("X", (B, 5), "f32")
        with pytest.raises(ValueError, match=message):
            build(x)
