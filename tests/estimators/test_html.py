"""Scikit-learn's diagrams of estimators in notebooks: the layers once fitted."""

import re
from html import unescape

import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from support.estimator_shapes import SHAPES

from slimlearn import DNNClassifier, LayerTransformer, TabularEncoder
from slimlearn.estimators.compat import PARAMETERS_IN_DIAGRAMS

X = np.random.RandomState(0).normal(size=(40, 5))
Y = (X[:, 0] > 0).astype(int)
CLF = DNNClassifier((6, 3), max_iter=2, random_state=0)
FIT = make_pipeline(StandardScaler(), CLF).fit(X, Y)


def diagram(estimator) -> str:
    """Return what a notebook shows."""
    return estimator._repr_html_()


def rows(html: str) -> list[str]:
    """Return the lines of the tables of layers, words apart by one space."""
    if PARAMETERS_IN_DIAGRAMS:
        tables = re.findall(r"<summary>Layers</summary>.*?</table>", html, re.DOTALL)
        cut = re.findall(r"<tr.*?</tr>", "".join(tables), re.DOTALL)
        lines = [re.sub("<[^>]*>", " ", row) for row in cut]
    else:
        lines = re.findall(r"^([\w/]+ .*?\d)(?:</pre>.*)?$", html, re.MULTILINE)
    return [" ".join(unescape(line).split()) for line in lines]


def summary(estimator) -> list[str]:
    return [" ".join(line.split()) for line in estimator.summary().splitlines()][1:]


def test_a_fitted_estimator_shows_the_rows_of_its_summary():
    clf = clone(CLF).fit(X, Y)
    assert rows(diagram(clf))[-5:] == summary(clf)
    assert rows(diagram(clf))[-4] == "fc1 N×6 36"


@pytest.mark.parametrize(
    "model",
    [
        FIT,
        GridSearchCV(FIT, {"dnnclassifier__tol": [1e-3]}, cv=2).fit(X, Y),
        LayerTransformer(CLF).fit(X, Y),
        LayerTransformer(FrozenEstimator(FIT[-1])).fit(X, Y),
    ],
    ids=["pipeline", "search", "transformer", "frozen"],
)
def test_the_table_stands_in_the_diagrams_of_others(model):
    assert "fc2 N×3 21" in rows(diagram(model))


def test_an_unfitted_estimator_has_no_table():
    for model in (CLF, make_pipeline(StandardScaler(), CLF), LayerTransformer(CLF)):
        html = diagram(clone(model))
        assert not rows(html) and "fc1" not in html


@pytest.mark.parametrize("estimator", SHAPES["default"], ids=lambda e: type(e).__name__)
def test_every_estimator_has_a_diagram(estimator):
    estimator = clone(estimator)
    assert type(estimator).__name__ in diagram(estimator)
    estimator.fit(X, Y)
    html = diagram(estimator)
    if hasattr(estimator, "columns_"):
        assert isinstance(estimator, TabularEncoder) or "<td>robust" in html
    else:
        assert any(line.startswith("total ") for line in rows(html))
    with config_context(display="text"):
        assert not hasattr(estimator, "_repr_html_")


def test_names_are_escaped(monkeypatch):
    for module in ("diagram", "inspection"):
        monkeypatch.setattr(
            f"slimlearn.estimators.{module}.table", lambda program: [("<b>&", "", "1")]
        )
    html = diagram(FIT)
    assert "&lt;b&gt;&amp;" in html and "<b>&" not in html
