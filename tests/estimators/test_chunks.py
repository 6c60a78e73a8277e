"""fit_chunks: the bytes of fit, facts of all chunks, and what is refused."""

import doctest
import subprocess
import sys
import textwrap

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.model_selection import train_test_split

from slimlearn import (
    DNNClassifier,
    DNNRegressor,
    LinearClassifier,
    LinearRegressor,
    NetworkClassifier,
    Plateau,
    layers,
)
from slimlearn.backend import ops, philox
from slimlearn.estimators.callbacks import (
    Callback,
    Checkpoint,
    EarlyStopping,
    EpochScoring,
)

X, Y = load_iris(return_X_y=True)
X = (X - X.mean(axis=0)) / X.std(axis=0)
ORDER = np.random.RandomState(0).permutation(150)
X, Y = X[ORDER], Y[ORDER]
NAMES = np.array(["setosa", "versicolor", "virginica"])[Y]
LABELS = np.c_[Y == 0, Y > 0, X[:, 0] > 0].astype(int)
OUTPUTS = np.c_[Y, (X[:, 1] > 0) + 5]
NUMBERS = X @ [1.0, -2.0, 3.0, 0.5] * 7 + 40
WEIGHTS = np.random.RandomState(1).uniform(0, 3, 150)
WEIGHTS[::9] = 0
SEED = np.random.RandomState(0).randint(2**31 - 1)
FEW = {"hidden_units": (6,), "max_iter": 4, "random_state": 0}


def cut(*arrays, sizes=(50, 50, 50)):
    """A list of chunks of so many rows."""
    ends = np.cumsum(sizes)
    return [
        tuple(a[end - size : end] for a in arrays) for size, end in zip(sizes, ends)
    ]


def same_bytes(a, b):
    assert a.program_.text == b.program_.text
    assert a.program_.params.tobytes() == b.program_.params.tobytes()
    assert a.program_.state.tobytes() == b.program_.state.tobytes()
    assert a.history_.curves() == b.history_.curves()


CASES = {
    "classes": (DNNClassifier(**FEW), Y),
    "text": (DNNClassifier(**FEW), NAMES),
    "two classes": (DNNClassifier(**FEW), Y > 0),
    "labels": (DNNClassifier(**FEW), LABELS),
    "outputs": (DNNClassifier(**FEW), OUTPUTS),
    "ordinal": (DNNClassifier(loss="ordinal", **FEW), Y),
    "hinge": (DNNClassifier(loss="hinge", **FEW), Y),
    "balanced": (DNNClassifier(class_weight="balanced", **FEW), np.minimum(Y, 1)),
    "balanced labels": (DNNClassifier(class_weight="balanced", **FEW), LABELS),
    "balanced output": (
        DNNClassifier(class_weight=["balanced", {5: 2.0}], **FEW),
        OUTPUTS,
    ),
    "factors": (DNNClassifier(class_weight={0: 3.0, 2: 0.5}, **FEW), Y),
    "random": (DNNClassifier(dropout=0.3, batch_norm=True, **FEW), Y),
    "cosine": (DNNClassifier(learning_rate_schedule="cosine", **FEW), Y),
    "numbers": (DNNRegressor(**FEW), NUMBERS),
    "two numbers": (DNNRegressor(**FEW), np.c_[NUMBERS, X[:, 0]]),
    "poisson": (DNNRegressor(loss="poisson", **FEW), NUMBERS - NUMBERS.min()),
    "quantiles": (DNNRegressor(loss="quantile", quantile=(0.1, 0.5), **FEW), NUMBERS),
    "linear": (LinearClassifier(optimizer="ftrl", max_iter=4, random_state=0), Y),
    "net": (
        NetworkClassifier(lambda x: layers.linear(x, 5), max_iter=3, random_state=0),
        Y,
    ),
}


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
@pytest.mark.parametrize("name", CASES)
def test_one_chunk_has_the_bytes_of_fit(name, weights):
    est, y = CASES[name]
    data = (X, y) if weights is None else (X, y, weights)
    same_bytes(clone(est).fit(*data), clone(est).fit_chunks([data]))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_one_chunk_chooses_the_batches_and_the_precision_of_fit(dtype):
    X = np.random.RandomState(0).normal(size=(3001, 3)).astype(dtype)
    y = X[:, 0] > 0
    whole = DNNClassifier((3,), max_iter=2, random_state=0).fit(X, y)
    chunked = DNNClassifier((3,), max_iter=2, random_state=0).fit_chunks([(X, y)])
    same_bytes(whole, chunked)


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
@pytest.mark.parametrize("name", CASES)
def test_chunks_of_a_batch_are_the_batches_of_fit(name, weights):
    """So scale, classes, weights and schedule are those of all rows."""
    est, y = CASES[name]
    est = clone(est).set_params(shuffle=False, batch_size=50)
    data = (X, y) if weights is None else (X, y, weights + 0.1)
    # In the order of their classes no chunk is like all rows.
    ordered = [a[np.argsort(Y, kind="stable")] for a in data]
    for whole_data in (data, ordered):
        whole = clone(est).fit(*whole_data)
        chunked = clone(est).fit_chunks(cut(*whole_data))
        for path, array in whole.program_.weights.items():
            np.testing.assert_allclose(
                chunked.program_.weights[path], array, rtol=1e-9, atol=1e-11
            )
        np.testing.assert_allclose(chunked.loss_curve_, whole.loss_curve_, rtol=1e-9)


