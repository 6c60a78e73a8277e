"""Callbacks between steps: called, stopping, writing checkpoints inside epochs."""

import signal
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from slimlearn import DNNClassifier, LinearClassifier, callbacks
from slimlearn.estimators.callbacks import Checkpoint, EarlyStopping, ProgressBar

RNG = np.random.default_rng(0)
X = RNG.normal(size=(160, 6))
Y = (X[:, 0] + X[:, 1] > 0).astype(int)
CHUNKS = [(X[:50], Y[:50]), (X[50:110], Y[50:110]), (X[110:], Y[110:])]
STEPS = 10  # an epoch
FEW = {"max_iter": 4, "batch_size": 16, "random_state": 0}


class Steps(callbacks.Callback):
    """Notes where it was called; stops or raises at a step."""

    def __init__(self, every_steps=1, stop=None, error=None):
        self.every_steps = every_steps
        self.stop = stop
        self.error = error

    def on_fit_begin(self, state):
        self.steps_, self.facts_, self.epochs_ = [], [], []

    def on_step_end(self, state):
        self.steps_.append(state.step)
        self.facts_.append((state.epoch, state.epoch_step, state.loss))
        if state.step == self.error:
            raise RuntimeError("enough")
        return state.step == self.stop

    def on_epoch_end(self, state):
        self.epochs_.append(state.step)
        assert state.epoch_step == 0


def arrays(estimator):
    program = estimator.program_
    return program.params.tobytes(), program.state.tobytes(), estimator.loss_curve_


def fitted(*, chunks=False, **options):
    clf = DNNClassifier((8,), dropout=0.2, batch_norm=True, **{**FEW, **options})
    return clf.fit_chunks(CHUNKS) if chunks else clf.fit(X, Y)


