"""One seed, one result, by bytes: threads, resuming, and a row's place in a batch."""

import multiprocessing

import numpy as np
import pytest
from support.training_case import Case, data, network

from slimlearn import ConvNetClassifier, _native, layers
from slimlearn.backend import training

BIG = (64, 512, 10)  # large enough that threads pay


def normed(x):
    for _ in range(2):
        x = layers.conv2d(x, 32, 3, normalizer_fn=layers.batch_norm)
        x = layers.max_pool2d(x, 2)
    return layers.flatten(x)


def big(precision="f32", rows=600, sizes=BIG, batch_size=256, **options):
    sources = data(rows, precision, features=sizes[0], classes=sizes[2])
    model = network(precision, sizes=sizes, **options)
    return Case(model, sources, batch_size=batch_size)


@pytest.mark.parametrize("precision", ["f32", "f64"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"center": True},
        {"sizes": (64, 100, 10), "batch_size": 450},  # products cut into slices
        {"sizes": (70, 131, 3), "batch_size": 377, "clip": True},
    ],
    ids=["large", "rows mix", "slices", "odd slices, clipped"],
)
def test_threads_do_not_change_a_bit(precision, options):
    results = []
    for n_threads in (1, 2):
        case = big(precision, **options)
        losses = case.train(3, n_threads=n_threads)
        results.append((losses, case.program.params.tobytes(), case.slots.tobytes()))
    assert results[0] == results[1]


def test_two_threads_are_used_where_they_pay():
    trainer = big().trainer(n_threads=2)
    small = Case(network("f32"), data(precision="f32")).trainer(n_threads=2)
    assert small.info()["lanes"] == 1
    assert trainer.info()["lanes"] in (1, 2)  # what OpenMP allows here


@pytest.mark.parametrize("size", [14, 28, 56])
def test_values_that_no_cache_holds_are_written_by_two_threads(size, monkeypatch):
    lanes, kept = [], training.make_trainer

    def watch(*args, **options):
        trainer = kept(*args, **options)
        lanes.append(trainer.info()["lanes"])
        return trainer

    monkeypatch.setattr(training, "make_trainer", watch)
    X = np.zeros((128, size, size, 1), np.float32)
    net = ConvNetClassifier(normed, max_iter=1, batch_size=128, n_threads=2)
    net.fit(X, np.arange(128) % 2)
    assert lanes == [big().trainer(n_threads=2).info()["lanes"]]


@pytest.mark.parametrize("dropout", [False, True])
def test_resumed_training_has_the_bytes_of_one_run(dropout):
    options = {"hypers": {"keep_prob": 0.8}} if dropout else {}
    model, sources = network("f32", dropout=dropout), data(precision="f32")
    whole, parts = (Case(model, sources, **options) for _ in range(2))
    losses = whole.train(10)
    resumed = parts.train(5) + parts.train(5)
    assert losses == resumed
    assert whole.program.params.tobytes() == parts.program.params.tobytes()
    assert whole.slots.tobytes() == parts.slots.tobytes()


@pytest.mark.parametrize("precision", ["f32", "f64"])
@pytest.mark.parametrize(
    "sizes", [(20, 24, 3), (64, 100, 10), (7, 33, 1), (130, 65, 17)]
)
def test_a_row_has_the_same_bits_in_every_batch(precision, sizes):
    sources = data(100, precision, features=sizes[0], classes=max(2, sizes[2]))
    case = Case(network(precision, sizes=sizes), sources)
    x = sources["X"]

    def predict(array, **options):
        return case.compiled.run("predict", {"X": array}, case.program, **options)[0]

    whole = predict(x)
    predictor = case.compiled.predictor("predict", case.program)
    np.testing.assert_array_equal(predictor(x), whole)
    for batch in (1, 2, 3, 7, 16, 33, 64, 99):
        np.testing.assert_array_equal(predict(x, batch=batch), whole)
        np.testing.assert_array_equal(predict(x[:batch]), whole[:batch])
    for row in (0, 1, 50, 99):
        np.testing.assert_array_equal(predictor(x[row : row + 1]), whole[row : row + 1])
    order = np.random.default_rng(1).permutation(100)
    np.testing.assert_array_equal(predict(x, rows=order), whole[order])


@pytest.mark.parametrize("rows", [1, 5])
def test_lanes_share_the_rows_of_a_short_call_that_is_long(rows):
    """The short road enters a parallel region where that pays, and for nothing else."""
    taken = []
    for sizes in ((64, 100, 10), (3000, 3000, 10)):
        case = big(sizes=sizes, rows=30)
        x = case.sources["X"][:rows]
        predict = case.compiled.predictor
        one, two = (predict("predict", case.program, n_threads=n) for n in (1, 2))
        first = _native.parallel_regions()
        want = one(x)
        assert _native.parallel_regions() == first
        assert two(x).tobytes() == want.tobytes()
        taken.append(_native.parallel_regions() - first)
    lanes = big().trainer(n_threads=2).info()["lanes"]  # what OpenMP allows here
    assert taken == [0, lanes - 1]


def test_predict_and_score_do_not_depend_on_threads():
    case = big(rows=5000)
    score = [
        case.compiled.run("score", case.sources, case.program, n_threads=n)
        for n in (1, 2)
    ]
    assert [float(v) for v in score[0]] == [float(v) for v in score[1]]
    x = {"X": case.sources["X"]}
    one, two = (
        case.compiled.run("predict", x, case.program, n_threads=n)[0] for n in (1, 2)
    )
    assert one.tobytes() == two.tobytes()


def _train_in_child(queue):
    case = big()
    losses = case.train(2, n_threads=2)
    queue.put((losses, case.program.params.tobytes()))


# From Python 3.12 on a fork beside other threads warns.
@pytest.mark.filterwarnings("ignore:This process .*multi-threaded:DeprecationWarning")
def test_a_forked_child_trains_alone_with_the_same_bits():
    case = big()
    losses = case.train(2, n_threads=2)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_train_in_child, args=(queue,))
    child.start()
    result = queue.get(timeout=60)
    child.join(60)
    assert child.exitcode == 0
    assert result == (losses, case.program.params.tobytes())
