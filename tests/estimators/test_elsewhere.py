"""Parameters, methods and hooks by the names that other libraries give them."""

import inspect
import pickle
import re
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from slimlearn import (
    SGD,
    Adam,
    Autoencoder,
    ConvNetClassifier,
    ConvNetRegressor,
    DNNClassifier,
    DNNRegressor,
    LayerTransformer,
    LinearClassifier,
    LinearRegressor,
    NetworkClassifier,
    NetworkRegressor,
    Plateau,
    TabularClassifier,
)
from slimlearn.callbacks import Callback, EarlyStopping

ALL = [
    Autoencoder,
    ConvNetClassifier,
    ConvNetRegressor,
    DNNClassifier,
    DNNRegressor,
    LinearClassifier,
    LinearRegressor,
    NetworkClassifier,
    NetworkRegressor,
]
X = np.random.RandomState(0).normal(size=(20, 3))
Y = np.arange(20) % 2

# name, what stands in the error
OF_ALL = {
    "lr": "it is called learning_rate here",
    "learning_rate_init": "it is called learning_rate here",
    "epochs": "it is called max_iter here",
    "max_epochs": "it is called max_iter here",
    "n_iter": "it is called max_iter here",
    "solver": "it is called optimizer here",
    "alpha": "l2_regularization",
    "weight_decay": "l2_regularization",
    "momentum": "optimizer=SGD(momentum=0.9)",
    "beta_1": "optimizer=Adam(beta1=0.9)",
    "patience": "it is called n_iter_no_change here",
    "min_delta": "it is called tol here",
    "validation_split": "validation_fraction, with early_stopping=True",
    "validation_data": "X_val and y_val",
    "eval_set": "X_val and y_val",
    "criterion": "it is called loss here",
    "n_jobs": "it is called n_threads here",
    "seed": "it is called random_state here",
    "metrics": "EpochScoring",
    "warmstart": "did you mean warm_start?",
}
OF_SOME = [
    (DNNClassifier, "hidden_layer_sizes", "it is called hidden_units here"),
    (Autoencoder, "hidden_layer_sizes", "it is called hidden_units here"),
    (NetworkClassifier, "hidden_layer_sizes", "net=tower(units=(64, 32))"),
    (ConvNetClassifier, "input_shape", "it is called image_shape here"),
    (LinearRegressor, "hidden_units", "DNNClassifier and DNNRegressor have"),
    (NetworkRegressor, "module", "it is called net here"),
    (DNNRegressor, "module", "NetworkClassifier and NetworkRegressor take a net"),
    (DNNRegressor, "dropout_rate", "it is called dropout here"),
    (DNNClassifier, "class_weights", "it is called class_weight here"),
    (DNNClassifier, "feature_columns", "have them, as dnn_feature_columns and linear_"),
    (LinearClassifier, "penalty", "l2_regularization, ½·λ·‖W‖²"),
    (LinearClassifier, "l1_regularization", "optimizer=Ftrl(l1=…) has an l1 penalty"),
    (LinearClassifier, "C", "1 / (l2_regularization · n_samples)"),
    (DNNClassifier, "zzz", "it has hidden_units, activation, "),
]
CASES = [(kind, *row) for kind in ALL for row in OF_ALL.items()] + OF_SOME


SCIKIT = SimpleNamespace(on_fit_task_begin=print, on_fit_task_end=print)


def made(kind, **options):
    return kind(*["net"] * kind.__name__.startswith("Network"), **options)


@pytest.mark.parametrize("kind, name, told", CASES)
def test_a_constructor_says_what_it_is_called_here(kind, name, told):
    with pytest.raises(TypeError) as error:
        made(kind, **{name: 1})
    begin = f"{kind.__name__} has no parameter {name!r}: "
    assert str(error.value).startswith(begin) and told in str(error.value)


