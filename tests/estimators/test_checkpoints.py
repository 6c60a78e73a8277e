"""Checkpoints: the same bytes after going on, files that survive, full disks."""

import errno
import io
import json
import os
import re
import zipfile
import zlib
from contextlib import ExitStack

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris
from sklearn.model_selection import GridSearchCV
from support.disk import largest_file

from slimlearn import DNNClassifier, DNNRegressor, LinearClassifier, Plateau
from slimlearn.backend import files
from slimlearn.callbacks import (
    Callback,
    Checkpoint,
    CSVLog,
    EarlyStopping,
    EpochScoring,
    FitStopped,
    LearningRateScheduler,
    ParamFreezer,
    StartFrom,
    TimeLimit,
)

X, Y = load_iris(return_X_y=True)
X = (X - X.mean(axis=0)) / X.std(axis=0)


class Break(Callback):
    def __init__(self, at=5):
        self.at = at

    def on_epoch_end(self, state):
        if state.epoch == self.at:
            raise ZeroDivisionError

    # After the checkpoint of the same epoch.
    last = True


def slower(epoch, rate):
    return rate * 0.9


def broken_and_whole(estimator, callbacks, tmp_path, X=X, Y=Y, **data):
    """One fit in two pieces, and the same fit in one."""
    kept = Checkpoint(tmp_path / "files")
    pieces = clone(estimator).set_params(callbacks=[*callbacks, kept, Break()])
    with pytest.raises(ZeroDivisionError):
        pieces.fit(X, Y, **data)
    pieces.set_params(callbacks=[*callbacks, kept]).fit(X, Y, **data)
    whole = clone(estimator).set_params(callbacks=callbacks).fit(X, Y, **data)
    [done] = [c for _, c in pieces.callbacks_ if isinstance(c, Checkpoint)]
    assert done.resumed_from_ == 5 and os.listdir(tmp_path / "files")
    return pieces, whole


@pytest.mark.parametrize(
    "options, callbacks",
    [
        ({}, []),
        ({"dropout": 0.3, "batch_norm": True}, []),
        ({"learning_rate_schedule": "cosine", "optimizer": "sgd"}, []),
        ({"learning_rate_schedule": Plateau(n_iter_no_change=1)}, []),
        ({"early_stopping": True, "n_iter_no_change": 2, "learning_rate": 0.1}, []),
        ({"learning_rate": 0.2}, [EarlyStopping(n_iter_no_change=2, tol=0.01)]),
        ({}, [LearningRateScheduler(slower)]),
        ({}, [ParamFreezer("fc1", until=3)]),
        ({}, [ParamFreezer("fc1", until=7)]),
        ({}, [EpochScoring("accuracy", on="train", every=3, name="hits")]),
    ],
    ids=[
        *("plain", "random", "cosine", "plateau", "early stopping", "callback stops"),
        *("rates", "freed before", "freed after", "scores"),
    ],
)
def test_a_fit_in_two_pieces_has_the_bytes_of_one(options, callbacks, tmp_path):
    clf = DNNClassifier((6,), max_iter=10, random_state=3, **options)
    pieces, whole = broken_and_whole(clf, callbacks, tmp_path)
    assert pieces.program_.params.tobytes() == whole.program_.params.tobytes()
    assert pieces.program_.state.tobytes() == whole.program_.state.tobytes()
    assert pieces.n_iter_ == whole.n_iter_
    assert pieces.best_iteration_ == whole.best_iteration_
    assert pieces.history_.curves() == whole.history_.curves()


def test_regression_and_logs_go_on(tmp_path):
    X, y = load_diabetes(return_X_y=True)
    log = CSVLog(tmp_path / "log.csv")
    reg = DNNRegressor((6,), max_iter=10, random_state=0, callbacks=[log])
    pieces, whole = broken_and_whole(reg, [log], tmp_path, X, y)
    assert np.array_equal(pieces.predict(X), whole.predict(X))
    assert len((tmp_path / "log.csv").read_text().splitlines()) == 11


def test_more_epochs_go_on_from_fewer(tmp_path):
    clf = DNNClassifier((6,), max_iter=5, random_state=0)
    clf.set_params(callbacks=[("kept", Checkpoint(tmp_path))]).fit(X, Y)
    clf.set_params(max_iter=10).fit(X, Y)
    assert clf.callbacks_[0][1].resumed_from_ == 5 and clf.n_iter_ == 10
    whole = clone(clf).set_params(callbacks=None).fit(X, Y)
    assert whole.program_.params.tobytes() == clf.program_.params.tobytes()
    # A complete fit is read and not run.
    clf.fit(X, Y)
    assert clf.callbacks_[0][1].resumed_from_ == 10
    assert whole.program_.params.tobytes() == clf.program_.params.tobytes()
    clf.set_params(callbacks__kept__resume=False).fit(X, Y)
    assert clf.callbacks_[0][1].resumed_from_ == 0


