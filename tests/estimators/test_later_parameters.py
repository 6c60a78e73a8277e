"""What was fitted does not change by parameters that are set later."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone

from slimlearn import (
    Adam,
    Autoencoder,
    DNNClassifier,
    DNNRegressor,
    Focal,
    Gaussian,
    GaussianMixture,
    Huber,
    LayerTransformer,
    LinearClassifier,
    LinearRegressor,
    NetworkClassifier,
    NetworkRegressor,
    Ordinal,
    layers,
    loss,
    network,
    ops,
)
from slimlearn.callbacks import EpochScoring
from slimlearn.feature_column import numeric_column

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4))
Y = X @ [1.0, 2.0, 0.0, -1.0]
CLASSES = np.digitize(Y, [-1.0, 1.0])
LABELS = (X[:, :3] > 0).astype(int)


@network
def tower(x, units=(5,)):
    return layers.stack(x, layers.fully_connected, units, scope="fc")


@network
def parts(x, units=(5,)):
    both = ops.concat([x["a"], x["b"]], 1)
    return layers.stack(both, layers.fully_connected, units, scope="fc")


@loss
def scaled(raw, y, by=1.0):
    return ops.square(raw - y) * by


@loss(
    outputs=2, mean=lambda raw: raw[..., 0], std=lambda raw, by: by + raw[..., 1] ** 2
)
def spread(raw, y, by=1.0):
    return ops.square(raw[..., 0] - y) * by + ops.square(raw[..., 1])


SHORT = {"max_iter": 2, "random_state": 0}
INPUTS = {"a": [0, 1], "b": [2, 3]}
LEVELS = {"loss": "quantile", "quantile": (0.1, 0.5, 0.9)}
FITTED = [
    (DNNClassifier((5,), optimizer=Adam(), loss=Focal(), **SHORT), CLASSES),
    (DNNClassifier((5,), loss=Ordinal([2, 1, 0]), **SHORT), CLASSES),
    (DNNClassifier((5,), loss="hinge", **SHORT), CLASSES),
    (DNNClassifier((5,), batch_norm=True, dropout=0.5, **SHORT), LABELS),
    (DNNClassifier((5,), class_weight="balanced", **SHORT), LABELS + 1),
    (DNNRegressor((5,), loss=Huber(), **SHORT), np.c_[Y, Y]),
    (DNNRegressor((5,), loss=Gaussian(), quantile=(0.2, 0.8), **SHORT), Y),
    (DNNRegressor((5,), loss=GaussianMixture(), **SHORT), np.c_[Y, Y]),
    (DNNRegressor((5,), loss=spread(), **SHORT), Y),
    (DNNRegressor((5,), loss="poisson", **SHORT), np.abs(Y)),
    (DNNRegressor((5,), **LEVELS, **SHORT), Y),
    (LinearClassifier(optimizer="adam", **SHORT), CLASSES),
    (LinearRegressor(optimizer="adam", loss=scaled(), **SHORT), Y),
    (NetworkClassifier(tower(), **SHORT), CLASSES > 0),
    (NetworkRegressor(parts(), inputs=INPUTS, **SHORT), Y),
    (LayerTransformer(DNNClassifier((5, 3), **SHORT), layer="fc1"), CLASSES),
    (Autoencoder((5, 2), **SHORT), None),
]

# For each parameter others than the fit had; what does not apply is left out.
LATER = {
    "hidden_units": [(7,), ()],
    "activation": ["tanh"],
    "code_activation": ["tanh"],
    "dropout": [0.9],
    "input_dropout": [0.9],
    "batch_norm": [True, False],
    "categorical_features": [None],
    "net": [tower((9,))],
    "net__units": [(9,)],
    "inputs": [None, {"a": [1], "b": [0]}],
    "feature_columns": [[numeric_column("a")]],
    "estimator": [LinearClassifier()],
    "estimator__hidden_units": [(9,)],
    "layer": [None, "fc2"],
    "loss": ["log_loss", "hinge", "squared_error", "gaussian", "gamma", scaled(7.0)],
    "loss__gamma": [0.5],
    "loss__delta": [0.1],
    "loss__min_std": [9.0],
    "loss__n_components": [7],
    "loss__order": [[0, 1, 2]],
    "loss__by": [9.0],
    "quantile": [None, 0.3, (0.4, 0.6)],
    "class_weight": [None, {0: 3.0}],
    "optimizer": ["sgd", "lbfgs"],
    "optimizer__beta1": [0.1],
    "learning_rate": [0.5],
    "batch_size": [1],
    "accumulate": [3],
    "l2_regularization": [9.0],
    "gradient_clip_norm": [0.1],
    "early_stopping": [True],
    "validation_fraction": [None],
    "scoring": [lambda *_: 0.0],
    "tol": [1.0],
    "shuffle": [False],
    "warm_start": [True],
    "callbacks": [[EpochScoring("r2")]],
    "precision": ["float32"],
    "n_threads": [2],
    "random_state": [7],
    "max_iter": [9],
    "verbose": [2],
}
ASKED = {
    "predict": ({}, {"return_std": True}, {"return_quantiles": True}),
    "predict_proba": ({},),
    "predict_log_proba": ({},),
    "decision_function": ({},),
    "predict_quantiles": ({},),
    "transform": ({},),
    "reconstruct": ({},),
    "activations": ({},),
    "get_feature_names_out": None,
    "get_weights": None,
    "summary": None,
}
ATTRIBUTES = [
    *("coef_", "intercept_", "coefs_", "classes_", "n_features_in_", "loss_"),
    *("n_iter_", "learning_rate_", "best_iteration_", "_n_features_out"),
]


def asked(est) -> dict:
    """Everything that a fitted estimator tells, or that it does not."""
    found = {}
    for name, options in ASKED.items():
        method = getattr(est, name, None)
        found[name] = method is not None
        for option in options or [None]:
            try:
                if method is not None:
                    told = method() if options is None else method(X, **option)
                    found[f"{name} {option}"] = told
            except ValueError as error:
                found[f"{name} {option}"] = str(error)
            except TypeError:  # a classifier's predict has no options
                assert option
    for name in ATTRIBUTES:
        found[name] = getattr(est, name, None)
    return found


@pytest.mark.parametrize("est, y", FITTED, ids=lambda v: "" if v is None else None)
def test_parameters_that_are_set_later_change_nothing(est, y):
    est = clone(est).fit(X, y)
    before, known = asked(est), est.get_params()
    tried = 0
    for name, values in LATER.items():
        for value in values if name in known else ():
            twin = pickle.loads(pickle.dumps(est)).set_params(**{name: value})
            np.testing.assert_equal(asked(twin), before, f"{name}={value!r}")
            tried += 1
            if name == "scoring" or value is not values[-1]:
                continue  # a lambda is not pickled, and one value is enough
            again = pickle.loads(pickle.dumps(twin))
            np.testing.assert_equal(asked(again), before, f"{name}={value!r}, pickled")
    assert tried >= 3


def test_every_parameter_is_set_later():
    names = {name for est, _ in FITTED for name in est.get_params(deep=False)}
    assert names - set(LATER) == {
        *("learning_rate_schedule", "schedules", "n_iter_no_change", "device"),
    }


def test_objects_of_the_user_s_do_not_reach_into_the_fit():
    one, units = Gaussian(), [5]
    est = DNNRegressor(units, loss=one, **SHORT).fit(X, Y)
    before = asked(est)
    one.set_params(min_std=9.0)
    units.append(7)
    np.testing.assert_equal(asked(est), before)
