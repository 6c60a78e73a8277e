"""Curves of fits in pictures, and the tables that notebooks show."""

import itertools
import math
import pickle
import re
import sys
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import pyplot

from slimlearn import DNNClassifier, DNNRegressor
from slimlearn.callbacks import EarlyStopping, EpochScoring
from slimlearn.estimators.history import History
from slimlearn.estimators.pictures import COLORS

mpl.use("Agg")

X = np.random.RandomState(0).normal(size=(60, 3))
Y = X @ [1.0, 2.0, 3.0]
FEW = {"hidden_units": (4,), "max_iter": 6, "random_state": 0}
HELD = {"X_val": X[:20], "y_val": Y[:20]}


@pytest.fixture(autouse=True)
def closed():
    yield
    pyplot.close("all")


def lines(ax):
    every = [line for axes in ax.figure.axes for line in axes.get_lines()]
    return {line.get_label(): line for line in every}


# -- colours ------------------------------

# How those see who lack red or green cones, on linear RGB (Machado, Oliveira and
# Fernandes, "A physiologically-based model for simulation of color vision
# deficiency", 2009).
EYES = {
    "all cones": np.eye(3),
    "no green": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "no red": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
}


def linear(color):
    c = np.array(mpl.colors.to_rgb(color))
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    to_xyz = [
        [0.4124, 0.3576, 0.1805],
        [0.2126, 0.7152, 0.0722],
        [0.0193, 0.1192, 0.95],
    ]
    xyz = np.array(to_xyz) @ np.clip(rgb, 0, 1) / [0.9505, 1.0, 1.089]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("eyes", EYES)
def test_colors_differ_for_all_eyes(eyes):
    for a, b in itertools.combinations(COLORS, 2):
        seen = [lab(np.array(EYES[eyes]) @ linear(c)) for c in (a, b)]
        assert np.linalg.norm(seen[0] - seen[1]) > 20, (a, b)


def test_colors_stand_out_from_white():
    for color in COLORS:
        luminance = linear(color) @ [0.2126, 0.7152, 0.0722]
        assert 1.05 / (luminance + 0.05) >= 3


# -- plot_history ------------------------------


def test_every_curve_has_its_own_look():
    scores = ["accuracy", "neg_log_loss", "roc_auc"]
    scoring = [EpochScoring("accuracy", on="train"), *map(EpochScoring, scores)]
    est = DNNClassifier(callbacks=scoring, **FEW)
    ax = est.fit(X, Y > 0, X_val=X, y_val=Y > 0).plot_history()
    found = lines(ax)
    assert "learning_rate" not in found and len(found) == 7
    looks = {(line.get_color(), line.get_linestyle()) for line in found.values()}
    assert len(looks) == 7
    assert found["loss"].get_color() == COLORS[0]
    assert found["validation_loss"].get_color() == COLORS[1]
    assert found["validation_accuracy"].get_color() not in COLORS[:2]
    [beside] = [axes for axes in ax.figure.axes if axes is not ax]
    assert len(beside.get_lines()) == 4 and ax.zorder > beside.zorder
    alone = lines(DNNRegressor(**FEW).fit(X, Y).plot_history())
    assert alone["loss"].get_color() == COLORS[0]


def test_the_best_epoch_is_marked():
    worse = EpochScoring(lambda est, X, y: -est.score(X, y), name="worse", on="train")
    stop = EarlyStopping("worse", n_iter_no_change=3)
    est = DNNRegressor(callbacks=[worse, stop], **FEW).fit(X, Y)
    assert est.n_iter_ == 4 and est.history_.best_epoch == 1
    line = lines(est.plot_history())["best epoch: 1"]
    assert set(line.get_xdata()) == {1}
    # Without early stopping the last weights are kept; the mark shows what was best.
    est = DNNRegressor(learning_rate=1.0, **{**FEW, "max_iter": 20}).fit(X, Y, **HELD)
    best = int(np.argmin(est.validation_loss_curve_)) + 1
    assert est.best_iteration_ == 20 != best
    assert f"best epoch: {best}" in lines(est.plot_history())


def test_the_best_of_histories():
    assert History().best_epoch == 0
    assert History([3.0, 1.0, 2.0], best_iteration=3).best_epoch == 2
    assert History([3.0, 1.0, 2.0], [1.0, 2.0, 3.0], best_iteration=3).best_epoch == 1
    late = History([3.0, 1.0, 2.0], [], [0.5, 0.9], best_iteration=3)
    assert late.best_epoch == 3
    assert History([3.0, 1.0, 2.0], best_iteration=1).best_epoch == 1
    unseen = History([3.0, 1.0, math.nan], [math.nan] * 3, best_iteration=3)
    assert unseen.best_epoch == 2


def test_axes_that_are_given_and_matplotlib_that_is_missing(monkeypatch):
    est = DNNRegressor(**FEW).fit(X, Y)
    _, ax = pyplot.subplots()
    assert est.plot_history(ax) is ax and ax.get_title() == "DNNRegressor"
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match="plot_history needs matplotlib: pip install"):
        est.plot_history()


# -- notebooks ------------------------------


def parsed(html):
    return ElementTree.fromstring(html.replace("&#9473;", ""))


@pytest.mark.parametrize("epochs", [1, 2, 10, 11, 30])
def test_a_history_shows_its_ends_and_the_best_epoch(epochs):
    est = DNNRegressor(learning_rate=1.0, **{**FEW, "max_iter": epochs})
    history = est.fit(X, Y, **HELD).history_
    tree = parsed(history._repr_html_())
    header, *rows = tree.find("table")
    assert [cell.text for cell in header] == ["epoch", *history.curves()]
    shown = [row[0].text for row in rows]
    assert shown[0] == "1" and shown[-1] == str(epochs)
    assert ("…" in shown) is (epochs > 10)
    assert len(rows) <= 12 and str(history.best_epoch) in shown
    [bold] = [row[0].text for row in rows if "bold" in row.get("style", "")]
    assert bold == str(history.best_epoch)
    picture = tree.find("svg")
    assert (picture is None) is (epochs == 1)
    if picture is not None:
        curves = picture.findall("polyline")
        assert [c.get("stroke") for c in curves] == list(COLORS[:2])
        assert [len(c.get("points").split()) for c in curves] == [epochs] * 2


def test_curves_with_gaps_and_names_that_need_escapes():
    history = History([1.0] * 3, [math.nan, 2.0], columns={"<b>&": [1.0, math.nan]})
    html = history._repr_html_()
    assert "&lt;b&gt;&amp;" in html and "<b>&" not in html and "nan" not in html
    assert len(parsed(html).find("table")) == 4
    assert "svg" not in History([math.nan] * 3)._repr_html_()
    assert "<table>" in History()._repr_html_()


def test_a_summary_is_text_and_a_table():
    clf = DNNClassifier(**FEW).fit(X, Y > 0)
    text = clf.summary()
    assert isinstance(text, str) and repr(text) == str(text) == text + ""
    header, *rows = parsed(text._repr_html_())
    assert [cell.text for cell in header] == ["layer", "output", "parameters"]
    assert [row[0].text for row in rows] == re.findall(r"(?m)^(\S+)", text)[1:]
    assert pickle.loads(pickle.dumps(text))._repr_html_() == text._repr_html_()