def test_a_stop_is_kept_but_not_one_by_time(tmp_path):
    clf = DNNClassifier((6,), max_iter=6, random_state=0)
    clf.set_params(callbacks=[Checkpoint(tmp_path), TimeLimit(1e-9)]).fit(X, Y)
    assert clf.n_iter_ == 1
    clf.fit(X, Y)
    assert clf.n_iter_ == 2
    stop = EarlyStopping(n_iter_no_change=1, tol=10.0)
    clf.set_params(callbacks=[Checkpoint(tmp_path), stop], random_state=1)
    assert clf.fit(X, Y).n_iter_ == clf.fit(X, Y).n_iter_ == 2


def test_files_of_a_search_do_not_meet(tmp_path):
    clf = DNNClassifier((4,), max_iter=4, random_state=0)
    clf.set_params(callbacks=[Checkpoint(tmp_path)])
    grid = {"hidden_units": [(3,), (4,)], "learning_rate": [0.1, 0.2]}
    search = GridSearchCV(clf, grid, n_jobs=2, cv=2, error_score="raise").fit(X, Y)
    assert len(os.listdir(tmp_path)) == 9
    again = clone(search).fit(X, Y)
    scores = "mean_test_score"
    assert list(search.cv_results_[scores]) == list(again.cv_results_[scores])
    assert again.best_estimator_.callbacks_[0][1].resumed_from_ == 4


def test_only_improvements_are_written(tmp_path):
    clf = DNNClassifier((6,), max_iter=15, learning_rate=0.3, random_state=0)
    clf.set_params(callbacks=[Checkpoint(tmp_path, monitor="loss", name="best.slim")])
    clf.fit(X, Y)
    best = int(np.argmin(clf.loss_curve_)) + 1
    clf.fit(X, Y)
    assert clf.callbacks_[0][1].resumed_from_ == best
    assert os.listdir(tmp_path) == ["best.slim"]


def test_a_file_of_another_fit_and_a_damaged_one(tmp_path):
    clf = DNNClassifier((6,), max_iter=2, random_state=0)
    clf.set_params(callbacks=[Checkpoint(tmp_path, name="one.slim")]).fit(X, Y)
    with pytest.raises(ValueError, match=r"one\.slim belongs to another fit"):
        clone(clf).set_params(random_state=1).fit(X, Y)
    with pytest.raises(ValueError, match=r"one\.slim belongs to another fit"):
        clone(clf).fit(X[1:], Y[1:])
    file = tmp_path / "one.slim"
    whole = file.read_bytes()
    for damaged in (
        whole[:-100],
        b"nothing",
        whole.replace(b"slimlearn", b"slimburns"),
        clf.program_.to_bytes(),
    ):
        file.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"one\.slim.*to begin anew, move it away"):
            clone(clf).fit(X, Y)
    with pytest.raises(ValueError, match="'every' parameter of Checkpoint"):
        DNNClassifier(callbacks=[Checkpoint(tmp_path, every=0)]).fit(X, Y)


def as_format_1(file):
    """Write a checkpoint as the first releases did: an archive of zip."""
    saved, packed = files.read(file.read_bytes()), {}
    for name, array in saved.arrays.items():
        buffer = io.BytesIO()
        np.save(buffer, array)
        packed[f"array-{name}.npy"] = buffer.getvalue()
    fit = json.dumps({"format": 1, **saved.fit}).replace(
        '"#array": "', '"array": "array-'
    )
    fit = re.sub(r'"array": "array-(\d+)"', r'"array": "array-\1.npy"', fit)
    fit = re.sub(r'{"#number": "(\w+)"}', lambda m: {"inf": "Infinity"}[m[1]], fit)
    parts = [saved.text.encode(), saved.params.tobytes(), saved.state.tobytes()]
    sizes = "".join(f" {len(part)}:{zlib.crc32(part):08x}" for part in parts)
    head = f"slimlearn program 1{sizes}\n".encode()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("program", b"".join([head, *parts]))
        archive.writestr("fit.json", fit)
        archive.writestr("slots", saved.slots.tobytes())
        for name, data in packed.items():
            archive.writestr(name, data)


