"""The record of a fit: rates that were used, the table of verbose=2, best epochs."""

import csv
import json
import pickle

import numpy as np
import pytest
from sklearn.base import clone

from slimlearn import (
    Cosine,
    DNNClassifier,
    DNNRegressor,
    LinearRegressor,
    OneCycle,
    Plateau,
    Step,
)
from slimlearn.callbacks import (
    Callback,
    Checkpoint,
    CSVLog,
    EarlyStopping,
    EpochScoring,
    JSONLog,
    LearningRateScheduler,
)

X = np.random.RandomState(0).normal(size=(100, 3))
Y = X @ [1.0, 2.0, 3.0]
LABELS = (Y > 0).astype(int)
FEW = {"hidden_units": (4,), "max_iter": 6, "batch_size": 10, "random_state": 0}


def rates(est):
    return est.history_.to_frame()["learning_rate"].tolist()


# -- the rate that was used ------------------------------


@pytest.mark.parametrize(
    "schedule",
    ["constant", "cosine", "inverse_scaling", OneCycle(), Cosine(warmup=0.5)],
)
@pytest.mark.parametrize("more", [{}, {"callbacks": [EpochScoring("r2", on="train")]}])
@pytest.mark.parametrize("schedules", [None, {"l2_regularization": "cosine"}])
def test_the_rate_of_each_epoch_s_last_step_is_recorded(schedule, more, schedules):
    est = DNNRegressor(learning_rate=0.02, learning_rate_schedule=schedule, **FEW)
    est.set_params(schedules=schedules, l2_regularization=0.1, **more).fit(X, Y)
    kind = est.learning_rate_schedule
    if isinstance(kind, str):
        from slimlearn.backend.schedule import make_schedule

        kind = make_schedule(kind)
    every = kind.rates(0.02, 0, 60, steps_per_epoch=10, total_steps=60)
    assert rates(est) == pytest.approx(every[9::10].tolist(), rel=1e-12)
    assert est.history_.learning_rates == rates(est)


def test_rates_in_chunks_and_steps_of_several_batches():
    est = DNNRegressor(learning_rate_schedule="cosine", learning_rate=0.02, **FEW)
    whole = clone(est).fit(X, Y)
    parts = clone(est).fit_chunks([(X[:50], Y[:50]), (X[50:], Y[50:])])
    assert rates(parts) == rates(whole)
    fewer = clone(est).set_params(accumulate=5).fit(X, Y)
    every = Cosine().rates(0.02, 0, 12, steps_per_epoch=2, total_steps=12)
    assert rates(fewer) == pytest.approx(every[1::2].tolist())


def test_rates_that_follow_the_loss_and_functions():
    plateau = Plateau(factor=0.5, n_iter_no_change=1, tol=100.0)
    est = DNNRegressor(learning_rate=0.08, learning_rate_schedule=plateau, **FEW)
    found = rates(est.fit(X, Y))
    assert found[0] == 0.08 and found[-1] < found[2]
    halves = LearningRateScheduler(lambda epoch, rate: rate if epoch == 1 else rate / 2)
    est = DNNRegressor(learning_rate=0.08, callbacks=[halves], **FEW).fit(X, Y)
    assert rates(est) == [0.08 / 2**i for i in range(6)]


class StopInside(Callback):
    def on_step_end(self, state):
        return state.step == 13


def test_the_rate_where_an_epoch_was_broken_off():
    est = DNNRegressor(
        learning_rate_schedule="cosine", callbacks=[StopInside()], **FEW
    ).fit(X, Y)
    every = Cosine().rates(1e-3, 0, 60, steps_per_epoch=10, total_steps=60)
    assert rates(est) == pytest.approx([every[9], every[12]])


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_lbfgs_has_no_rate_and_leaves_gaps_between_those_that_have():
    assert "learning_rate" not in LinearRegressor().fit(X, Y).history_.curves()
    est = DNNRegressor(warm_start=True, **{**FEW, "max_iter": 2}).fit(X, Y)
    est.set_params(optimizer="lbfgs", tol=1e-9).fit(X, Y)
    est.set_params(optimizer="sgd", learning_rate=0.01).fit(X, Y)
    np.testing.assert_array_equal(
        rates(est), [1e-3, 1e-3, np.nan, np.nan, 0.01, 0.01], strict=True
    )
    first = DNNRegressor(warm_start=True, optimizer="lbfgs", tol=1e-9, **FEW)
    first.set_params(max_iter=2, precision="float64").fit(X, Y)
    first.set_params(optimizer="adam").fit(X, Y)
    np.testing.assert_array_equal(rates(first), [np.nan, np.nan, 1e-3, 1e-3])
    again = LinearRegressor(warm_start=True, max_iter=2, tol=1e-9)
    for _ in range(2):
        curves = again.fit(X, Y).history_.curves()
    assert (
        "learning_rate" not in curves and "learning_rate" not in again.history_.last()
    )


