"""What other libraries call the parameters of estimators: errors that translate."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from typing import TypeVar

from slimlearn.backend.keywords import checks_keywords, hint

__all__ = ["advice", "constructor", "method", "of_value", "prediction"]

_F = TypeVar("_F", bound=Callable)

_PENALTY = (
    "the penalty is l2_regularization, ½·λ·‖W‖² beside the mean loss of a row; "
    "optimizer='adamw' decays weights"
)
_SPARSE = "optimizer=Ftrl(l1=…) has an l1 penalty"
_EPOCHS = dict.fromkeys(
    ("epochs", "max_epochs", "n_epochs", "num_epochs", "nb_epoch", "n_iter"), "max_iter"
)
_VALIDATION = "give X_val and y_val to fit, or set early_stopping=True"
_OPTIMIZER = "the optimizer has it, as in optimizer=Adam(beta1=0.9)"
_NAMES = {
    **_EPOCHS,
    "activation_fn": "activation",
    "alpha": f"{_PENALTY}; alpha is divided by the rows of a batch",
    "batch_normalization": "batch_norm",
    "beta_1": _OPTIMIZER,
    "beta_2": _OPTIMIZER,
    "betas": _OPTIMIZER,
    "build_fn": "net",
    "C": "C is 1 / (l2_regularization · n_samples)",
    "class_weights": "class_weight",
    "clipnorm": "gradient_clip_norm",
    "clipvalue": "that is callbacks=[GradientClipping(value=…)]",
    "criterion": "loss",
    "dropout_rate": "dropout",
    "dtype": "precision",
    "early_stopping_rounds": "early_stopping=True stops after n_iter_no_change epochs",
    "epsilon": _OPTIMIZER,
    "feature_columns": "DNNLinearCombinedClassifier and DNNLinearCombinedRegressor "
    "have them, as dnn_feature_columns and linear_feature_columns, of which one may be "
    "left out",
    "eval_metric": "scoring",
    "eval_set": _VALIDATION,
    "gradient_clip": "gradient_clip_norm",
    "grad_clip_norm": "gradient_clip_norm",
    "hidden_layer_sizes": "hidden_units",
    "hidden_layers": "hidden_units",
    "input_shape": "image_shape",
    "l1": _SPARSE,
    "l1_ratio": _SPARSE,
    "l1_regularization": _SPARSE,
    "l2": "l2_regularization",
    "learning_rate_init": "learning_rate",
    "loss_fn": "loss",
    "lr": "learning_rate",
    "lr_scheduler": "learning_rate_schedule",
    "max_fun": "max_iter",
    "metrics": "that is scoring, or callbacks=[EpochScoring('accuracy')]",
    "min_delta": "tol",
    "model": "net",
    "model_dir": "that is callbacks=[Checkpoint(directory)]",
    "module": "net",
    "momentum": "the optimizer has it: optimizer=SGD(momentum=0.9)",
    "n_jobs": "n_threads",
    "nesterovs_momentum": "the optimizer has it: optimizer=SGD(nesterov=True)",
    "num_threads": "n_threads",
    "patience": "n_iter_no_change",
    "penalty": f"{_PENALTY}; {_SPARSE}",
    "power_t": "that is learning_rate_schedule=InverseScaling(power=…)",
    "random_seed": "random_state",
    "seed": "random_state",
    "solver": "optimizer",
    "train_split": _VALIDATION,
    "units": "hidden_units",
    "validation_data": _VALIDATION,
    "validation_split": "that is validation_fraction, with early_stopping=True",
    "weight_decay": _PENALTY,
    "weights": "class_weight",
}
# Where the estimator has no hidden units, or no net.
_LESS = {
    "hidden_units": "DNNClassifier and DNNRegressor have hidden_units, and a network "
    "function says it itself, as in net=tower(units=(64, 32))",
    "net": "NetworkClassifier and NetworkRegressor take a net of your own",
}
_HELD_OUT = "X_val and y_val take held-out rows: fit(X, y, X_val=…, y_val=…)"
_OF_FIT = {
    "eval_sample_weight": "sample_weight_val",
    "eval_set": _HELD_OUT,
    "valid_sets": _HELD_OUT,
    "validation_data": _HELD_OUT,
    "validation_set": _HELD_OUT,
    "val_data": _HELD_OUT,
    "X_test": "X_val",
    "X_valid": "X_val",
    "X_validation": "X_val",
    "y_test": "y_val",
    "y_valid": "y_val",
    "y_validation": "y_val",
    "weight": "sample_weight",
    "weights": "sample_weight",
    "sample_weights": "sample_weight",
    "coef_init": "callbacks=[StartFrom(weights)] begins with given weights",
    "intercept_init": "callbacks=[StartFrom(weights)] begins with given weights",
    "initial_epoch": "warm_start=True goes on from the epochs done",
}
_SCORER = "scikit-learn's scorers take the estimator: get_scorer('f1')(est, X, y)"
_OF_PREDICTIONS = {
    "batch_size": "how many rows go together changes no result and is chosen here; "
    "batch_size belongs to training",
    "verbose": "nothing is shown: leave it out",
    "training": "nothing is dropped out where nothing is trained: leave it out",
    "is_training": "nothing is dropped out where nothing is trained: leave it out",
    "output_margin": "decision_function gives what a classifier's network does",
    "raw_score": "decision_function gives what a classifier's network does",
    "proba": "predict_proba gives probabilities",
    "return_proba": "predict_proba gives probabilities",
    "metric": _SCORER,
    "scoring": _SCORER,
    "weights": "sample_weight",
    "sample_weights": "sample_weight",
}


# Parameters that the words above speak of.
_SPOKEN_OF = frozenset(
    {
        *("X_val", "callbacks", "early_stopping", "l2_regularization"),
        *("learning_rate_schedule", "optimizer", "validation_fraction", "warm_start"),
    }
)

# Values by the names that others give them, for each parameter.
_VALUES = {
    "activation": {
        "identity": "linear",
        "logistic": "sigmoid",
        "LeakyReLU": "leaky_relu",
        "ReLU": "relu",
    },
    "learning_rate_schedule": {
        "adaptive": "plateau",
        "invscaling": "inverse_scaling",
        "onecycle": "one_cycle",
    },
    "precision": {
        "bf16": "bfloat16",
        "double": "float64",
        "fp16": "float16",
        "fp32": "float32",
        "half": "float16",
    },
    "loss": {
        **dict.fromkeys(("mse", "mean_squared_error", "l2"), "squared_error"),
        **dict.fromkeys(("mae", "mean_absolute_error", "l1"), "absolute_error"),
        **dict.fromkeys(
            (
                *("binary_crossentropy", "categorical_crossentropy", "cross_entropy"),
                *("crossentropy", "sparse_categorical_crossentropy", "logistic"),
            ),
            "log_loss",
        ),
    },
}
_SCHEDULES = ("adaptive", "constant", "invscaling", "optimal")
# How near a value is to the one that was meant: "adamax" is not "adam".
_NEAR = 0.85


def of_value(name: str, value, constraints: list) -> str | None:
    """What to give in the place of a refused value; None if nobody knows.

    Parameters
    ----------
    name : str
        Of the parameter.
    value : object
    constraints : list
        What it may be, as scikit-learn's validation has it.
    """
    if isinstance(value, type):
        # Of a constraint that is a class.
        kinds = tuple(c.type for c in constraints if hasattr(c, "type"))
        return _of_class(value) if issubclass(value, kinds) else None
    found = None
    if isinstance(value, str):
        words = {w for c in constraints for w in getattr(c, "options", ())}
        found = _VALUES.get(name, {}).get(value)
        found = found if found in words else None
        if name == "learning_rate" and value in _SCHEDULES:
            return (
                "A schedule is learning_rate_schedule, such as 'inverse_scaling' or "
                "'plateau'."
            )
    if name == "callbacks" and hasattr(value, "on_epoch_end"):
        return "Put it into a list."
    if name == "callbacks" and isinstance(value, (list, tuple)):
        if any(hasattr(one, "on_fit_task_begin") for one in value):
            return "Scikit-learn's own callbacks are given by set_callbacks(…)."
        kinds = [one for one in value if isinstance(one, type)]
        return _of_class(kinds[0]) if kinds else None
    if isinstance(value, str) and found is None:
        near = difflib.get_close_matches(value.lower(), words, 1, _NEAR)
        return f"Did you mean {near[0]!r}?" if near else None
    return None if found is None else f"{value!r} is called {found!r} here."


def _of_class(kind: type) -> str:
    return f"{kind.__name__} is a class: give {kind.__name__}(…)."


def _hint(name: str, known, names: dict[str, str], own=()) -> str | None:
    """What to write instead, unless it speaks of parameters that are not there."""
    told = hint(name, known, names)
    if told is not None and told == names.get(name):
        spoken = _SPOKEN_OF.intersection(re.findall(r"\w+", told))
        if spoken and spoken.isdisjoint({*known, *own}):
            return None
    return told


def advice(kind: type, name: str) -> str | None:
    """What to write in the place of an unknown parameter of a constructor."""
    known, target = kind._get_param_names(), _NAMES.get(name, name)
    if target in _LESS and target not in known:
        return _LESS[target]
    return _hint(name, known, _NAMES)


def _explain_constructor(estimator, name: str, known) -> str:
    kind = type(estimator)
    told = advice(kind, name) or f"it has {', '.join(known)}"
    return f"{kind.__name__} has no parameter {name!r}: {told}"


def method(function: _F) -> _F:
    """Decorate a method of estimators that trains, such as fit."""
    return _explained(function, _OF_FIT)


def prediction(function: _F) -> _F:
    """Decorate a method of estimators that predicts, or scores predictions."""
    return _explained(function, _OF_PREDICTIONS)


def _explained(function: _F, names: dict[str, str]) -> _F:
    def explain(estimator, name: str, known) -> str:
        kind = type(estimator)
        own = kind._get_param_names()
        told = None
        if name not in own or name in names:
            told = _hint(name, known, names, own)
        target = name if name in own else _NAMES.get(name)
        if told is None and target in own:
            told = f"it belongs to the constructor: {kind.__name__}({target}=…)"
        told = told or advice(kind, name) or f"it has {', '.join(known)}"
        return f"{kind.__name__}.{function.__name__} has no parameter {name!r}: {told}"

    return checks_keywords(explain)(function)


def constructor(kind: type) -> None:
    """Let the constructor that a class defines explain what it does not know."""
    if "__init__" in kind.__dict__:
        kind.__init__ = checks_keywords(_explain_constructor)(kind.__init__)