@pytest.mark.parametrize("unit, shift", [(1e-170, 0), (1e150, 0), (1, 1e9), (0, 3)])
def test_scales_of_any_unit(unit, shift):
    options = {"shuffle": False, "batch_size": 50, "max_iter": 3, "random_state": 0}
    y = unit * NUMBERS[np.argsort(NUMBERS)] + shift
    whole = DNNRegressor((6,), **options).fit(X, y, WEIGHTS + 0.1)
    chunked = DNNRegressor((6,), **options).fit_chunks(cut(X, y, WEIGHTS + 0.1))
    np.testing.assert_allclose(chunked.predict(X), whole.predict(X), rtol=1e-12)


def test_factors_that_leave_classes_out():
    chunks = cut(X, Y)
    clf = DNNClassifier(class_weight={0: 1.0, 1: 2.0, 2: 0.0}, **FEW)
    same_bytes(clone(clf).fit(X, Y), clone(clf).fit_chunks([(X, Y)]))
    clf.fit_chunks([(X[Y == 2], Y[Y == 2]), *chunks])
    assert clf.classes_.tolist() == [0, 1, 2] and 2 not in clf.predict(X)


# -- what chunks can be ---------------------------------------------------------------


class Shelf:
    """Iterated anew each time."""

    def __iter__(self):
        yield from cut(X, Y)


def generate():
    return (chunk for chunk in cut(X, Y))


def test_forms_of_chunks(tmp_path):
    file = np.memmap(tmp_path / "x", "f8", "w+", shape=X.shape)
    file[:] = X
    mapped = np.memmap(tmp_path / "x", "f8", "r", shape=X.shape)
    expected = DNNClassifier(**FEW).fit_chunks(cut(X, Y))
    for chunks in (
        tuple(cut(X, Y)),
        Shelf(),
        generate,
        cut(mapped, Y),
        [(x.tolist(), y.tolist()) for x, y in cut(X, Y)],
        [[x, y, None] for x, y in cut(X, Y)],
        cut(X, Y, np.full(150, 7)),
    ):
        same_bytes(expected, DNNClassifier(**FEW).fit_chunks(chunks))


def test_frames():
    frame = pd.DataFrame(X, columns=list("abcd"))
    chunks = cut(frame, pd.Series(NAMES), sizes=(70, 80))
    clf = DNNClassifier(**FEW).fit_chunks(chunks)
    assert clf.feature_names_in_.tolist() == list("abcd")
    same_bytes(clf, DNNClassifier(**FEW).fit_chunks(cut(X, NAMES, sizes=(70, 80))))
    chunks[1] = chunks[1][0][list("dcba")], chunks[1][1]
    with pytest.raises(ValueError, match="chunk 2: The feature names should match"):
        clf.fit_chunks(chunks)


def test_chunks_of_any_length():
    sizes = (1, 64, 33, 2, 49, 1)
    clf = DNNClassifier(batch_size=16, **FEW)
    steps = []

    class Steps(Callback):
        def on_epoch_end(self, state):
            steps.append(state.progress.step)

    clf.set_params(callbacks=[Steps()]).fit_chunks(cut(X, Y, sizes=sizes))
    # A last row alone joins the batch before it, if there is one.
    assert steps == [n * (1 + 4 + 2 + 1 + 3 + 1) for n in (1, 2, 3, 4)]