def test_rates_in_logs_and_files(tmp_path):
    est = DNNRegressor(learning_rate_schedule=Step(2, 0.1), **FEW)
    logs = [CSVLog(tmp_path / "log.csv"), JSONLog(tmp_path / "log.jsonl")]
    est.set_params(callbacks=logs).fit(X, Y)
    with open(tmp_path / "log.csv", newline="") as file:
        written = [float(row["learning_rate"]) for row in csv.DictReader(file)]
    lines = (tmp_path / "log.jsonl").read_text().splitlines()
    assert written == rates(est) == [json.loads(x)["learning_rate"] for x in lines]
    assert written == pytest.approx([1e-3, 1e-3, 1e-4, 1e-4, 1e-5, 1e-5])
    assert rates(pickle.loads(pickle.dumps(est))) == written


def test_rates_of_a_fit_that_goes_on_from_a_file(tmp_path):
    est = DNNRegressor(learning_rate_schedule=Step(2, 0.1), **FEW)
    whole = rates(clone(est).fit(X, Y))
    saved = clone(est).set_params(callbacks=[Checkpoint(tmp_path)])
    saved.set_params(max_iter=3).fit(X, Y)
    again = saved.set_params(max_iter=6).fit(X, Y)
    assert again.n_iter_ == 6 and rates(again) == whole


def test_older_histories_have_no_rates():
    est = DNNRegressor(warm_start=True, **{**FEW, "max_iter": 2}).fit(X, Y)
    del est.history_.learning_rates  # what a pickle of before holds
    older = pickle.loads(pickle.dumps(est))
    assert list(older.history_.to_frame()) == ["loss"]
    assert "svg" in older.history_._repr_html_()
    older.fit(X, Y)
    np.testing.assert_array_equal(rates(older), [np.nan, np.nan, 1e-3, 1e-3])


# -- the table ------------------------------


def table(capsys, est, *data, **options):
    """Cells by column, the marks, and the line at the end."""
    capsys.readouterr()
    est.set_params(verbose=2).fit(*data, **options)
    lines = capsys.readouterr().out.splitlines()
    end = lines.pop() if lines[-1].startswith("*") else None
    marks = [line.endswith(" *") for line in lines[1:]]
    cells = [line.removesuffix(" *").split() for line in lines]
    for line in lines:
        assert len(line.removesuffix(" *")) == len(lines[0])
    return dict(zip(cells[0], zip(*cells[1:]))), marks, end


def test_the_table_shows_scores_rates_and_the_best_epoch(capsys):
    est = DNNClassifier(
        early_stopping=True,
        scoring="accuracy",
        learning_rate=0.1,
        callbacks=[EpochScoring("neg_log_loss", name="a_long_name_of_a_score")],
        **FEW,
    )
    columns, marks, end = table(capsys, est, X, LABELS)
    assert list(columns) == [
        *("epoch", "loss", "validation_loss", "validation_score"),
        *("a_long_name_of_a_score", "learning_rate", "seconds"),
    ]
    scores = est.validation_scores_
    assert [float(c) for c in columns["validation_score"]] == pytest.approx(scores)
    assert set(columns["learning_rate"]) == {"0.1"}
    assert marks == [s > max([-1.0, *scores[:i]]) for i, s in enumerate(scores)]
    assert marks[est.best_iteration_ - 1]
    assert end.endswith(f"the weights kept are those of epoch {est.best_iteration_}")


def test_marks_go_by_what_is_watched(capsys):
    held = {"X_val": X[:30], "y_val": Y[:30]}
    est = DNNRegressor(learning_rate=0.5, **FEW)
    _, marks, end = table(capsys, est, X, Y, **held)
    curve = est.validation_loss_curve_
    assert marks == [v < min([np.inf, *curve[:i]]) for i, v in enumerate(curve)]
    assert end.endswith("epoch 6")
    # The training loss alone nobody judges by.
    _, marks, end = table(capsys, DNNRegressor(**FEW), X, Y)
    assert not any(marks) and end is None
    stop = EarlyStopping("worse", n_iter_no_change=3)
    falling = EpochScoring(lambda est, X, y: -est.score(X, y), name="worse", on="train")
    est = DNNRegressor(callbacks=[falling, stop], **FEW)
    _, marks, end = table(capsys, est, X, Y, **held)
    assert marks == [True, False, False, False] and end.endswith("epoch 1")
    assert est.best_iteration_ == 1


class Broken(Callback):
    def on_epoch_end(self, state):
        if state.epoch == 2:
            raise KeyboardInterrupt if self.interrupt else ZeroDivisionError

    def __init__(self, interrupt):
        self.interrupt = interrupt


@pytest.mark.parametrize("interrupt", [True, False])
def test_the_last_line_stands_under_fits_that_are_published(capsys, interrupt):
    est = DNNClassifier(early_stopping=True, verbose=2, **FEW)
    est.set_params(callbacks=[Broken(interrupt)])
    with pytest.raises((KeyboardInterrupt, ZeroDivisionError)):
        est.fit(X, LABELS)
    shown = capsys.readouterr().out
    assert ("* best so far" in shown) is interrupt is hasattr(est, "n_iter_")
