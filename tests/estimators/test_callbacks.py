"""Callbacks: the protocol, what each of ours does, searches, errors and Ctrl-C."""

import csv
import doctest
import json
import pickle
import signal
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris
from sklearn.model_selection import GridSearchCV

from slimlearn import DNNClassifier, DNNRegressor, LinearClassifier, Plateau
from slimlearn.callbacks import (
    Callback,
    Checkpoint,
    CSVLog,
    EarlyStopping,
    EpochScoring,
    GradientClipping,
    JSONLog,
    LearningRateScheduler,
    ParamFreezer,
    ProgressBar,
    TimeLimit,
)
from slimlearn.estimators import callbacks

X, Y = load_iris(return_X_y=True)
X = (X - X.mean(axis=0)) / X.std(axis=0)
FEW = {"hidden_units": (6,), "max_iter": 6, "random_state": 0}


class Recorder(Callback):
    def __init__(self, stop_at=None, fail_at=None, hook="on_epoch_end"):
        self.stop_at = stop_at
        self.fail_at = fail_at
        self.hook = hook

    def on_fit_begin(self, state):
        self.calls_ = ["begin"]
        self.rows_ = []
        self._maybe_fail("on_fit_begin", state)

    def on_epoch_end(self, state):
        self.calls_.append(state.epoch)
        self.rows_.append(dict(state.row))
        self._maybe_fail("on_epoch_end", state)
        return state.epoch == self.stop_at

    def on_fit_end(self, state):
        self.calls_.append(state.stop_reason)
        self._maybe_fail("on_fit_end", state)

    def _maybe_fail(self, hook, state):
        failing = self.fail_at is not None and hook == self.hook
        if failing and state.epoch >= self.fail_at:
            raise ZeroDivisionError("of the callback's own")


def test_the_example_in_the_docstring():
    result = doctest.testmod(callbacks.base)
    assert result.attempted and not result.failed


# -- the protocol ---------------------------------------------------------------------


def test_fit_works_on_clones_and_publishes_them():
    recorder = Recorder(stop_at=3)
    clf = DNNClassifier(callbacks=[recorder], **FEW).fit(X, Y)
    assert not hasattr(recorder, "calls_")
    [(name, done)] = clf.callbacks_
    assert name == "recorder"
    assert done.calls_ == ["begin", 1, 2, 3, "stopped by recorder"]
    assert clf.n_iter_ == 3 and len(clf.loss_curve_) == 3
    row = done.rows_[-1]
    assert row["loss"] == clf.loss_curve_[-1] and row["epoch"] == 3
    assert row["learning_rate"] == clf.learning_rate_ and row["seconds"] > 0
    assert DNNClassifier(**FEW).fit(X, Y).callbacks_ == []


def test_a_callback_that_only_watches_changes_no_bit():
    plain = DNNClassifier(**FEW).fit(X, Y)
    watched = DNNClassifier(callbacks=[Recorder()], **FEW).fit(X, Y)
    assert plain.loss_curve_ == watched.loss_curve_
    assert np.array_equal(plain.program_.params, watched.program_.params)


def test_names_and_nested_parameters():
    clf = DNNClassifier(
        callbacks=[
            EarlyStopping(),
            ("mine", Recorder()),
            EarlyStopping(n_iter_no_change=2),
        ]
    )
    params = clf.get_params()
    assert params["callbacks__earlystopping__n_iter_no_change"] == 10
    assert params["callbacks__earlystopping-2__n_iter_no_change"] == 2
    assert params["callbacks__mine"] is clf.callbacks[1][1]
    clf.set_params(callbacks__mine=None, callbacks__earlystopping__n_iter_no_change=4)
    params = clf.get_params()
    assert params["callbacks__mine"] is None
    assert params["callbacks__earlystopping__n_iter_no_change"] == 4
    clf.set_params(callbacks=[("new", Recorder())], callbacks__new__stop_at=1)
    assert clf.callbacks[0][1].stop_at == 1
    with pytest.raises(ValueError, match=r"no callback 'old'.*\['new'\]"):
        clf.set_params(callbacks__old__n_iter_no_change=3)
    with pytest.raises(
        ValueError, match="Invalid parameter 'n_iter_no_change' for Recorder"
    ):
        clf.set_params(callbacks__new__n_iter_no_change=3)
    assert "callbacks__new" not in clf.get_params(deep=False)