def test_each_chunk_is_shuffled_in_its_own_way():
    rows = np.arange(40.0).reshape(-1, 1)
    options = {"batch_size": 1, "optimizer": "sgd", "random_state": 0}
    twice = LinearRegressor(max_iter=1, **options)
    twice.fit_chunks([(rows, rows[:, 0])] * 2)
    again = LinearRegressor(max_iter=1, shuffle=False, **options)
    order = philox.permutation(40, SEED, 0), philox.permutation(40, SEED, 1 << 32)
    again.fit_chunks([(rows[o], rows[o, 0]) for o in order])
    assert np.array_equal(twice.coef_, again.coef_)
    assert not np.array_equal(*order)


def test_learning_from_chunks_and_going_on():
    clf = DNNClassifier((16,), max_iter=20, learning_rate=0.02, random_state=0)
    clf.fit_chunks(cut(X, NAMES))
    assert clf.score(X, NAMES) > 0.95 and clf.n_iter_ == 20
    assert clf.classes_.tolist() == ["setosa", "versicolor", "virginica"]
    clf.set_params(warm_start=True, max_iter=5).fit_chunks(generate_names)
    assert clf.n_iter_ == 25 and len(clf.loss_curve_) == 25
    clf.partial_fit(X, NAMES).fit(X, NAMES)
    assert clf.n_iter_ == 31
    with pytest.raises(ValueError, match=r"classes=\[0, 1\] is not the same"):
        clf.fit_chunks(cut(X, NAMES), classes=[0, 1])
    with pytest.raises(ValueError, match=r"chunk 1: .*not among the classes: \[0, 1"):
        clf.fit_chunks(cut(X, Y))
    assert clf.n_iter_ == 31


def generate_names():
    yield from cut(X, NAMES)


def test_the_example():
    found = doctest.DocTestFinder().find(DNNClassifier.fit_chunks, "fit_chunks")
    [example] = [test for test in found if test.examples]
    assert doctest.DocTestRunner().run(example).failed == 0


# -- one pass only --------------------------------------------------------------------


def test_a_generator_is_one_epoch():
    clf = DNNClassifier(**FEW)
    with pytest.raises(ValueError, match=r"a generator, which .* set max_iter=1"):
        clf.fit_chunks(generate(), classes=[0, 1, 2])
    clf.set_params(max_iter=1)
    with pytest.raises(ValueError, match="classes must be passed"):
        clf.fit_chunks(generate())
    clf.fit_chunks(generate(), classes=[0, 1, 2, 3])
    assert clf.n_iter_ == 1 and clf.predict_proba(X).shape == (150, 4)
    # As with partial_fit, the first rows decide.
    same_start = DNNClassifier(**{**FEW, "max_iter": 1}, batch_size=32, shuffle=False)
    same_start.fit_chunks(generate(), classes=[0, 1, 2, 3])
    parts = DNNClassifier(**FEW, batch_size=32, shuffle=False)
    for x, y in generate():
        parts.partial_fit(x, y, classes=[0, 1, 2, 3])
    for name, array in parts.program_.weights.items():
        np.testing.assert_allclose(same_start.program_.weights[name], array, rtol=1e-9)


def test_a_generator_with_weights_numbers_and_a_plateau():
    reg = DNNRegressor(learning_rate_schedule=Plateau(), **{**FEW, "max_iter": 1})
    weights = np.r_[np.ones(50), np.full(50, 5.0), np.zeros(50)]
    reg.fit_chunks(iter(cut(X, NUMBERS, weights)))
    same = np.r_[np.ones(50), np.full(50, 1.0), np.zeros(50)]
    other = clone(reg).fit_chunks(iter(cut(X, NUMBERS, same)))
    assert not np.array_equal(reg.predict(X), other.predict(X))
    dropped = clone(reg).fit_chunks(iter(cut(X, NUMBERS, weights)[:2]))
    assert np.array_equal(reg.predict(X), dropped.predict(X))


@pytest.mark.parametrize(
    "options, told",
    [
        ({"learning_rate_schedule": "cosine"}, "goes by the number of steps"),
        ({"learning_rate_schedule": "step"}, "goes by the number of steps"),
        ({"class_weight": "balanced"}, "balanced class weights need chunks that"),
    ],
)
def test_what_needs_all_rows_needs_more_than_one_pass(options, told):
    clf = DNNClassifier(**{**FEW, "max_iter": 1}, **options)
    with pytest.raises(ValueError, match=told):
        clf.fit_chunks(generate(), classes=[0, 1, 2])
    assert clf.fit_chunks(generate).n_iter_ == 1


