"""Every schedule of the learning rate through fits that are pieces of a training."""

import numpy as np
import pytest
from sklearn.datasets import load_iris

from slimlearn import Autoencoder, DNNClassifier, DNNRegressor, LinearRegressor
from slimlearn.backend.optimizer import SGD
from slimlearn.backend.schedule import (
    SCHEDULES,
    Constant,
    Cosine,
    Exponential,
    FlatCosine,
    InverseScaling,
    OneCycle,
    Plateau,
    Schedule,
    Step,
    WarmRestarts,
)
from slimlearn.callbacks import Checkpoint, LearningRateScheduler, TimeLimit

RATE, BATCH = 0.1, 16
X = np.random.default_rng(0).normal(size=(64, 3))
Y = X @ [1.0, 2.0, 3.0]


class ByStep(Schedule):
    """A user's, that goes by the steps that were done."""

    def factors(self, step, steps_per_epoch, total_steps):
        return 1.0 / (1.0 + step)


class Linear(Schedule):
    """A user's, that falls to nothing at the end."""

    def factors(self, step, steps_per_epoch, total_steps):
        return 1.0 - step / total_steps


BY_STEPS = [Constant(), Plateau(), ByStep()]
BY_EPOCHS = [
    Step(2, 0.5),
    Exponential(0.8),
    InverseScaling(),
    WarmRestarts(3, 2),
    Cosine(epochs=5, warmup=0.2),
    OneCycle(epochs=5),
    FlatCosine(epochs=5, warmup=0.1),
]
BY_LENGTH = [Cosine(), FlatCosine(), OneCycle(), Linear()]


def test_each_schedule_is_in_one_of_the_lists():
    known = {type(one) for one in (*BY_STEPS, *BY_EPOCHS, *BY_LENGTH)}
    assert set(SCHEDULES.values()) <= known
    for kind, ones in {
        "steps": BY_STEPS,
        "epochs": BY_EPOCHS,
        "length": BY_LENGTH,
    }.items():
        assert {one.goes_by for one in ones} == {kind}


def make(schedule, **options):
    """Return a regressor whose bias falls by the rate in each step."""
    return LinearRegressor(
        loss=lambda raw, y: raw,
        optimizer=SGD(momentum=0.0),
        learning_rate=RATE,
        learning_rate_schedule=schedule,
        batch_size=BATCH,
        l2_regularization=0.0,
        **options,
    )


def used(reg, call, *data):
    """Return the sum of the rates of one call."""
    before = reg.intercepts_[0].item() if hasattr(reg, "program_") else 0.0
    call(*data)
    return before - reg.intercepts_[0].item()


def due(schedule, steps, per_epoch, begin=0, total=10**9):
    rates = schedule.rates(
        RATE, begin, begin + steps, steps_per_epoch=per_epoch, total_steps=total
    )
    return pytest.approx(rates.sum(), rel=1e-9)


@pytest.mark.parametrize("schedule", [*BY_STEPS, *BY_EPOCHS], ids=repr)
def test_calls_of_partial_fit_are_epochs_whatever_their_rows(schedule):
    reg, done = make(schedule), 0
    for epoch, steps in enumerate([4, 4, 1, 3, 4, 4]):
        rows = slice(steps * BATCH)
        found = used(reg, reg.partial_fit, X[rows], Y[rows])
        begin = done if schedule in BY_STEPS else epoch * steps
        assert found == due(schedule, steps, steps, begin), epoch
        done += steps


@pytest.mark.parametrize("schedule", [*BY_STEPS, *BY_EPOCHS, *BY_LENGTH], ids=repr)
def test_a_warm_start_goes_on_or_begins_anew(schedule):
    reg, done = make(schedule, warm_start=True, max_iter=2), 0
    for epoch, steps in [(0, 4), (2, 1), (4, 4)]:
        rows = slice(steps * BATCH)
        found = used(reg, reg.fit, X[rows], Y[rows])
        begin, total = epoch * steps, 10**9
        if schedule in BY_STEPS:
            begin = done
        elif schedule in BY_LENGTH:
            begin, total = 0, 2 * steps
        assert found == due(schedule, 2 * steps, steps, begin, total), epoch
        done += 2 * steps