@pytest.mark.parametrize("kind, name, told", OF_SOME[:-1])
def test_set_params_says_it_too(kind, name, told):
    with pytest.raises(ValueError, match=r"^Invalid parameter") as error:
        made(kind).set_params(**{name: 1})
    assert told in str(error.value)
    with pytest.raises(ValueError, match="Valid parameters are"):
        made(kind).set_params(zzz=1)


def test_a_search_says_it_too():
    with pytest.raises(
        ValueError, match=r"'lr' for .* it is called learning_rate here"
    ):
        GridSearchCV(DNNClassifier(), {"lr": [0.1]}, error_score="raise").fit(X, Y)


@pytest.mark.parametrize(
    "name, told",
    [
        ("validation_data", "X_val and y_val take held-out rows"),
        ("eval_set", "X_val and y_val take held-out rows"),
        ("X_valid", "it is called X_val here"),
        ("sample_weights", "it is called sample_weight here"),
        ("epochs", "it belongs to the constructor: DNNClassifier(max_iter=…)"),
        ("batch_size", "it belongs to the constructor: DNNClassifier(batch_size=…)"),
        ("verbose", "it belongs to the constructor: DNNClassifier(verbose=…)"),
        ("callbacks", "it belongs to the constructor: DNNClassifier(callbacks=…)"),
        ("class_weight", "it belongs to the constructor"),
        ("patience", "it belongs to the constructor: DNNClassifier(n_iter_no_change=…"),
        ("validation_split", "that is validation_fraction, with early_stopping=True"),
        ("coef_init", "StartFrom"),
        ("zzz", "it has X, y, sample_weight, X_val"),
    ],
)
def test_fit_says_what_it_is_called_here(name, told):
    clf = DNNClassifier(max_iter=1)
    with pytest.raises(TypeError) as error:
        clf.fit(X, Y, **{name: 1})
    begin = f"DNNClassifier.fit has no parameter {name!r}: "
    assert str(error.value).startswith(begin) and told in str(error.value)
    model = make_pipeline(StandardScaler(), LayerTransformer(clf))
    with pytest.raises(TypeError, match=r"DNNClassifier\.fit has no"):
        model.fit(X, Y, **{f"layertransformer__{name}": 1})


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("method", ["fit", "partial_fit", "fit_chunks"])
def test_every_method_that_trains_says_it(kind, method):
    est = made(kind)
    if kind.__name__.startswith("Linear"):
        est.set_params(optimizer="adam")
    with pytest.raises(
        TypeError, match=rf"{kind.__name__}\.{method} has no .*'epochs'"
    ):
        getattr(est, method)(X, epochs=3)


PREDICTIONS = ["predict", "predict_proba", "predict_log_proba", "decision_function"]


@pytest.mark.parametrize("method", [*PREDICTIONS, "score"])
@pytest.mark.parametrize(
    "name, told",
    [
        ("batch_size", "how many rows go together changes no result"),
        ("verbose", "nothing is shown"),
        ("training", "nothing is dropped out"),
        ("n_jobs", "it belongs to the constructor: DNNClassifier(n_threads=…)"),
        ("metric", "get_scorer("),
        ("zzz", "it has X"),
    ],
)
def test_predictions_say_it(method, name, told):
    clf = DNNClassifier((3,), max_iter=1).fit(X, Y)
    with pytest.raises(TypeError) as error:
        getattr(clf, method)(X, **{name: 1})
    begin = f"DNNClassifier.{method} has no parameter {name!r}: "
    assert str(error.value).startswith(begin) and told in str(error.value)


@pytest.mark.parametrize("method", ["transform", "reconstruct", "score"])
def test_an_autoencoder_says_it(method):
    ae = Autoencoder((2,), max_iter=1).fit(X)
    with pytest.raises(TypeError, match="how many rows go together"):
        getattr(ae, method)(X, batch_size=3)


@pytest.mark.parametrize("method", ["predict", "predict_quantiles"])
def test_a_regressor_says_it(method):
    reg = DNNRegressor((2,), loss="quantile", quantile=[0.2, 0.8], max_iter=1)
    with pytest.raises(TypeError, match="how many rows go together"):
        getattr(reg.fit(X, X[:, 0]), method)(X, batch_size=3)