def test_clone_and_pickle():
    clf = DNNClassifier(callbacks=[("stop", EarlyStopping(n_iter_no_change=2))], **FEW)
    twin = clone(clf)
    twin.set_params(callbacks__stop__n_iter_no_change=7)
    assert clf.callbacks[0][1].n_iter_no_change == 2
    clf.set_params(callbacks__stop__monitor="loss").fit(X, Y)
    back = pickle.loads(pickle.dumps(clf))
    assert back.callbacks_[0][1].best_epoch_ == clf.callbacks_[0][1].best_epoch_
    assert np.array_equal(back.predict_proba(X), clf.predict_proba(X))


class Guarded(Callback):
    """Counts epochs of all fits under one lock."""

    def __init__(self, lock=None, counts=None):
        self.lock = lock
        self.counts = counts

    def on_epoch_end(self, state):
        with self.lock:
            self.counts.append(state.epoch)


def test_what_cannot_be_copied_is_shared_by_clones():
    lock, counts = threading.Lock(), [7]
    clf = DNNClassifier(callbacks=[("guard", Guarded(lock, counts))], **FEW)
    for est in (clf, clone(clf)):
        [(_, guard)] = est.fit(X, Y).callbacks_
        assert guard.lock is lock
        # What can be copied is, so that fits do not meet.
        assert guard.counts == [7, *range(1, est.n_iter_ + 1)] and counts == [7]


class Plain:
    """No callback by birth, and no parameters."""

    def __init__(self):
        self.lock = threading.Lock()

    def on_epoch_end(self, state):
        pass


def test_a_callback_that_cannot_be_copied_is_told_by_name():
    clf = DNNClassifier(callbacks=[("mine", Plain())], **FEW)
    with pytest.raises(
        TypeError, match=r"callback 'mine' cannot be copied .*lock.*deri"
    ):
        clf.fit(X, Y)


@pytest.mark.parametrize(
    "callback, told",
    [
        (
            Checkpoint("runs", every=1.5),
            "'every' parameter of Checkpoint must be an int",
        ),
        (Checkpoint("runs", every_steps=2.5), "'every_steps' parameter of Checkpoint"),
        (
            Checkpoint("runs", name=""),
            "'name' parameter of Checkpoint must be the name",
        ),
        (Checkpoint("runs", name=".."), "'name' parameter of Checkpoint"),
        (Checkpoint("runs", name=None), "'name' parameter of Checkpoint"),
        (EarlyStopping(n_iter_no_change=2.5), "'n_iter_no_change' parameter of Early"),
        (EpochScoring("accuracy", every=0.5), "'every' parameter of EpochScoring"),
        (ParamFreezer("*", until=1.5), "'until' parameter of ParamFreezer"),
    ],
)
def test_parameters_of_callbacks_are_checked(callback, told, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=told):
        DNNClassifier(callbacks=[callback], **FEW).fit(X, Y)
    assert not list(tmp_path.iterdir())


def test_a_search_over_callbacks_on_two_processes():
    clf = DNNClassifier(callbacks=[("stop", EarlyStopping())], **FEW)
    grid = {
        "callbacks__stop__n_iter_no_change": [1, 3],
        "callbacks__stop__tol": [10.0, 0.0],
    }
    search = GridSearchCV(clf, grid, n_jobs=2, cv=2, error_score="raise").fit(X, Y)
    assert len(search.cv_results_["params"]) == 4
    # Nothing improves by 10, so patience alone decides.
    clf.set_params(callbacks__stop__tol=10.0, callbacks__stop__n_iter_no_change=2)
    assert clf.fit(X, Y).n_iter_ == 3


def test_switched_off_in_a_search():
    clf = DNNClassifier(callbacks=[("stop", Recorder(stop_at=2))], **FEW)
    assert clf.fit(X, Y).n_iter_ == 2
    assert clf.set_params(callbacks__stop=None).fit(X, Y).n_iter_ == 6