@pytest.mark.parametrize("schedule", [*BY_STEPS, *BY_EPOCHS, *BY_LENGTH], ids=repr)
def test_chunks_are_a_part_of_their_epoch(schedule):
    chunks = [(X[:32], Y[:32]), (X[32:48], Y[32:48])]
    reg = make(schedule, max_iter=4, warm_start=True)
    total = 12 if schedule in BY_LENGTH else 10**9
    found = used(reg, reg.fit_chunks, chunks)
    assert found == due(schedule, 12, 3, 0, total)
    found = used(reg, reg.fit_chunks, chunks)
    begin = 0 if schedule in BY_LENGTH else 12
    assert found == due(schedule, 12, 3, begin, total)


@pytest.mark.parametrize("schedule", BY_EPOCHS + BY_LENGTH, ids=repr)
def test_a_schedule_begins_anew_with_the_optimizer(schedule):
    # A fit without warm_start keeps nothing of the optimizer.
    reg = make(schedule, max_iter=3).fit(X, Y)
    reg.set_params(warm_start=True)
    total = 12 if schedule in BY_LENGTH else 10**9
    assert used(reg, reg.fit, X, Y) == due(schedule, 12, 4, 0, total)
    assert reg.n_iter_ == 6


@pytest.mark.parametrize("schedule", BY_EPOCHS + BY_LENGTH, ids=repr)
def test_a_fit_that_goes_on_from_a_file_keeps_its_schedule(schedule, tmp_path):
    options = {"max_iter": 6, "random_state": 0}
    whole = make(schedule, **options).fit(X, Y)
    files = [Checkpoint(tmp_path, name="it.slim"), TimeLimit(1e-9)]
    parts = make(schedule, **options)
    parts.loss = whole.loss
    parts.set_params(callbacks=files).fit(X, Y)
    assert parts.n_iter_ == 1
    parts.set_params(callbacks=files[:1]).fit(X, Y)
    assert parts.callbacks_[0][1].resumed_from_ == 1
    assert parts.program_.params.tobytes() == whole.program_.params.tobytes()


@pytest.mark.parametrize("schedule", ["cosine", "one_cycle", *BY_LENGTH], ids=repr)
@pytest.mark.parametrize("name", ["rate", "number"])
def test_a_length_that_partial_fit_does_not_know_is_asked_for(schedule, name):
    for kind in (DNNClassifier, DNNRegressor, Autoencoder):
        wish = {"learning_rate_schedule": schedule}
        if name == "number":
            wish = {"schedules": {"momentum": schedule}, "optimizer": SGD(momentum=0.5)}
        est = kind((4,), **wish)
        assert not hasattr(est, "partial_fit") and hasattr(est, "fit_chunks")
        with pytest.raises(AttributeError) as error:
            _ = est.partial_fit
        assert "say how many epochs it lasts, as in" in str(error.value.__cause__)
    assert hasattr(DNNClassifier(learning_rate_schedule="no such"), "partial_fit")


def test_a_callback_s_schedule_needs_what_the_estimator_s_needs():
    for schedule, epochs in (("cosine", None), (Cosine(epochs=4), 4)):
        reg = make("constant", callbacks=[LearningRateScheduler(schedule)])
        if epochs is None:
            with pytest.raises(ValueError, match="how many epochs"):
                reg.partial_fit(X, Y)
        else:
            found = [used(reg, reg.partial_fit, X, Y) for _ in range(epochs)]
            assert sum(found) == due(schedule, 16, 4)
        reg = make("constant", max_iter=1, callbacks=[LearningRateScheduler(schedule)])
        with pytest.raises(ValueError, match="goes by the number of steps"):
            reg.fit_chunks(iter([(X, Y)]))


def test_forty_calls_with_a_cosine_learn():
    x, y = load_iris(return_X_y=True)
    x = (x - x.mean(0)) / x.std(0)
    clf = DNNClassifier(
        (8,),
        learning_rate=0.01,
        learning_rate_schedule=Cosine(epochs=40),
        random_state=0,
    )
    for _ in range(40):
        clf.partial_fit(x, y, classes=[0, 1, 2])
    assert clf.score(x, y) > 0.93
    whole = clf.__class__(**clf.get_params(deep=False) | {"max_iter": 40}).fit(x, y)
    assert clf.score(x, y) == pytest.approx(whole.score(x, y), abs=0.03)


@pytest.mark.parametrize("bad", [0, -1, "ten", np.nan])
def test_epochs_of_a_schedule_are_a_number(bad):
    for kind in (Cosine, OneCycle):
        with pytest.raises(ValueError, match="'epochs' parameter"):
            make(kind(epochs=bad)).fit(X, Y)
