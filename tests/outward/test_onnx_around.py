"""What scikit-learn has around networks, as ONNX by `slimlearn.to_onnx`."""

import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import RandomForestClassifier, StackingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import slimlearn
from slimlearn import Autoencoder, ConvNetClassifier, DNNClassifier, LayerTransformer

pytest.importorskip("skl2onnx", reason="the onnx extra is not installed")
rt = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 6)).astype(np.float32)
CODES = RNG.integers(0, 3, 60)
WORDS = np.array(["a", "b", "c"])[CODES]


def compute(made, X):
    runtime = rt.InferenceSession(
        made.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in runtime.get_outputs()]
    return dict(zip(names, runtime.run(None, {runtime.get_inputs()[0].name: X})))


def net(**params):
    return DNNClassifier((4,), max_iter=2, random_state=0, **params)


GRID = {"hidden_units": [(4,), (8,)]}
BEHIND = {"dnnclassifier__hidden_units": [(4,), (8,)]}
SCALED = make_pipeline(StandardScaler(), net())
MODELS = {
    "search": GridSearchCV(net(), GRID, cv=2),
    "halving": HalvingGridSearchCV(SCALED, BEHIND, cv=2, random_state=0),
    "search in a pipeline": make_pipeline(
        StandardScaler(), GridSearchCV(net(), GRID, cv=2)
    ),
    "calibrated": CalibratedClassifierCV(net(), cv=2),
    "calibrated pipeline": CalibratedClassifierCV(SCALED, cv=2),
    "calibrated search": CalibratedClassifierCV(GridSearchCV(net(), GRID, cv=2), cv=2),
    "calibrated scores": CalibratedClassifierCV(net(loss="hinge"), cv=2),
    "calibrated by steps": CalibratedClassifierCV(SCALED, method="isotonic", cv=2),
    "calibrated scores by steps": CalibratedClassifierCV(
        net(loss="hinge"), method="isotonic", cv=3
    ),
    "stack": StackingClassifier([("a", net()), ("b", LogisticRegression())], cv=2),
    "features": make_pipeline(LayerTransformer(net()), LogisticRegression()),
    "codes": make_pipeline(Autoencoder((4,), max_iter=2), LogisticRegression()),
}


@pytest.mark.parametrize(
    ("name", "classes"),
    [(n, c) for n in MODELS for c in (2, 3) if c == 3 or "calibrated" in n],
)
def test_models(name, classes):
    model = MODELS[name].fit(X, WORDS if classes == 3 else CODES > 0)
    made = slimlearn.to_onnx(model, X)
    assert made.ir_version == 8
    for rows in (1, 7):
        got = compute(made, X[:rows])
        want = model.predict_proba(X[:rows])
        np.testing.assert_allclose(got["probabilities"], want, atol=1e-5)
        assert (got["label"] == model.predict(X[:rows])).all()


def test_a_layer_alone():
    images = RNG.integers(0, 256, (60, 12, 10, 3)).astype(np.uint8)
    layer = LayerTransformer(ConvNetClassifier(max_iter=1), layer="conv1")
    layer.fit(images, CODES)
    got = compute(layer.to_onnx(), images[:7].astype(np.float32))["variable"]
    np.testing.assert_allclose(got, layer.transform(images[:7]), atol=1e-5)


def test_what_is_wrong_is_said():
    with pytest.raises(TypeError, match="to_onnx takes a fitted estimator; got 3"):
        slimlearn.to_onnx(3)
    with pytest.raises(NotFittedError):
        slimlearn.to_onnx(make_pipeline(net()))
    scaled = make_pipeline(StandardScaler(), net()).fit(X, CODES)
    with pytest.raises(ValueError, match="to_onnx of a Pipeline needs X, a row"):
        slimlearn.to_onnx(scaled)
    with pytest.raises(ValueError, match="X has the column 0, of type int"):
        slimlearn.to_onnx(scaled, pd.DataFrame(X))
    assert slimlearn.to_onnx(scaled, X.tolist()).graph.input[0].name == "X"
    warm = CalibratedClassifierCV(net(), method="temperature", cv=2).fit(X, CODES)
    with pytest.raises(ValueError, match=r"'temperature'.*'sigmoid' and 'isotonic'"):
        slimlearn.to_onnx(make_pipeline(warm).fit(X, CODES), X)


@pytest.mark.parametrize("base", ["constant", "forest", "double"])
def test_steps_of_any_classifier(base):
    """Rows that no fold knows, far away ones, and scores that say nothing."""
    y = WORDS
    if base == "constant":  # one step for all
        model = DNNClassifier((4,), max_iter=1, learning_rate=1e-9, random_state=0)
        rows = np.zeros_like(X)
    else:
        model, rows = RandomForestClassifier(9, random_state=0), X
    model = CalibratedClassifierCV(model, method="isotonic", cv=2).fit(rows, y)
    given = X[:1].astype(np.float64) if base == "double" else X
    made = slimlearn.to_onnx(model, given)
    new = np.concatenate([RNG.normal(size=X.shape), X * 50]).astype(np.float32)
    new = new.astype(given.dtype)
    got = compute(made, new)
    want = model.predict_proba(new)
    np.testing.assert_allclose(got["probabilities"], want, atol=1e-5)
    assert (got["label"] == model.predict(new)).all()


def test_what_skl2onnx_converts_itself_stays():
    """Only our own models get our stairs; a caller's conversion is as it was."""
    skl2onnx = pytest.importorskip("skl2onnx")
    model = CalibratedClassifierCV(LogisticRegression(), method="isotonic", cv=2)
    model.fit(X, CODES)
    kinds = [node.op_type for node in skl2onnx.to_onnx(model, X[:1]).graph.node]
    ours = [node.op_type for node in slimlearn.to_onnx(model, X).graph.node]
    after = [node.op_type for node in skl2onnx.to_onnx(model, X[:1]).graph.node]
    assert after == kinds != ours


def test_without_skl2onnx(monkeypatch):
    monkeypatch.setitem(sys.modules, "skl2onnx", None)
    scaled = make_pipeline(StandardScaler(), net()).fit(X, CODES)
    with pytest.raises(ImportError, match=r"a Pipeline needs the skl2onnx.*\[onnx\]"):
        slimlearn.to_onnx(scaled, X)