@pytest.mark.parametrize(
    "bad",
    [
        [EarlyStopping],
        [("a", Recorder()), ("a", Recorder())],
        [("a__b", Recorder())],
        EarlyStopping(),
        [3],
    ],
    ids=str,
)
def test_what_is_no_list_of_callbacks_is_refused(bad):
    with pytest.raises(ValueError, match="'callbacks' parameter of DNNClassifier"):
        DNNClassifier(callbacks=bad).fit(X, Y)


@pytest.mark.parametrize("hook", ["on_fit_begin", "on_epoch_end", "on_fit_end"])
def test_an_error_of_a_callback_leaves_the_former_fit(hook):
    after = Recorder()
    clf = DNNClassifier(callbacks=[("bad", Recorder(hook=hook)), after], **FEW)
    before = clf.fit(X, Y).predict_proba(X)
    clf.set_params(callbacks__bad__fail_at=0)
    with pytest.raises(ZeroDivisionError, match="of the callback's own") as caught:
        clf.fit(X, Y)
    if sys.version_info >= (3, 11):
        assert f"raised by {hook} of the callback 'bad'" in caught.value.__notes__[0]
    assert np.array_equal(clf.predict_proba(X), before)
    assert clf.set_params(callbacks__bad__fail_at=None).fit(X, Y).n_iter_ == 6


def test_ends_are_called_after_an_error():
    ended = []

    class Ends(Callback):
        def on_fit_end(self, state):
            ended.append(state.stop_reason)

    clf = DNNClassifier(callbacks=[Ends(), Recorder(fail_at=2)], **FEW)
    with pytest.raises(ZeroDivisionError):
        clf.fit(X, Y)
    assert ended == ["error"] and not hasattr(clf, "classes_")


class Interrupt(Callback):
    def __init__(self, at=2):
        self.at = at

    def on_epoch_end(self, state):
        if state.epoch == self.at:
            signal.raise_signal(signal.SIGINT)


def test_ctrl_c_keeps_the_epochs_and_ends_the_callbacks():
    hits = EpochScoring("accuracy", on="train", name="hits")
    clf = DNNClassifier(callbacks=[Recorder(), Interrupt(), hits], **FEW)
    with pytest.raises(KeyboardInterrupt):
        clf.fit(X, Y)
    scores = clf.history_.to_frame()["hits"]
    assert list(scores.isna()) == [False, True]
    assert clf.n_iter_ == 2 and len(clf.predict(X)) == len(X)
    assert clf.callbacks_[0][1].calls_ == ["begin", 1, 2, "interrupted"]


@pytest.mark.parametrize(
    "callback", [EarlyStopping(), ParamFreezer("fc1", until=3)], ids=repr
)
def test_what_counts_epochs_is_refused_by_partial_fit(callback):
    clf = DNNRegressor(callbacks=[callback], **FEW)
    with pytest.raises(ValueError, match=f"{type(callback).__name__}.*of one epoch"):
        clf.partial_fit(X, Y)
    clf.fit(X, Y)
    clf.fit_chunks([(X, Y)])
    clf.set_params(max_iter=1).fit_chunks(iter([(X, Y)]))


def test_warm_start_and_partial_fit_begin_with_fresh_callbacks():
    clf = DNNClassifier(callbacks=[Recorder()], warm_start=True, **FEW)
    clf.fit(X, Y).fit(X, Y)
    assert clf.callbacks_[0][1].calls_ == ["begin", *range(7, 13), "epochs"]
    clf.partial_fit(X, Y)
    assert clf.callbacks_[0][1].calls_ == ["begin", 13, "epochs"]


def test_lbfgs_calls_back_each_iteration():
    clf = LinearClassifier(callbacks=[Recorder(stop_at=4)]).fit(X, Y)
    assert clf.n_iter_ == 4
    assert "learning_rate" not in clf.callbacks_[0][1].rows_[0]
    for one in (
        LearningRateScheduler("cosine"),
        GradientClipping(norm=1.0),
        ParamFreezer("*", until=2),
    ):
        with pytest.raises(ValueError, match="L-BFGS has no"):
            LinearClassifier(callbacks=[one]).fit(X, Y)


# -- ours -----------------------------------------------------------------------------