@pytest.mark.parametrize(
    "kind, name, value, told",
    [
        (
            DNNClassifier,
            "activation",
            "logistic",
            "'logistic' is called 'sigmoid' here",
        ),
        (DNNClassifier, "activation", "identity", "'identity' is called 'linear' here"),
        (DNNRegressor, "loss", "mse", "'mse' is called 'squared_error' here"),
        (DNNClassifier, "loss", "cross_entropy", "is called 'log_loss' here"),
        (
            DNNClassifier,
            "learning_rate",
            "adaptive",
            "A schedule is learning_rate_sche",
        ),
        (DNNClassifier, "callbacks", EarlyStopping(), "Put it into a list"),
        (DNNClassifier, "callbacks", [EarlyStopping], "EarlyStopping is a class: give"),
        (DNNClassifier, "loss", "mse", r"Got 'mse' instead\.$"),
        (DNNClassifier, "optimizer", "adamax", "Got 'adamax' instead.$"),
        (DNNClassifier, "optimizer", "AdamW", r"Did you mean 'adamw'\?$"),
        (DNNClassifier, "optimizer", Adam, r"Adam is a class: give Adam\(…\)\.$"),
        (DNNClassifier, "optimizer", Plateau, "Plateau'> instead.$"),
        (DNNClassifier, "learning_rate_schedule", "adaptive", "called 'plateau' here"),
        (DNNClassifier, "learning_rate_schedule", Plateau, "Plateau is a class"),
        (DNNClassifier, "precision", "fp16", "'fp16' is called 'float16' here"),
        (DNNClassifier, "scoring", "f1macro", r"Did you mean 'f1_macro'\?$"),
        (TabularClassifier, "preset", "defalt", r"Did you mean 'default'\?$"),
        (DNNClassifier, "callbacks", [SCIKIT], r"given by set_callbacks"),
        (DNNClassifier, "callbacks", [3], r"Got \[3\] instead.$"),
    ],
)
def test_values_by_the_names_of_others(kind, name, value, told):
    with pytest.raises(
        ValueError, match=rf"'{name}' parameter of {kind.__name__} .*"
    ) as e:
        made(kind, **{name: value}).fit(X, Y)
    assert re.search(told, str(e.value))


# -- nothing else changes ------------------------------


@pytest.mark.parametrize("kind", ALL)
def test_signatures_stay(kind):
    for of in (inspect.signature(kind), inspect.signature(kind.fit)):
        kinds = {p.kind for p in of.parameters.values()}
        assert inspect.Parameter.VAR_KEYWORD not in kinds
    assert list(inspect.signature(kind).parameters)[-1] == "verbose"
    assert kind.__init__.__qualname__ == f"{kind.__name__}.__init__"
    assert kind.fit.__doc__.startswith("Train the network")


class Mine(DNNClassifier):
    def __init__(self, hidden_units=(3,), *, max_iter=1, deep=True):
        super().__init__(hidden_units, max_iter=max_iter)
        self.deep = deep


class Loose(DNNClassifier):
    def __init__(self, **given):
        super().__init__(**given)


def test_estimators_of_users():
    mine = pickle.loads(pickle.dumps(clone(Mine(deep=False)).fit(X, Y)))
    assert mine.deep is False and mine.get_params()["deep"] is False
    with pytest.raises(TypeError, match="Mine has no parameter 'epochs': it is called"):
        Mine(epochs=3)
    with pytest.raises(TypeError, match="Loose has no parameter 'lr'"):
        Loose(lr=3)
    with pytest.raises(TypeError, match="positional"):
        DNNClassifier((3,), "relu")
    with pytest.raises(TypeError, match="missing 1 required"):
        DNNClassifier().fit(X)


