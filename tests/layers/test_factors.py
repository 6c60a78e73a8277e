"""Factors of a variable's learning rate and decay: from the layer to the step."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.metrics import log_loss
from support.networks import B

from slimlearn import LogLoss, NetworkClassifier, NetworkRegressor, layers, network
from slimlearn.backend import ops
from slimlearn.backend.graph import Model
from slimlearn.backend.optimizer import SGD, Adagrad, Adam, AdamW, Ftrl
from slimlearn.backend.program import Program
from slimlearn.backend.text import parse_program, print_program
from slimlearn.callbacks import Callback, LayerRates
from slimlearn.layers import arg_scope, model_variable

RNG = np.random.default_rng(0)
X = RNG.normal(size=(64, 5))
Y = X @ [1.0, -2.0, 0.5, 0.0, 3.0] + 1


@network
def tower(x, num_outputs, depth=1, rate=None, decay=None, scoped=False, ntk=False):
    activation = layers.activation.relu if depth == 1 else None
    given = {"learning_rate_factor": rate, "decay_factor": decay}
    inner = {"parametrization": "ntk"} if ntk else {}
    inner |= {} if scoped else given
    with arg_scope([model_variable], **(given if scoped else {})):
        for _ in range(depth):
            x = layers.fully_connected(x, 4, activation, **inner)
    return layers.linear(x, num_outputs, scope="last")


ONE = {
    "max_iter": 1,
    "batch_size": 64,
    "random_state": 0,
    "precision": "float64",
    "learning_rate": 1e-3,
}


def moved(net, **options):
    """What one step, or a few, changed."""
    still = NetworkRegressor(net, **ONE | options | {"learning_rate": 1e-300})
    start = still.fit(X, Y).program_.weights
    fitted = NetworkRegressor(net, **ONE | options).fit(X, Y)
    return {k: v - start[k] for k, v in fitted.program_.weights.items()}


@pytest.mark.parametrize("scoped", [False, True])
@pytest.mark.parametrize("depth", [1, 40])
@pytest.mark.parametrize(
    "optimizer", [SGD(), Adam(), Adagrad(), AdamW(weight_decay=0.3)], ids=repr
)
def test_a_factor_multiplies_the_rate_of_its_variables(scoped, depth, optimizer):
    net = tower(depth=depth, ntk=depth > 1, decay=0.0)
    plain = moved(net, optimizer=optimizer)
    factors = {"weights": 0.25, "biases": 3.0}
    net = clone(net).set_params(rate=factors, scoped=scoped)
    scaled = moved(net, optimizer=optimizer)
    assert plain.keys() == scaled.keys() and len(plain) == 2 * depth + 2
    for name, change in scaled.items():
        factor = 1.0 if name.startswith("last") else factors[name.rpartition("/")[2]]
        np.testing.assert_allclose(change, factor * plain[name], rtol=1e-6, atol=1e-15)
        assert np.abs(change).max() > 0


def test_nothing_without_factors_changes_and_a_factor_of_1_is_none():
    none, one = (
        NetworkRegressor(tower(rate=rate), **ONE).fit(X, Y).program_
        for rate in (None, 1.0)
    )
    assert none.text == one.text and "factor" not in none.text
    assert "segment.rate" not in none.text
    assert none.params.tobytes() == one.params.tobytes()


def decayed(optimizer, decay, l2=0.0, depth=1, scoped=False):
    """How much of each variable decay alone took in a step, in units of the rate."""

    class Ones(Callback):
        def on_fit_begin(self, state):
            for array in state.weights.values():
                array[...] = 1.0

    net = tower(depth=depth, decay=decay, scoped=scoped)
    ends = []
    for options in ({"optimizer": optimizer, "l2_regularization": l2}, {}):
        plain = {"optimizer": type(optimizer)(**PLAIN.get(type(optimizer), {}))}
        reg = NetworkRegressor(net, **ONE | plain | options, callbacks=[Ones()])
        ends.append(reg.fit(X, Y).program_.weights)
    return {k: np.mean(ends[1][k] - v) / 1e-3 for k, v in ends[0].items()}


PLAIN = {AdamW: {"weight_decay": 0.0}, SGD: {"momentum": 0.0}}


@pytest.mark.parametrize(
    ("optimizer", "l2"), [(AdamW(weight_decay=0.5), 0.0), (SGD(momentum=0.0), 0.5)]
)
@pytest.mark.parametrize("scoped", [False, True])
def test_a_factor_multiplies_the_decay_of_its_variables(optimizer, l2, scoped):
    usual = decayed(optimizer, None, l2)
    first = {k.partition("/")[2]: v for k, v in usual.items() if "last" not in k}
    assert first["biases"] == pytest.approx(0.0, abs=1e-9)
    unit = first["weights"]
    assert unit > 0.1
    for decay, want in (
        (0.0, (0.0, 0.0)),
        (2.0, (2.0, 2.0)),
        ({"biases": 0.5}, (1.0, 0.5)),
        ({"weights": 0.1}, (0.1, 0.0)),
    ):
        found = decayed(optimizer, decay, l2, scoped=scoped)
        named = {k.partition("/")[2]: v for k, v in found.items() if "last" not in k}
        got = named["weights"] / unit, named["biases"] / unit
        assert got == pytest.approx(want, abs=1e-6)
        assert found["last/weights"] == pytest.approx(usual["last/weights"])


def test_an_l1_of_the_optimizer_goes_by_it_too():
    strong = {"optimizer": Ftrl(l1=0.5), "max_iter": 40, "learning_rate": 0.1}
    kept, lost = (
        NetworkRegressor(tower(decay=decay), **ONE | strong).fit(X, Y)
        for decay in (0.0, 1.0)
    )
    name = "fully_connected/weights"
    assert (kept.program_.weights[name] != 0).all()
    assert (lost.program_.weights[name] == 0).any()


def test_rates_of_layers_multiply_those_of_variables():
    plain = moved(tower(), optimizer=SGD())
    callbacks = [LayerRates({"fully_connected": 0.5, "last/biases": 2.0})]
    net = tower(rate={"weights": 0.25, "biases": 0.0})
    both = moved(net, optimizer=SGD(), callbacks=callbacks)
    for name, factor in (
        ("fully_connected/weights", 0.125),
        ("fully_connected/biases", 0.0),
        ("last/weights", 1.0),
        ("last/biases", 2.0),
    ):
        np.testing.assert_allclose(both[name], factor * plain[name], rtol=1e-9)


def test_each_of_several_optimizers_goes_by_them():
    several = {"last*": SGD(momentum=0.0), "fully*": Adam()}
    plain = moved(tower(), optimizer=several)
    factors = {"weights": 0.25, "biases": 3.0}
    scaled = moved(tower(rate=factors), optimizer=several)
    for name, change in scaled.items():
        factor = 1.0 if name.startswith("last") else factors[name.rpartition("/")[2]]
        np.testing.assert_allclose(change, factor * plain[name], rtol=1e-6, atol=1e-15)


def test_the_fit_that_stops_early_goes_by_unsmoothed_labels():
    y = (np.mean(Y) < Y).astype(int)
    clf = NetworkClassifier(
        tower(),
        loss=LogLoss(label_smoothing=0.4),
        max_iter=60,
        learning_rate=0.05,
        early_stopping=True,
        random_state=0,
        n_iter_no_change=60,
    )
    clf.fit(X, y, X_val=X, y_val=y)
    curve = clf.validation_loss_curve_
    assert clf.best_iteration_ == np.argmin(curve) + 1
    assert min(curve) == pytest.approx(log_loss(y, clf.predict_proba(X)), rel=1e-5)


def test_they_go_on_clone_pickle_and_schedule(tmp_path):
    net = tower(rate={"biases": 0.1}, decay=2.0, depth=3)
    options = {**ONE, "optimizer": AdamW(weight_decay=0.1), "batch_size": 16}
    options["schedules"] = {"weight_decay": "exponential"}
    whole = NetworkRegressor(net, **options | {"max_iter": 4}).fit(X, Y)
    half = NetworkRegressor(net, **options | {"max_iter": 2, "warm_start": True})
    half = pickle.loads(pickle.dumps(clone(half).fit(X, Y))).fit(X, Y)
    assert half.program_.params.tobytes() == whole.program_.params.tobytes()
    part = NetworkRegressor(net, **options)
    for _ in range(4):
        part.partial_fit(X, Y)
    assert part.program_.text == whole.program_.text
    whole.program_.save(tmp_path / "saved")
    loaded = Program.load(tmp_path / "saved")
    line = (
        "param %fully_connected/biases : f64[4] "
        "(decay_factor=2.0, learning_rate_factor=0.1)\n"
    )
    assert loaded.text == whole.program_.text and line in loaded.text
    known = loaded.model.parameters["fully_connected/biases"]
    assert (known.decay_factor, known.learning_rate_factor) == (2.0, 0.1)
    assert print_program(parse_program(loaded.text)) == loaded.text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"learning_rate_factor": -1}, "learning_rate_factor must be a number >= 0"),
        ({"learning_rate_factor": "a"}, "learning_rate_factor must be a number"),
        ({"decay_factor": np.inf}, "decay_factor must be a number >= 0"),
        ({"decay_factor": True}, "decay_factor must be a number >= 0"),
        ({"decay_factor": {"biases": -1.0}}, "dict of such numbers by names"),
        (
            {"learning_rate_factor": {"bias": 0.1}},
            "names 'bias', but the layer's variables are 'weights', 'biases'",
        ),
        ({"parametrization": "mup"}, "must be 'standard' or 'ntk', got 'mup'"),
    ],
)
def test_what_is_no_factor_is_refused(arguments, message):
    with Model("f32").function("predict"):
        x = ops.input_("X", (B, 5), "f32")
        with pytest.raises(ValueError, match=message):
            layers.fully_connected(x, 2, **arguments)


def test_factors_reach_embeddings_and_normalizers():
    with Model("f32").function("predict", training=True) as graph:
        x = ops.input_("X", (B, 5), "f32")
        ids = ops.input_("ids", (B,), "i32")
        layers.embedding(ids, 9, 2, learning_rate_factor=0.5, decay_factor=0.0)
        layers.fully_connected(
            x,
            3,
            normalizer_fn=layers.batch_norm,
            learning_rate_factor={"weights": 0.5, "beta": 2.0},
        )
    found = {p.name: p.learning_rate_factor for p in graph.model.parameters}
    assert found == {
        "embedding/embeddings": 0.5,
        "fully_connected/weights": 0.5,
        "fully_connected/BatchNorm/beta": 2.0,
    }


# parametrization


@pytest.mark.parametrize("units", [16, 1024])
def test_ntk_draws_unit_weights_and_divides_by_the_root_of_the_width(units):
    @network
    def wide(x, num_outputs):
        ntk = {"parametrization": "ntk"}
        x = layers.fully_connected(x, units, activation_fn=None, **ntk)
        return layers.linear(x, num_outputs, scope="last", **ntk)

    reg = NetworkRegressor(wide(), **ONE | {"learning_rate": 1e-300}).fit(X, Y)
    weights = reg.program_.weights
    for name in ("fully_connected/weights", "last/weights"):
        # Of the mean of squares, whose deviation is √(2 / n).
        n = weights[name].size
        assert np.mean(weights[name] ** 2) == pytest.approx(1, abs=5 * np.sqrt(2 / n))
    hidden = X @ weights["fully_connected/weights"] / np.sqrt(5)
    raw = hidden @ weights["last/weights"] / np.sqrt(units)
    np.testing.assert_allclose(
        reg.predict(X), raw[:, 0] * Y.std() + Y.mean(), rtol=1e-9
    )


def test_an_initializer_that_is_given_is_taken():
    with Model("f32").function("predict") as graph:
        x = ops.input_("X", (B, 5), "f32")
        given = layers.xavier_initializer()
        layers.fully_connected(x, 2, parametrization="ntk", weights_initializer=given)
    assert graph.model.parameters["fully_connected/weights"].initializer is given


@pytest.mark.parametrize("sparse", [False, True])
def test_ntk_of_sparse_rows_is_that_of_dense_ones(sparse):
    from scipy.sparse import csr_matrix

    net = tower(ntk=True, rate={"biases": 0.1})
    rows = csr_matrix(X * (X > 0)) if sparse else X * (X > 0)
    reg = NetworkRegressor(net, **ONE | {"max_iter": 5}).fit(rows, Y)
    dense = NetworkRegressor(net, **ONE | {"max_iter": 5}).fit(X * (X > 0), Y)
    np.testing.assert_allclose(reg.predict(rows), dense.predict(X * (X > 0)))