def test_early_stopping_keeps_the_best_weights():
    stop = EarlyStopping(monitor="validation_loss", n_iter_no_change=3)
    clf = DNNClassifier((16,), callbacks=[stop], learning_rate=0.3, random_state=0)
    clf.fit(X[::2], Y[::2], X_val=X[1::2], y_val=Y[1::2])
    done = clf.callbacks_[0][1]
    assert clf.n_iter_ < 100
    assert clf.best_iteration_ == done.best_epoch_ < clf.n_iter_
    assert done.best_ == min(clf.validation_loss_curve_)
    short = clone(clf).set_params(callbacks=None, max_iter=done.best_epoch_)
    short.fit(X[::2], Y[::2])
    assert np.array_equal(short.predict_proba(X), clf.predict_proba(X))


def test_early_stopping_on_a_column_that_is_not_there():
    clf = DNNClassifier(callbacks=[EarlyStopping("auc")], **FEW)
    with pytest.raises(ValueError, match=r"monitor='auc' is not in .*EpochScoring"):
        clf.fit(X, Y)
    with pytest.raises(
        ValueError, match="'n_iter_no_change' parameter of Early"
    ) as told:
        DNNClassifier(callbacks=[EarlyStopping(n_iter_no_change=0)]).fit(X, Y)
    assert "failed too" not in str(getattr(told.value, "__notes__", ""))


def test_epoch_scoring_is_a_column_and_can_be_watched():
    clf = DNNClassifier(
        callbacks=[
            EpochScoring("accuracy"),
            EpochScoring("neg_log_loss", on="train", name="fit", every=2),
            EarlyStopping("validation_accuracy", n_iter_no_change=4),
        ],
        max_iter=40,
        random_state=0,
    )
    labels = np.array(["a", "b", "c"])[Y]
    clf.fit(X[::2], labels[::2], X_val=X[1::2], y_val=labels[1::2])
    frame = clf.history_.to_frame()
    names = ["loss", "validation_loss", "learning_rate", "validation_accuracy", "fit"]
    assert list(frame) == names
    best = clf.callbacks_[2][1]
    assert clf.score(X[1::2], labels[1::2]) == best.best_
    assert best.best_ == frame["validation_accuracy"].max()
    assert frame["fit"].iloc[0] == frame["fit"].iloc[1] != frame["fit"].iloc[2]
    with pytest.raises(ValueError, match="there are no validation rows"):
        DNNClassifier(callbacks=[EpochScoring("accuracy")]).fit(X, Y)


def test_time_limit():
    clf = DNNClassifier(callbacks=[TimeLimit(1e-9)], random_state=0).fit(X, Y)
    assert clf.n_iter_ == 1
    with pytest.raises(ValueError, match="'seconds' parameter of TimeLimit"):
        DNNClassifier(callbacks=[TimeLimit(0)]).fit(X, Y)


def halved(epoch, rate):
    return rate if epoch == 1 else rate / 2


def test_learning_rate_by_function_and_by_schedule():
    halves = [LearningRateScheduler(halved), Recorder()]
    clf = DNNClassifier(callbacks=halves, learning_rate=0.08, **FEW).fit(X, Y)
    rates = [row["learning_rate"] for row in clf.callbacks_[1][1].rows_]
    assert rates[:3] == [0.08, 0.04, 0.02]
    named = DNNClassifier(learning_rate_schedule="cosine", **FEW).fit(X, Y)
    cosine = [LearningRateScheduler("cosine")]
    called = DNNClassifier(callbacks=cosine, **FEW).fit(X, Y)
    assert named.loss_curve_ == called.loss_curve_
    plateau = [
        EpochScoring("accuracy", on="train", name="hits"),
        LearningRateScheduler(Plateau(), monitor="hits"),
    ]
    DNNClassifier(callbacks=plateau, **FEW).fit(X, Y)


def test_clipping_by_norm_is_the_parameter_and_by_value_limits_a_step():
    clipped = DNNClassifier(callbacks=[GradientClipping(norm=0.1)], **FEW).fit(X, Y)
    known = DNNClassifier(gradient_clip_norm=0.1, **FEW).fit(X, Y)
    assert clipped.loss_curve_ == known.loss_curve_
    options = {**FEW, "max_iter": 1, "optimizer": "sgd", "learning_rate": 1.0}
    tiny = GradientClipping(value=1e-6)
    still = DNNClassifier(callbacks=[tiny], batch_size=150, **options).fit(X, Y)
    start = DNNClassifier(callbacks=[ParamFreezer("*")], **options).fit(X, Y)
    for name, array in still.program_.weights.items():
        moved = np.abs(array - start.program_.weights[name]).max()
        assert 0 < moved <= 2e-6
    with pytest.raises(ValueError, match="'norm' parameter of GradientClipping"):
        DNNClassifier(callbacks=[GradientClipping(norm=-1)]).fit(X, Y)