@pytest.mark.parametrize("every", [1, 3, 10, 17, 1000])
@pytest.mark.parametrize("chunks", [False, True], ids=["whole", "chunks"])
def test_steps_that_are_watched_have_the_same_bits(chunks, every):
    seen = fitted(chunks=chunks, callbacks=[Steps(every)])
    assert arrays(seen) == arrays(fitted(chunks=chunks))
    [(_, steps)] = seen.callbacks_
    last = seen._progress.step
    assert steps.steps_ == list(range(every, last + 1, every))
    assert steps.epochs_ == [last * epoch // 4 for epoch in range(1, 5)]


def test_the_state_says_where_the_fit_stands():
    clf = fitted(callbacks=[Steps(4)], learning_rate=0.01)
    [(_, steps)] = clf.callbacks_
    where = [(epoch, step) for epoch, step, _ in steps.facts_]
    assert where[:5] == [(0, 4), (0, 8), (1, 2), (1, 6), (1, 10)]
    # At an epoch's last step the loss is that of the epoch.
    assert steps.facts_[4][2] == clf.loss_curve_[1]
    assert steps.facts_[3][2] != clf.loss_curve_[1]


def test_two_callbacks_are_each_called_at_their_own_steps():
    clf = fitted(callbacks=[("a", Steps(4)), ("b", Steps(6))])
    (_, a), (_, b) = clf.callbacks_
    assert a.steps_ == list(range(4, 41, 4))
    assert b.steps_ == list(range(6, 41, 6))


def test_nobody_who_does_not_ask_is_called_and_epochs_run_whole(monkeypatch):
    from slimlearn.backend.engine import Trainer

    runs, epochs = [], Trainer.epochs

    def spy(self, epoch, step, rates, *rest, **options):
        runs.append(len(rates))
        return epochs(self, epoch, step, rates, *rest, **options)

    monkeypatch.setattr(Trainer, "epochs", spy)
    fitted(callbacks=[EarlyStopping(n_iter_no_change=9)])
    assert runs == [STEPS] * 4
    runs.clear()
    fitted(callbacks=[Steps(25)])
    assert runs == [10, 10, 5, 5, 10]


@pytest.mark.parametrize("stop", [3, 10, 14, 40])
def test_a_step_can_end_the_fit(stop):
    clf = fitted(callbacks=[Steps(stop=stop)])
    [(_, steps)] = clf.callbacks_
    assert clf._progress.step == steps.steps_[-1] == stop
    assert clf.n_iter_ == -(-stop // STEPS) == len(clf.loss_curve_)
    assert clf.loss_curve_[-1] == steps.facts_[-1][2]


def test_chunks_can_be_ended_by_a_step():
    clf = fitted(chunks=True, callbacks=[Steps(stop=5)])
    assert clf._progress.step == 5
    assert clf.n_iter_ == 1


def test_the_learning_rate_can_be_set_between_steps():
    class Drop(callbacks.Callback):
        def on_step_end(self, state):
            if state.step == 13:
                state.learning_rate = 0.0

    clf = fitted(callbacks=[Drop()])
    stopped = fitted(callbacks=[Steps(stop=13)])
    for name, array in stopped.program_.weights.items():
        np.testing.assert_array_equal(clf.program_.weights[name], array)


def test_an_error_of_a_step_leaves_the_former_fit():
    clf = DNNClassifier((8,), **FEW).fit(X, Y)
    former = vars(clf).copy()
    clf.set_params(callbacks=[Steps(error=15)])
    with pytest.raises(RuntimeError, match="enough"):
        clf.fit(X, Y)
    assert {**vars(clf), "callbacks": None} == {**former, "callbacks": None}


@pytest.mark.parametrize("every, step", [(1, 27), (1, 30), (10, 30)])
def test_ctrl_c_between_two_steps_undoes_their_epoch(every, step):
    class Press(callbacks.Callback):
        every_steps = every

        def on_step_end(self, state):
            if state.step == step:
                signal.raise_signal(signal.SIGINT)

    clf = DNNClassifier((8,), dropout=0.2, batch_norm=True, **FEW, warm_start=True)
    clf.set_params(callbacks=[Press()])
    with pytest.raises(KeyboardInterrupt):
        clf.fit(X, Y)
    assert clf.n_iter_ == 2
    assert clf._progress.step == 20
    assert clf._progress.within is None
    want = fitted(max_iter=2)
    assert arrays(clf) == arrays(want)
    clf.set_params(callbacks=None, max_iter=2).fit(X, Y)
    again = DNNClassifier(
        (8,), dropout=0.2, batch_norm=True, **{**FEW, "max_iter": 2}, warm_start=True
    )
    again.fit(X, Y).fit(X, Y)
    assert arrays(clf) == arrays(again)


@pytest.mark.parametrize("value", [0, -1, 2.5, "3"])
def test_every_steps_is_a_number_of_steps(value):
    with pytest.raises(ValueError, match=r"every_steps of .* must be a number >= 1"):
        fitted(callbacks=[Steps(value)])


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), "3"])
def test_what_is_no_number_of_seconds_is_refused(value):
    class Timed(Steps):
        every_seconds = value

    with pytest.raises(ValueError, match=r"every_seconds of .* must be finite and > 0"):
        fitted(callbacks=[Timed(None)])


def test_l_bfgs_has_no_steps():
    clf = LinearClassifier(callbacks=[Steps()], max_iter=5, tol=0.1).fit(X, Y)
    [(_, steps)] = clf.callbacks_
    assert steps.steps_ == []


# -- checkpoints ----------------------------------------------------------------------


def resumable(directory, error=None, **options):
    every = {"every": None, "every_steps": options.pop("every_steps", 6)}
    listed = [EarlyStopping(n_iter_no_change=9, restore_best=False), Steps(error=error)]
    return {"callbacks": [*listed, Checkpoint(directory, **every)], **options}