# -- refusals -------------------------------------------------------------------------


def spoiled(array, value):
    return np.where(np.arange(array.size).reshape(array.shape) == 1, value, array)


@pytest.mark.parametrize(
    "second, told",
    [
        ((X[:, :2], Y), "chunk 2: X has 2 features, but DNNClassifier is expecting 4"),
        ((spoiled(X, np.nan), Y), r"chunk 2: Input X contains NaN in columns \[1\]"),
        ((X, Y[:7]), "chunk 2: .*inconsistent numbers of samples"),
        ((X[:0], Y[:0]), "chunk 2: .*0 sample"),
        ((X, LABELS), r"chunk 2: y has shape \(150, 3\), but that of chunk 1 had \(\)"),
        ((X, NAMES), "chunk 2: y has labels of another kind.*'setosa'.*after"),
        ((X, NUMBERS), "chunk 2: Unknown label type"),
        ((X, Y, WEIGHTS), "chunk 2: it has sample_weight, and chunk 1 has none"),
        ((X, Y, -WEIGHTS), "chunk 2: Negative values"),
        ((X, Y, WEIGHTS[:9]), "chunk 2: .*inconsistent"),
        (X, r"chunk 2 must be \(X, y\) or \(X, y, sample_weight\); got ndarray of s"),
        ((X, Y, WEIGHTS, 3), "chunk 2 must be .* got tuple"),
        (X.tolist, "chunk 2 must be .* got builtin"),
    ],
)
def test_a_bad_chunk_is_named(second, told):
    clf = DNNClassifier(**FEW).fit(X[:, :2], Y)
    former = vars(clf).copy()
    with pytest.raises((ValueError, TypeError), match=told):
        clf.fit_chunks([(X, Y), second])
    assert vars(clf) == former


def test_labels_that_are_not_among_the_given_classes():
    clf = DNNClassifier(**FEW)
    with pytest.raises(ValueError, match=r"chunk 3: .*not among the classes: \[2\]"):
        clf.fit_chunks([(X[Y < 2], Y[Y < 2])] * 2 + [(X, Y)], classes=[0, 1])
    clf.fit_chunks(cut(X, Y), classes=[0, 1, 2, 9])
    assert clf.classes_.tolist() == [0, 1, 2, 9]
    with pytest.raises(ValueError, match="only one class: 1"):
        clf.fit_chunks(cut(X, np.ones(150)))
    with pytest.raises(ValueError, match="none of which is a class"):
        clf.set_params(class_weight={7: 1.0}).fit_chunks(cut(X, Y))
    with pytest.raises(ValueError, match="classes is for classifiers"):
        DNNRegressor().fit_chunks(cut(X, NUMBERS), classes=[0, 1])


def test_targets_that_a_loss_is_not_made_for():
    reg = DNNRegressor(loss="poisson", **FEW)
    with pytest.raises(ValueError, match="chunk 2: loss='poisson' needs y >= 0"):
        reg.fit_chunks([(X, NUMBERS**2), (X, -NUMBERS)])
    reg.fit_chunks([(X, NUMBERS**2)] * 2)
    with pytest.raises(ValueError, match="chunk 2: X has values beyond"):
        DNNRegressor(precision="float32").fit_chunks(
            [(X, NUMBERS), (1e300 * X, NUMBERS)]
        )


def test_weights_that_are_all_zero():
    nothing = np.zeros(150)
    for est, y in ((DNNClassifier(**FEW), Y), (DNNRegressor(**FEW), NUMBERS)):
        with pytest.raises(ValueError, match="at least one non-zero"):
            est.fit_chunks([(X, y, nothing)] * 2)
        one = clone(est).fit_chunks([(X, y, nothing), (X, y, nothing + 2)])
        np.testing.assert_allclose(one.predict(X), est.fit(X, y).predict(X))


@pytest.mark.parametrize("chunks", [3, None, X.mean()], ids=["3", "None", "mean"])
def test_what_is_no_chunks(chunks):
    with pytest.raises(TypeError, match="chunks must be a list or another iterable"):
        DNNClassifier().fit_chunks(chunks)


def test_data_of_fit_are_no_chunks():
    with pytest.raises(TypeError, match=r"chunk 1 must be .* got ndarray of shape"):
        DNNClassifier().fit_chunks((X, Y))


