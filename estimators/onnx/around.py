"""What scikit-learn has around networks, converted by skl2onnx."""

from __future__ import annotations

import importlib

import numpy as np
from sklearn.base import BaseEstimator, is_classifier
from sklearn.calibration import CalibratedClassifierCV, _CalibratedClassifier
from sklearn.model_selection._search import BaseSearchCV
from sklearn.pipeline import Pipeline

from slimlearn.backend.onnx import Unsupported, require_onnx
from slimlearn.estimators.arrays import to_numpy
from slimlearn.estimators.inputs.frames import is_frame
from slimlearn.estimators.onnx.doors import ToONNX

__all__ = ["converted"]


def converted(model, X, target_opset: int):
    """`slimlearn.to_onnx` of a fitted estimator of scikit-learn."""
    while isinstance(model, BaseSearchCV):
        model = model.best_estimator_
    if isinstance(model, ToONNX):
        return model.to_onnx(target_opset=target_opset)
    onnx = require_onnx(target_opset)
    try:
        skl2onnx = importlib.import_module("skl2onnx")
        helper = importlib.import_module("skl2onnx.algebra.type_helper")
    except ImportError as error:
        raise ImportError(
            f"to_onnx of a {type(model).__name__} needs the skl2onnx package, which "
            f'could not be imported ({error}): pip install "slimlearn[onnx]"'
        ) from error
    if X is None:
        raise ValueError(
            f"to_onnx of a {type(model).__name__} needs X, a row or more such as will "
            "come, whose type and names the model's inputs get"
        )
    parts = _parts(model)
    _refuse(parts)
    calibrated = importlib.import_module("slimlearn.estimators.onnx.calibrated")
    pipelines = importlib.import_module("slimlearn.estimators.onnx.pipelines")
    for kind in {type(part) for part in parts if isinstance(part, ToONNX)}:
        pipelines.register(kind)
    rows = _first(X)
    options = {id(part): {"raw_scores": True} for part in _asked_for_scores(parts)}
    if is_classifier(model):
        options[id(model)] = {"zipmap": False}
    made = skl2onnx.convert_sklearn(
        model,
        name=f"ONNX({type(model).__name__})",
        initial_types=helper.guess_initial_types(rows, None),
        target_opset=target_opset,
        options=options or None,
        # For this model alone: what the caller converts by skl2onnx stays as it was.
        custom_conversion_functions={CalibratedClassifierCV: calibrated.convert},
    )
    _prune(made.graph)
    onnx.checker.check_model(made, full_check=True)
    return made


def _first(X):
    """A row that has the type of X, and the names of its columns."""
    if not is_frame(X):
        X = to_numpy(X)
        return (np.asarray(X) if isinstance(X, list) else X)[:1]
    odd = [name for name in X.columns if not isinstance(name, str)]
    if odd:
        raise ValueError(
            f"X has the column {odd[0]!r}, of type {type(odd[0]).__name__}, and inputs "
            "of ONNX have names that are texts: give an array, or X.columns.astype(str)"
        )
    return X.head(1)


def _prune(graph) -> None:
    """Drop what no result needs: labels of calibrated classifiers are not read."""
    read = {output.name for output in graph.output}
    kept = []
    for node in reversed(graph.node):
        if read.isdisjoint(node.output):
            continue
        kept.append(node)
        read.update(node.input)
        read.update(_read_inside(node))
    for field, wanted in (
        (graph.node, kept[::-1]),
        (graph.initializer, [one for one in graph.initializer if one.name in read]),
    ):
        del field[:]
        field.extend(wanted)


def _read_inside(node) -> set[str]:
    """What the subgraphs of a node read."""
    found: set[str] = set()
    for attribute in node.attribute:
        if attribute.HasField("g"):
            found.update(output.name for output in attribute.g.output)
            for inner in attribute.g.node:
                found.update(inner.input)
                found |= _read_inside(inner)
    return found


def _parts(model) -> list:
    """All that a fitted model is made of, itself among it."""
    found, seen, waiting = [], set(), [model]
    while waiting:
        one = waiting.pop()
        if isinstance(one, (list, tuple)):
            waiting += one
        elif hasattr(one, "__dict__") and id(one) not in seen:
            seen.add(id(one))
            if isinstance(one, (BaseEstimator, _CalibratedClassifier)):
                found.append(one)
                waiting += one.__dict__.values()
    return found


def _refuse(parts: list) -> None:
    """Refuse what skl2onnx would convert to something else than Python predicts."""
    for part in parts:
        known = "sigmoid", "isotonic"
        if isinstance(part, CalibratedClassifierCV) and part.method not in known:
            raise Unsupported(
                f"CalibratedClassifierCV(method={part.method!r}): ONNX models are made "
                "of calibration by 'sigmoid' and 'isotonic': calibrate by one of "
                "these, or serve this one by slimlearn.save"
            )


def _asked_for_scores(parts: list) -> list:
    """Classifiers in pipelines and searches that are calibrated by their scores.

    skl2onnx asks what is calibrated for scores, and these do not hand that on.
    """
    found = []
    for part in parts:
        if isinstance(part, _CalibratedClassifier):
            last = part.estimator
            while isinstance(last, (Pipeline, BaseSearchCV)):
                search = isinstance(last, BaseSearchCV)
                last = last.best_estimator_ if search else last.steps[-1][1]
            if last is not part.estimator and hasattr(last, "decision_function"):
                found.append(last)
    return found
