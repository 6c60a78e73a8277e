"""What shows the progress of a fit, and fits that nobody can see."""

import io
import sys
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.base import clone
from support.estimator_shapes import SHAPES

from slimlearn.callbacks import ProgressBar
from slimlearn.estimators import NetworkClassifier, TabularEncoder

X = np.random.default_rng(0).normal(size=(40, 3))
Y = np.arange(40) % 2
ESTIMATORS = [e for e in SHAPES["default"] if not isinstance(e, TabularEncoder)]


def shown(estimator, verbose):
    estimator = clone(estimator)
    inner = getattr(estimator, "estimator", estimator)
    inner.set_params(verbose=verbose, max_iter=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return estimator.fit(X, Y)


class Closed(io.StringIO):
    """A terminal that went away."""

    def write(self, text):
        raise BrokenPipeError("nobody reads")


def streams():
    closed = io.StringIO()
    closed.close()
    return {"none": None, "closed": closed, "broken": Closed()}


@pytest.mark.parametrize("stream", ["none", "closed", "broken"])
@pytest.mark.parametrize("verbose", [1, 2])
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: type(e).__name__)
def test_fits_whose_streams_are_gone(estimator, verbose, stream, monkeypatch, capsys):
    expected = shown(estimator, 0)
    capsys.readouterr()
    for name in ("stderr", "stdout"):
        monkeypatch.setattr(sys, name, streams()[stream])
    fitted = shown(estimator, verbose)
    monkeypatch.undo()
    assert capsys.readouterr() == ("", "")
    assert type(fitted) is type(expected)
    method = "predict" if hasattr(fitted, "predict") else "transform"
    assert getattr(fitted, method)(X).shape == getattr(expected, method)(X).shape


@pytest.mark.parametrize("tqdm", [False, True])
def test_a_bar_without_stderr_is_silent(tqdm, monkeypatch, capsys):
    if tqdm:

        def refuse(**options):
            raise AttributeError("'NoneType' object has no attribute 'write'")

        module = SimpleNamespace(tqdm=refuse)
        monkeypatch.setitem(sys.modules, "tqdm", SimpleNamespace(auto=module))
        monkeypatch.setitem(sys.modules, "tqdm.auto", module)
    clf = NetworkClassifier(
        SHAPES["default"][4].net, max_iter=2, callbacks=[ProgressBar()]
    )
    monkeypatch.setattr(sys, "stderr", None)
    clf.fit(X, Y)
    monkeypatch.undo()
    assert capsys.readouterr() == ("", "")


class Broken:
    """tqdm's bar on a pipe that nobody reads, from its n-th write on."""

    left = 0

    def __init__(self, **options):
        self.n = options["initial"]
        self.write()

    def write(self, *args, **options):
        Broken.left -= 1
        if Broken.left < 0:
            raise BrokenPipeError("nobody reads")

    set_postfix = update = close = write


@pytest.mark.parametrize("writes", range(7))
@pytest.mark.parametrize("options", [{"verbose": 1}, {"callbacks": [ProgressBar()]}])
def test_a_bar_whose_pipe_breaks_ends_no_fit(options, writes, monkeypatch):
    module = SimpleNamespace(tqdm=Broken)
    monkeypatch.setitem(sys.modules, "tqdm", SimpleNamespace(auto=module))
    monkeypatch.setitem(sys.modules, "tqdm.auto", module)
    monkeypatch.setattr(Broken, "left", writes)
    monkeypatch.setattr(sys, "stderr", Closed())
    clf = NetworkClassifier(SHAPES["default"][4].net, max_iter=3, **options).fit(X, Y)
    monkeypatch.undo()
    assert clf.n_iter_ == 3