def test_iterators_that_do_not_begin_anew():
    clf, made = DNNClassifier(**FEW), generate()
    with pytest.raises(ValueError, match="gave no chunk when iterated again: its it"):
        clf.fit_chunks(lambda: made)
    with pytest.raises(ValueError, match=r"chunks gave no chunk$"):
        clf.fit_chunks([])


def test_lbfgs_has_no_chunks():
    for est in (
        LinearClassifier(),
        LinearRegressor(),
        DNNClassifier(optimizer="lbfgs"),
    ):
        assert not hasattr(est, "fit_chunks")
        with pytest.raises(AttributeError) as told:
            est.fit_chunks([(X, Y)])
        assert "L-BFGS needs all rows at once" in str(told.value.__cause__)


# -- validation, callbacks, interruptions ---------------------------------------------


def test_early_stopping_needs_rows_of_its_own():
    clf = DNNClassifier((16,), learning_rate=0.2, early_stopping=True, random_state=0)
    chunks = cut(X, Y)
    with pytest.raises(ValueError, match="holds out no rows of chunks: give X_val"):
        clf.fit_chunks(chunks)
    train = train_test_split(X, Y, random_state=0)
    held = {"X_val": train[1], "y_val": train[3], "sample_weight_val": np.ones(38)}
    clf.fit_chunks([train[::2]], **held)
    whole = clone(clf).fit(*train[::2], **held)
    same_bytes(clf, whole)
    assert clf.n_iter_ < 100 and clf.best_iteration_ == whole.best_iteration_
    clf.set_params(validation_fraction=None, tol=0.05).fit_chunks(chunks)
    assert clf.n_iter_ < 100 and not clf.validation_loss_curve_
    with pytest.raises(ValueError, match="by scoring='accuracy' needs X_val"):
        clf.set_params(scoring="accuracy").fit_chunks(chunks)
    clf.fit_chunks(chunks, X_val=X, y_val=Y)
    assert len(clf.validation_scores_) == clf.n_iter_


def test_curves_and_what_does_not_fit_the_chunks():
    reg = DNNRegressor(**FEW).fit_chunks(
        cut(X, NUMBERS), X_val=X, y_val=NUMBERS, sample_weight_val=WEIGHTS
    )
    assert len(reg.validation_loss_curve_) == 4
    error = np.average((reg.predict(X) - NUMBERS) ** 2, weights=WEIGHTS)
    assert reg.validation_loss_curve_[-1] == pytest.approx(error, rel=1e-6)
    for bad, told in (
        ({"X_val": X}, "belong together"),
        ({"sample_weight_val": WEIGHTS}, "needs X_val"),
        ({"X_val": X[:, :2], "y_val": NUMBERS}, "2 features"),
        ({"X_val": X, "y_val": np.c_[NUMBERS, NUMBERS]}, "same outputs"),
    ):
        with pytest.raises(ValueError, match=told):
            reg.fit_chunks(cut(X, NUMBERS), **bad)


def test_callbacks_hear_of_each_epoch_once():
    heard = []

    class Hears(Callback):
        def on_fit_begin(self, state):
            heard.append("begin")

        def on_epoch_end(self, state):
            heard.append(state.epoch)

        def on_fit_end(self, state):
            heard.append(state.stop_reason)

    hits = EpochScoring("accuracy")
    stop = EarlyStopping("validation_accuracy", n_iter_no_change=1, tol=1.0)
    clf = DNNClassifier(callbacks=[Hears(), hits, stop], **FEW)
    clf.fit_chunks(cut(X, Y), X_val=X, y_val=Y)
    assert heard == ["begin", 1, 2, "stopped by earlystopping"]
    assert len(clf.history_.to_frame()) == 2
    clf.set_params(callbacks=[EpochScoring("accuracy", on="train")])
    with pytest.raises(ValueError, match="training rows of fit_chunks are never there"):
        clf.fit_chunks(cut(X, Y), X_val=X, y_val=Y)


class Stop(Callback):
    def on_epoch_end(self, state):
        if state.epoch == 2:
            raise ZeroDivisionError

    last = True


def test_a_checkpoint_goes_on(tmp_path):
    clf = DNNClassifier(dropout=0.2, **FEW)
    whole = clone(clf).fit_chunks(cut(X, Y))
    clf.set_params(callbacks=[Checkpoint(tmp_path), Stop()])
    with pytest.raises(ZeroDivisionError):
        clf.fit_chunks(cut(X, Y))
    clf.set_params(callbacks=[Checkpoint(tmp_path)]).fit_chunks(cut(X, Y))
    assert clf.callbacks_[0][1].resumed_from_ == 2
    same_bytes(clf, whole)
    clf.fit_chunks(cut(X, Y, sizes=(30, 120)))
    assert clf.callbacks_[0][1].resumed_from_ == 0