def test_checkpoints_of_format_1_are_read(tmp_path):
    clf = DNNClassifier((6,), max_iter=5, random_state=0)
    stop = EarlyStopping(n_iter_no_change=8)
    clf.set_params(callbacks=[Checkpoint(tmp_path), stop]).fit(X, Y)
    [file] = tmp_path.iterdir()
    assert files.read(file).arrays
    as_format_1(file)
    assert zipfile.is_zipfile(file)
    other = clone(clf).set_params(callbacks=[StartFrom(file)], max_iter=1)
    assert other.fit(X, Y).callbacks_[0][1].names_
    clf.set_params(max_iter=10).fit(X, Y)
    assert clf.callbacks_[0][1].resumed_from_ == 5 and not zipfile.is_zipfile(file)
    whole = clone(clf).set_params(callbacks=[stop]).fit(X, Y)
    assert whole.program_.params.tobytes() == clf.program_.params.tobytes()
    assert whole.best_iteration_ == clf.best_iteration_
    file.write_bytes(b"PK\3\4 and no more")
    with pytest.raises(ValueError, match=r"the checkpoint is damaged .*move it away"):
        clf.fit(X, Y)


class FullDisk(Callback):
    """There is no room from this epoch on."""

    def __init__(self, at):
        self.at = at

    def on_fit_begin(self, state):
        self.open = ExitStack()

    def on_epoch_end(self, state):
        if state.epoch == self.at:
            self.open.enter_context(largest_file(100))

    def on_fit_end(self, state):
        self.open.close()


def test_a_full_disk_ends_the_fit_and_keeps_the_epochs(tmp_path):
    clf = DNNClassifier((6,), max_iter=9, random_state=0)
    clf.set_params(callbacks=[FullDisk(3), Checkpoint(tmp_path)])
    with pytest.raises(FitStopped, match=r"File too large.*make room") as caught:
        clf.fit(X, Y)
    assert caught.value.errno == errno.EFBIG
    assert clf.n_iter_ == 3 and len(clf.predict(X)) == len(X)
    # The file before it is whole, and nothing else is left.
    assert len(os.listdir(tmp_path)) == 1
    clf.set_params(callbacks=[Checkpoint(tmp_path)])
    assert clf.fit(X, Y).callbacks_[0][1].resumed_from_ == 2 and clf.n_iter_ == 9


def test_a_directory_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    clf = DNNClassifier(callbacks=[Checkpoint(tmp_path / "file" / "in")])
    with pytest.raises(OSError, match=r"could not write .*choose another directory"):
        clf.fit(X, Y)
    assert "program_" not in vars(clf)


def test_lbfgs_writes_and_begins_anew(tmp_path):
    clf = LinearClassifier(max_iter=5, callbacks=[Checkpoint(tmp_path)], tol=1.0)
    clf.fit(X, Y).fit(X, Y)
    assert os.listdir(tmp_path) and clf.callbacks_[0][1].resumed_from_ == 0


DAMAGES = {
    "epoch": [-5, 2.0, True, "2", None, 1, 10**30],
    "step": [-1, "x"],
    "learning_rate": [-1.0, "fast", {"#number": "nan"}],
    "ended": [3],
    "history": [None, {}, {"loss_curve": [1.0, 1.0], "__class__": []}],
    "within": [{"part": 0}, [1]],
    "monitor": [None, {"best": [1]}],
    "memory": ["no"],
    "callbacks": [[], {"earlystopping": {"best": 3}}],
}


@pytest.mark.parametrize(
    ("name", "value"), [(n, v) for n, values in DAMAGES.items() for v in values]
)
def test_a_checkpoint_that_lies_is_damaged(name, value, tmp_path):
    clf = DNNClassifier((6,), max_iter=2, random_state=0, early_stopping=True)
    own = [Checkpoint(tmp_path, name="one.slim"), EarlyStopping()]
    clf.set_params(callbacks=own).fit(X, Y)
    file = tmp_path / "one.slim"
    saved = files.read(file.read_bytes())
    saved.fit[name] = value
    files.write(file, saved)
    clf.set_params(max_iter=4)
    with pytest.raises(ValueError, match=r"one\.slim.* damaged .*to begin anew"):
        clf.fit(X, Y)


def test_damaged_archives_of_format_1(tmp_path):
    clf = DNNClassifier((6,), max_iter=2, random_state=0)
    clf.set_params(callbacks=[Checkpoint(tmp_path, name="one.slim")]).fit(X, Y)
    file = tmp_path / "one.slim"
    as_format_1(file)
    with zipfile.ZipFile(file) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    clf.set_params(max_iter=4)
    for name, data in {
        "slots": b"\1",
        "fit.json": b"[" * 200_000,
        "program": bytes(50 << 20),
    }.items():
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for part, own in parts.items():
                kind = zipfile.ZIP_DEFLATED if part == "program" else zipfile.ZIP_STORED
                archive.writestr(part, data if part == name else own, kind)
        with pytest.raises(ValueError, match=r"one\.slim.* damaged"):
            clf.fit(X, Y)