def test_freezing_by_pattern_and_for_some_epochs():
    class Weights(Callback):
        def on_fit_begin(self, state):
            self.seen_ = [state.weights["fc1/weights"].copy()]

        def on_epoch_end(self, state):
            self.seen_.append(state.weights["fc1/weights"].copy())

    for patterns in ("fc1", ["fc*/weights", "none"]):
        freezer = ParamFreezer(patterns, until=2)
        clf = DNNClassifier(callbacks=[freezer, Weights()], **FEW).fit(X, Y)
        seen = clf.callbacks_[1][1].seen_
        assert np.array_equal(seen[0], seen[2])
        assert not np.array_equal(seen[2], seen[3])
        assert "fc1/weights" in clf.callbacks_[0][1].frozen_
    with pytest.raises(ValueError, match=r"no parameter fits 'fc7'.*fc1/weights"):
        DNNClassifier(callbacks=[ParamFreezer("fc7")], **FEW).fit(X, Y)


def test_logs_in_csv_and_json(tmp_path):
    logs = [
        EpochScoring("accuracy", on="train", name="hits"),
        CSVLog(tmp_path / "new" / "log.csv"),
        JSONLog(tmp_path / "log.jsonl"),
    ]
    clf = DNNClassifier(callbacks=logs, warm_start=True, **FEW).fit(X, Y).fit(X, Y)
    with open(tmp_path / "new" / "log.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == list(range(1, 13))
    assert [float(row["loss"]) for row in rows] == clf.loss_curve_
    lines = (tmp_path / "log.jsonl").read_text().splitlines()
    hits = [json.loads(line)["hits"] for line in lines]
    assert hits == [float(row["hits"]) for row in rows]


def test_logs_of_a_search_have_names_of_their_own(tmp_path):
    clf = DNNClassifier(callbacks=[JSONLog(tmp_path / "{fit}.jsonl")], **FEW)
    grid = {"hidden_units": [(3,), (4,)], "random_state": [0, 1]}
    GridSearchCV(clf, grid, n_jobs=2, cv=2, refit=False).fit(X, Y)
    files = list(tmp_path.iterdir())
    assert len(files) == 8
    assert all(len(file.read_text().splitlines()) == 6 for file in files)


def test_progress_bar_writes_to_stderr(capsys):
    clf = DNNRegressor(callbacks=[ProgressBar("diabetes")], **FEW)
    clf.fit(*load_diabetes(return_X_y=True))
    assert "diabetes" in capsys.readouterr().err


def test_ctrl_c_in_a_search_ends_it():
    script = """
        from sklearn.model_selection import GridSearchCV
        from slimlearn import DNNClassifier
        from slimlearn.estimators.callbacks import Callback

        class Interrupt(Callback):
            def on_epoch_end(self, state):
                raise KeyboardInterrupt

        clf = DNNClassifier((3,), callbacks=[Interrupt()])
        try:
            GridSearchCV(clf, {"max_iter": [2, 3]}, cv=2).fit(
                [[0.0], [1.0]] * 20, [0, 1] * 20
            )
        except KeyboardInterrupt:
            print("interrupted", clf.fit.__name__)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True
    )
    assert done.stdout == "interrupted fit\n", done.stderr


def test_files_below_the_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    logs = [
        CSVLog("~/log.csv"),
        JSONLog("~/new/log.jsonl"),
        callbacks.Checkpoint("~/fits"),
    ]
    clf = DNNClassifier(callbacks=logs, **FEW).fit(X, Y)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["fits", "log.csv", "new"]
    [file] = (tmp_path / "fits").iterdir()
    again = DNNClassifier(**FEW).fit(X, Y).set_weights(f"~/fits/{file.name}")
    np.testing.assert_array_equal(again.predict_proba(X), clf.predict_proba(X))