class Failing:
    """Chunks that fail in the middle of an epoch, which are the passes from 1 on."""

    def __init__(self, error, epoch):
        self.error, self.epoch, self.passes = error, epoch, -1

    def __iter__(self):
        self.passes += 1
        yield X[:75], Y[:75]
        if self.passes == self.epoch:
            raise self.error
        yield X[75:], Y[75:]


@pytest.mark.parametrize("epoch", [0, 1, 3])
def test_an_error_of_the_iterator_leaves_the_former_fit(epoch):
    clf = DNNClassifier(**FEW).fit(X[:, :2], Y)
    former = vars(clf).copy()
    with pytest.raises(OSError, match="the file is gone") as told:
        clf.fit_chunks(Failing(OSError("the file is gone"), epoch))
    if sys.version_info >= (3, 11):
        assert told.value.__notes__ == ["raised by chunks, after chunk 1"]
    assert vars(clf) == former
    assert clf.fit_chunks(cut(X, Y)).n_iter_ == 4


def test_ctrl_c_keeps_the_epochs():
    clf = DNNClassifier(**FEW)
    with pytest.raises(KeyboardInterrupt):
        clf.fit_chunks(Failing(KeyboardInterrupt(), 1))
    assert not hasattr(clf, "classes_")
    with pytest.raises(KeyboardInterrupt):
        clf.fit_chunks(Failing(KeyboardInterrupt(), 3))
    assert clf.n_iter_ == 2 and len(clf.predict(X)) == 150
    again = DNNClassifier(**{**FEW, "max_iter": 2})
    again.fit_chunks(Failing(None, -1))
    assert again.program_.params.tobytes() == clf.program_.params.tobytes()


def of_ids(x):
    return layers.flatten(layers.embedding(ops.cast(x, "i32"), 10, 3))


def test_numbers_that_go_wrong_name_chunk_and_step():
    reg = DNNRegressor(optimizer="sgd", learning_rate=1e30, precision="float32", **FEW)
    told = r"chunk \d: epoch \d+, step \d+: \[.*learning rate"
    with pytest.raises(ValueError, match=told):
        reg.fit_chunks(cut(X, NUMBERS))
    ids = np.arange(150).reshape(-1, 1) % 10
    ids[120] = 10
    clf = NetworkClassifier(of_ids, shuffle=False, batch_size=10)
    with pytest.raises(
        ValueError, match=r"chunk 3: epoch 1, step 13: \[gather .*index"
    ):
        clf.fit_chunks(cut(ids, Y))


# -- memory ---------------------------------------------------------------------------

LIMITED = """
import resource, sys
import numpy as np
from slimlearn import DNNClassifier

ROWS, WIDE, BOUND = 600_000, 128, 130 * 2**20
clf = DNNClassifier((2,), max_iter=1, batch_size=4096, n_threads=1)
clf.fit(np.eye(4, WIDE, dtype="f4"), [0, 1, 0, 1])
file = np.memmap(sys.argv[1], "f4", "w+", shape=(ROWS, WIDE))
file.flush()
X = np.memmap(sys.argv[1], "f4", "r", shape=(ROWS, WIDE))
y = (np.arange(ROWS) % 2).astype("u1")
with open("/proc/self/status") as status:
    used = next(int(line.split()[1]) for line in status if line.startswith("VmData"))
assert X.nbytes > 2 * BOUND
resource.setrlimit(resource.RLIMIT_DATA, (used * 1024 + BOUND,) * 2)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux does")
@pytest.mark.parametrize(
    "call",
    [
        "clf.fit(X, y)",
        "clf.fit_chunks([(X[::2], y[::2]), (X[1::2], y[1::2])])",
        """
        def chunks():
            for i in range(4):
                yield np.ones((150_000, WIDE), "f4"), y[:150_000]

        clf.fit_chunks(chunks)
        """,
    ],
    ids=["fit", "memory maps", "one at a time"],
)
def test_memory_stays_below_the_data(call, tmp_path):
    script = LIMITED + textwrap.dedent(call)
    run = [sys.executable, "-c", script, str(tmp_path / "x")]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