@pytest.mark.parametrize("chunks", [False, True], ids=["whole", "chunks"])
@pytest.mark.parametrize("error", [7, 11, 12, 13, 26, 31, 39])
@pytest.mark.parametrize("accumulate", [1, 3])
def test_a_fit_that_goes_on_inside_an_epoch_has_the_same_bytes(
    tmp_path, error, chunks, accumulate
):
    options = {"accumulate": accumulate, "learning_rate_schedule": "cosine"}
    options["schedules"] = {"dropout": "step"}
    error = max(error // accumulate, 3)
    options["every_steps"] = 6 // accumulate
    with pytest.raises(RuntimeError, match="enough"):
        fitted(chunks=chunks, **resumable(tmp_path, error, **options))
    resumed = fitted(chunks=chunks, **resumable(tmp_path, None, **options))
    steps, checkpoint = resumed.callbacks_[1][1], resumed.callbacks_[2][1]
    every = options.pop("every_steps")
    assert steps.steps_[0] == (error - 1) // every * every + 1
    whole = fitted(chunks=chunks, **options)
    assert arrays(resumed) == arrays(whole)
    assert resumed._progress.step == whole._progress.step
    assert checkpoint.resumed_from_ == resumed.n_iter_ - len(steps.epochs_)


def test_seconds_write_a_checkpoint_too(tmp_path):
    checkpoint = Checkpoint(tmp_path, every=None, every_seconds=1e-6)
    with pytest.raises(RuntimeError, match="enough"):
        fitted(callbacks=[checkpoint, Steps(error=9)])
    resumed = fitted(callbacks=[checkpoint, Steps()])
    assert resumed.callbacks_[1][1].steps_[0] > 1
    assert arrays(resumed) == arrays(fitted())


@pytest.mark.parametrize(
    "options, text",
    [
        ({"every_steps": 0}, "'every_steps' parameter of Checkpoint"),
        ({"every_seconds": 0}, "'every_seconds' parameter of Checkpoint"),
        ({"every": 0}, "'every' parameter of Checkpoint"),
        ({"every_steps": 3, "monitor": "loss"}, "monitor compares epochs"),
    ],
)
def test_checkpoints_that_mean_nothing_are_refused(tmp_path, options, text):
    with pytest.raises(ValueError, match=text):
        fitted(callbacks=[Checkpoint(tmp_path, **options)])


# -- bars -----------------------------------------------------------------------------


class Tqdm:
    """As much of tqdm's bar as there has to be."""

    def __init__(self, total, initial, desc, unit):
        self.total, self.n, self.text = total, initial, ""

    def set_postfix(self, numbers, refresh):
        self.text = str(numbers)

    def update(self, n):
        self.n += n
        print(f"{self.n}/{self.total} {self.text}", file=sys.stderr)

    def close(self):
        pass


@pytest.mark.parametrize("how", ["verbose", "callback"])
@pytest.mark.parametrize("tqdm", [False, True])
def test_a_bar_moves_inside_a_long_epoch(monkeypatch, capsys, tqdm, how):
    from slimlearn.estimators import fitting, progress

    for name in ("tqdm", "tqdm.auto"):
        module = SimpleNamespace(tqdm=Tqdm) if tqdm else None
        monkeypatch.setitem(sys.modules, name, module)
    shown = []
    for kind in (progress._Bar, progress._Line):
        within = kind.within

        def spy(bar, epochs, share, loss, within=within):
            shown.append((epochs, round(share, 3)))
            within(bar, epochs, share, loss)

        monkeypatch.setattr(kind, "within", spy)
    monkeypatch.setattr(fitting, "BAR_SECONDS", 1e-9)
    monkeypatch.setattr(ProgressBar, "every_seconds", 1e-9)
    bar = {"verbose": 1} if how == "verbose" else {"callbacks": [ProgressBar()]}
    clf = fitted(**bar)
    assert (1, 0.5) in shown
    assert shown == sorted(shown)
    assert arrays(clf) == arrays(fitted())
    text = capsys.readouterr().err
    assert "4/4" in text


def test_a_bar_of_short_epochs_does_not_cut_them(monkeypatch):
    from slimlearn.backend.engine import Trainer

    runs, epochs = [], Trainer.epochs

    def spy(self, epoch, step, rates, *rest, **options):
        runs.append(len(rates))
        return epochs(self, epoch, step, rates, *rest, **options)

    monkeypatch.setattr(Trainer, "epochs", spy)
    fitted(verbose=1, max_iter=30)
    # Until the time of a step is known, runs grow from one step on.
    assert runs[:4] == [1, 2, 4, 3]
    assert runs[-20:] == [STEPS] * 20