def test_warnings_name_the_line_that_fits():
    reg = LinearRegressor(max_iter=1)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        reg.fit(X, X[:, 0])
        make_pipeline(StandardScaler(), reg).fit(X, X[:, 0])
        clf = NetworkClassifier(lambda x: x["a"], inputs={"a": [0], "b": [1]})
        clf.set_params(max_iter=1).fit(X, Y).partial_fit(X, Y)
    assert [w.category for w in found] == 2 * [ConvergenceWarning] + 2 * [UserWarning]
    assert {w.filename for w in found} == {__file__}


# -- parameter objects ------------------------------


@pytest.mark.parametrize(
    "kind, name, told",
    [
        (EarlyStopping, "patience", "it is called n_iter_no_change here"),
        (EarlyStopping, "min_delta", "it is called tol here"),
        (EarlyStopping, "restore_best_weights", "it is called restore_best here"),
        (EarlyStopping, "mode", "scores are known to rise"),
        (EarlyStopping, "monitr", "did you mean monitor?"),
        (Plateau, "patience", "it is called n_iter_no_change here"),
        (Plateau, "min_lr", "the lowest rate is minimum, a fraction"),
        (Adam, "lr", "the estimator has it, as in DNNClassifier(optimizer="),
        (SGD, "learning_rate", "the estimator has it"),
        (Adam, "beta_1", "it is called beta1 here"),
        (Adam, "zzz", "it has beta1, beta2, epsilon"),
    ],
)
def test_parameter_objects_say_it(kind, name, told):
    with pytest.raises(TypeError) as error:
        kind(**{name: 1})
    begin = f"{kind.__name__} has no parameter {name!r}: "
    assert str(error.value).startswith(begin) and told in str(error.value)


def test_parameters_of_callbacks_in_a_search():
    clf = DNNClassifier(callbacks=[("stop", EarlyStopping())])
    with pytest.raises(ValueError, match="it is called n_iter_no_change here"):
        clf.set_params(callbacks__stop__patience=3)


# -- hooks ------------------------------


@pytest.mark.parametrize(
    "hook, nearest",
    [
        ("on_epoch_finish", "on_epoch_end"),
        ("on_epoch_ends", "on_epoch_end"),
        ("on_epoch_begin", "on_epoch_end"),
        ("on_train_begin", "on_fit_begin"),
        ("on_train_end", "on_fit_end"),
        ("on_train_batch_end", "on_step_end"),
        ("on_batch_begin", "on_step_end"),
        ("on_fit_start", "on_fit_begin"),
        ("on_click", None),
    ],
)
def test_hooks_that_nothing_calls(hook, nearest):
    told = rf"Odd\.{hook} would never be called: .*on_fit_begin, on_step_end, on_epoch"
    end = rf" \({nearest} comes nearest\)" if nearest else "on_fit_end;"
    with pytest.raises(TypeError, match=told + ".*" + end):
        type("Odd", (Callback,), {hook: lambda self, state: None})
    duck = type("Odd", (), {"on_fit_begin": lambda s, state: None, hook: print})
    with pytest.raises(TypeError, match=told):
        DNNClassifier(callbacks=[duck()]).fit(X, Y)


def test_hooks_of_another_library_s_base_are_its_own():
    class Theirs:
        def on_click(self):
            """Called by them."""

    class Both(Theirs, Callback):
        def on_click(self):
            return 1

        def on_epoch_end(self, state):
            return True

    class Further(Both):
        def on_click(self):
            return 2

    assert DNNClassifier(callbacks=[Further()]).fit(X, Y).n_iter_ == 1


@pytest.mark.parametrize(
    "name", ["eval_set", "validation_data", "momentum", "alpha", "validation_split"]
)
def test_no_advice_names_a_parameter_that_is_not_there(name):
    clf = TabularClassifier(members=1)
    with pytest.raises(TypeError, match="it has members, preset") as made:
        TabularClassifier(**{name: 1})
    with pytest.raises(TypeError, match=r"it has X, y, sample_weight$") as fitted:
        clf.fit(X, Y, **{name: 1})
    for error in (made, fitted):
        assert not re.search("X_val|optimizer|early_stopping|l2_", str(error.value))
