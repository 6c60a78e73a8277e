"""Sparse rows: what they compute and train is what dense rows do, bit for bit."""

import numpy as np
import pytest
from scipy import sparse
from support.training_case import CLASSES, Case, data, network

from slimlearn import _native
from slimlearn.backend import dataset
from slimlearn.backend.optimizer import SGD, Adagrad, Adam, Ftrl, LazyAdam

FEATURES = 50


def sources(rows=100, precision="f32", seed=0, density=0.1, features=FEATURES):
    """Return the sources of a sparse X, with an empty row and an explicit zero."""
    rng = np.random.default_rng(seed)
    made = data(rows, precision, seed, features, CLASSES)
    made["X"][rng.random(made["X"].shape) > density] = 0
    made["X"][3] = 0
    csr = sparse.csr_array(made["X"])
    csr.data[5] = 0
    return {**made, "X": csr}


def dense(made: dict) -> dict:
    return {**made, "X": made["X"].toarray()}


def case(made, *, is_sparse=True, optimizer=None, options=None, **network_options):
    sizes = (made["X"].shape[1], 24, CLASSES)
    options = {"hypers": {"keep_prob": 0.7}, **(options or {})}
    precision = {"f4": "f32", "f8": "f64"}[made["X"].dtype.str[1:]]
    model = network(
        precision,
        optimizer,
        sparse=is_sparse,
        sizes=sizes,
        **network_options,
    )
    return Case(
        model, made if is_sparse else dense(made), optimizer=optimizer, **options
    )


def arenas(trained):
    return trained.program.params, trained.program.state, trained.slots


def assert_same_bytes(a, b):
    for one, other in zip(arenas(a), arenas(b), strict=True):
        np.testing.assert_array_equal(one, other)


RUNS = {
    "sgd": {"optimizer": SGD(momentum=0.0)},
    "momentum": {"optimizer": SGD()},
    "adam": {},
    "dropout": {"dropout": True},
    "center": {"center": True},
    "all": {"dropout": True, "center": True, "clip": True, "l2": True},
}


@pytest.mark.parametrize("precision", ["f32", "f64"])
@pytest.mark.parametrize("run", RUNS)
def test_training_has_the_bytes_of_dense_rows(run, precision):
    made = sources(99, precision)
    options = {"batch_size": 16}
    if run == "all":
        options |= {"clip_norm": 0.5, "segments": [{"l2": 1e-3}] * 4}
    one, other = (
        case(made, is_sparse=is_sparse, options=options, **RUNS[run])
        for is_sparse in (True, False)
    )
    assert one.train(3) == other.train(3)
    assert_same_bytes(one, other)


@pytest.mark.parametrize("precision", ["f32", "f64"])
@pytest.mark.parametrize("density", [0.003, 0.1])
def test_many_columns_are_added_as_a_dense_product_adds_them(density, precision):
    made = sources(700, precision, density=density, features=1300)
    options = {"batch_size": 600}
    one, other = (case(made, is_sparse=s, options=options) for s in (True, False))
    assert one.train(2) == other.train(2)
    assert_same_bytes(one, other)


@pytest.mark.parametrize("rows", [False, True])
@pytest.mark.parametrize("optimizer", [Adam(), Adagrad()], ids=repr)
def test_threads_change_nothing(optimizer, rows):
    made = sources(300, features=3000, density=0.02)
    results = []
    for n_threads in (1, 2, 3):
        run = case(
            made,
            optimizer=optimizer,
            rows=rows,
            dropout=True,
            options={"n_threads": n_threads, "batch_size": 64},
        )
        results.append(run)
        run.train(2)
    for other in results[1:]:
        assert_same_bytes(results[0], other)


@pytest.mark.parametrize("rows", [1, 2, 17, 33])
def test_a_tail_of_any_size_has_the_bytes_of_dense_rows(rows):
    made = sources(32 + rows)
    one, other = (
        case(made, is_sparse=is_sparse, options={"batch_size": 32})
        for is_sparse in (True, False)
    )
    assert one.train(2) == other.train(2)
    assert_same_bytes(one, other)


EXACT = [SGD(momentum=0.0), Adagrad(), Ftrl(), Ftrl(l1=0.01, l2=0.1)]


@pytest.mark.parametrize("precision", ["f32", "f64"])
@pytest.mark.parametrize("clip_value", [None, 1e-3])
@pytest.mark.parametrize("optimizer", EXACT, ids=repr)
def test_rows_train_as_the_whole_gradient(optimizer, clip_value, precision):
    made = sources(99, precision, density=0.02)
    penalties = {"proximal": optimizer.own_l1, "decay": optimizer.own_decay}
    options = {"clip_value": clip_value, "segments": [penalties] * 4}
    one, other = (
        case(made, optimizer=optimizer, rows=rows, options=dict(options))
        for rows in (True, False)
    )
    assert one.train(3) == other.train(3)
    assert_same_bytes(one, other)


def test_rows_count_in_the_norm_of_the_gradient():
    made = sources(99, "f64", density=0.02)
    one, other = (
        case(
            made, optimizer=Adagrad(), rows=rows, clip=True, options={"clip_norm": 0.05}
        )
        for rows in (True, False)
    )
    one.train(3)
    other.train(3)
    for name, weights in one.program.weights.items():
        np.testing.assert_allclose(weights, other.program.weights[name], 1e-12)


@pytest.mark.parametrize("optimizer", [LazyAdam(), Adagrad(), SGD(0.9)], ids=repr)
@pytest.mark.parametrize("clip", [False, True])
def test_native_rows_are_the_reference(optimizer, clip):
    made = sources(70, "f64", density=0.02)
    options = {"clip_norm": 0.05, "clip_value": 0.01} if clip else {}
    run = case(made, optimizer=optimizer, rows=True, clip=clip, options=options)
    oracle, copy = run.oracle()
    losses = run.train(2)
    rates = np.full(5, 1e-2)
    want = [oracle.epoch(0, 0, rates).loss, oracle.epoch(1, 5, rates).loss]
    np.testing.assert_allclose(losses, want, 1e-9)
    for name, weights in run.program.weights.items():
        np.testing.assert_allclose(weights, copy.weights[name], 1e-8, 1e-10)


@pytest.mark.parametrize("precision", ["f32", "f64"])
@pytest.mark.parametrize("limits", [{"clip_norm": 0.05}, {"clip_value": 0.01}])
def test_penalties_of_touched_rows_are_clipped_with_them(limits, precision):
    made = sources(70, precision, density=0.02)
    options = {"segments": [{"l2": 0.5}, {"l2": 0.1}, {}, {}], **limits}
    tight = {"f32": (2e-3, 2e-4), "f64": (1e-8, 1e-10)}[precision]
    run = case(
        made, optimizer=LazyAdam(), rows=True, clip=True, l2=True, options=options
    )
    oracle, copy = run.oracle()
    run.train(2)
    for epoch in range(2):
        oracle.epoch(epoch, 5 * epoch, np.full(5, 1e-2))
    for name, weights in run.program.weights.items():
        np.testing.assert_allclose(weights, copy.weights[name], *tight)


def test_a_step_leaves_untouched_rows_alone():
    made = sources(16, density=0.02)
    run = case(made, optimizer=LazyAdam(), rows=True, options={"batch_size": 16})
    before = run.program.weights["fc1/weights"].copy()
    run.train(1)
    moved = (run.program.weights["fc1/weights"] != before).any(axis=1)
    stored = np.zeros(FEATURES, bool)
    stored[made["X"].indices] = True
    assert moved.any()
    assert not moved[~stored].any()
    for slot in run.program.slot_views(run.slots).values():
        assert not slot["fc1/weights"][~stored].any()


def test_lazy_adam_on_dense_rows_is_adam():
    one, other = (
        case(sources(), is_sparse=False, optimizer=optimizer)
        for optimizer in (LazyAdam(), Adam())
    )
    one.train(2)
    other.train(2)
    assert_same_bytes(one, other)


@pytest.mark.parametrize("rows", [False, True])
def test_lent_rows_are_checked_once(rows):
    """Full batches, the tail, all epochs and chunks read what was checked when lent."""
    made = sources(99)
    run = case(made, optimizer=Adagrad(), rows=rows, options={"batch_size": 16})
    before = _native.csr_checks()
    run.train(3, trainer=run.trainer())
    assert _native.csr_checks() - before == 1
    run.compiled.run("predict", {"X": made["X"]}, run.program, batch=16)
    assert _native.csr_checks() - before == 2


@pytest.mark.parametrize("width", [1, 3, 24, 20000])
def test_rows_of_any_width(width):
    made = sources(20, "f64", density=0.1)
    sizes = (FEATURES, width, CLASSES)
    runs = []
    for rows in (True, False):
        model = network("f64", Adagrad(), sparse=True, rows=rows, sizes=sizes)
        runs.append(Case(model, made, optimizer=Adagrad()))
        runs[-1].train(1)
    assert_same_bytes(*runs)


def test_a_frozen_parameter_keeps_its_rows():
    segments = [{"frozen": True}, {}, {}, {}]
    run = case(
        sources(), optimizer=LazyAdam(), rows=True, options={"segments": segments}
    )
    before = run.program.weights["fc1/weights"].copy()
    run.train(1)
    np.testing.assert_array_equal(run.program.weights["fc1/weights"], before)


def test_lbfgs_has_the_bytes_of_dense_rows():
    made = sources(1200, "f64")
    one, other = (case(made, is_sparse=is_sparse) for is_sparse in (True, False))
    results = [run.trainer().lbfgs(max_iter=7) for run in (one, other)]
    assert results[0] == results[1]
    assert_same_bytes(one, other)


def test_lbfgs_refuses_gradients_kept_as_rows():
    with pytest.raises(ValueError, match="L-BFGS needs whole gradients"):
        case(sources(), rows=True).trainer().lbfgs(max_iter=1)


@pytest.mark.parametrize("batch", [None, 1, 7, 64])
def test_chunks_of_a_run_have_the_bits_of_dense_rows(batch):
    made = sources(150)
    results = []
    for is_sparse in (True, False):
        run = case(made, is_sparse=is_sparse)
        results.append(
            run.compiled.run(
                "predict", run.sources, run.program, batch=batch, n_threads=2
            )
        )
    np.testing.assert_array_equal(*(result[0] for result in results))


def test_run_takes_rows_by_number():
    made = sources(40)
    run = case(made)
    (whole,) = run.compiled.run("predict", made, run.program)
    rows = np.array([7, 3, 3, 39])
    (some,) = run.compiled.run("predict", made, run.program, rows=rows)
    np.testing.assert_array_equal(some, whole[rows])


def test_the_loop_allocates_nothing():
    trainer = case(sources(), rows=True, optimizer=Adagrad()).trainer()
    before = trainer.info()["allocations"]
    trainer.epoch(0, 0, np.full(trainer.info()["steps"], 0.1))
    assert trainer.info()["allocations"] == before


def test_profile_times_rows_too():
    trainer = case(sources(), rows=True, optimizer=Adagrad()).trainer()
    launches = trainer.profile(steps=3)
    assert {"csr_matmul", "csr_transpose", "update"} <= {r["op"] for r in launches}
    run = case(sources())
    assert run.compiled.profile("predict", run.sources, run.program, rounds=2)


# What a source may be.

FORMS = {
    "csr_matrix": sparse.csr_matrix,
    "int64": lambda x: _with(x, indices=x.indices.astype("i8")),
    "int64 everywhere": lambda x: _with(
        x, indices=x.indices.astype("i8"), indptr=x.indptr.astype("i8")
    ),
    "float64": lambda x: x.astype("f8"),
    "read-only": lambda x: _frozen(x),
    "spare room": lambda x: _with(
        x, data=np.append(x.data, 9), indices=np.append(x.indices, 1)
    ),
}


def _with(x, **parts):
    made = x.copy()
    for name, part in parts.items():
        setattr(made, name, part)
    return made


def _frozen(x):
    for part in (x.data, x.indices, x.indptr):
        part.setflags(write=False)
    return x


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_a_matrix_that_are_read_in_place(form):
    made = sources()
    run = case(made)
    (want,) = run.compiled.run("predict", made, run.program)
    x = FORMS[form](made["X"].copy())
    assert dataset.as_source(x) is x
    (got,) = run.compiled.run("predict", {**made, "X": x}, run.program)
    np.testing.assert_array_equal(got, want)


def _shuffled(x):
    made = x.copy()
    for start, stop in zip(x.indptr[:-1], x.indptr[1:], strict=True):
        made.indices[start:stop] = x.indices[start:stop][::-1]
        made.data[start:stop] = x.data[start:stop][::-1]
    made.has_sorted_indices = made.has_canonical_format = False
    return made


def _twice(x):
    made = sparse.csr_array(
        (
            np.repeat(x.data / 2, 2),
            np.repeat(x.indices, 2),
            x.indptr * 2,
        ),
        shape=x.shape,
    )
    made.has_canonical_format = False
    return made


CONVERTED = {
    "unsorted": _shuffled,
    "duplicates": _twice,
    "csc": lambda x: x.tocsc(),
    "coo": lambda x: x.tocoo(),
    "strided": lambda x: _with(x, data=np.repeat(x.data, 2)[::2]),
    "byte order": lambda x: _with(x, data=x.data.astype(">f4")),
}


@pytest.mark.parametrize("form", CONVERTED)
def test_other_matrices_are_converted_in_a_copy(form):
    made = sources()
    run = case(made)
    (want,) = run.compiled.run("predict", made, run.program)
    x = CONVERTED[form](made["X"])
    kept = x.data.tobytes()
    source = dataset.as_source(x)
    (got,) = run.compiled.run("predict", {**made, "X": source}, run.program)
    np.testing.assert_array_equal(got, want)
    assert source is not x
    assert x.data.tobytes() == kept
    if form != "csc" and form != "coo":
        with pytest.raises(ValueError, match=r"as_source|sum_duplicates"):
            run.compiled.run("predict", {**made, "X": x}, run.program)


@pytest.mark.parametrize("kind", ["int8", "int64", "bool", "float64"])
def test_elements_become_floats(kind):
    x = sparse.csr_array(np.eye(3, dtype=kind))
    source = dataset.as_source(x)
    assert source.data.dtype == ("f8" if kind in ("int64", "float64") else "f4")
    np.testing.assert_array_equal(source.toarray(), np.eye(3))
    assert dataset.as_source(x, "f32").data.dtype == "f4"
    assert x.data.dtype == kind


BROKEN = {
    "a column too far": {"indices": lambda a: np.where(a == a[0], 50, a)},
    "a negative column": {"indices": lambda a: np.where(a == a[0], -1, a)},
    "a column of 32 bits and more": {
        "indices": lambda a: np.where(a == a[0], 2**40, a.astype("i8"))
    },
    "falling offsets": {"indptr": lambda a: np.where(np.arange(len(a)) == 4, 0, a)},
    "a negative offset": {"indptr": lambda a: np.where(np.arange(len(a)) == 0, -5, a)},
    "offsets past the end": {"indptr": lambda a: a + 1},
    "huge offsets": {"indptr": lambda a: a.astype("i8") * 2**40},
    "offsets missing": {"indptr": lambda a: a[:-1]},
    "offsets too many": {"indptr": lambda a: np.append(a, a[-1])},
    "no offsets": {"indptr": lambda a: a[:0]},
    "elements missing": {"data": lambda a: a[:-3]},
}


@pytest.mark.parametrize("where", ["native", "as_source"])
@pytest.mark.parametrize("what", BROKEN)
def test_broken_matrices_are_refused(what, where):
    made = sources()
    x = made["X"]
    broken = _with(x, **{k: f(getattr(x, k)) for k, f in BROKEN[what].items()})
    words = "indptr|columns|indices|column"
    with pytest.raises(ValueError, match=words):
        if where == "as_source":
            dataset.as_source(broken)
        else:
            run = case(made)
            run.compiled.run("predict", {**made, "X": broken}, run.program)


def test_matrices_of_no_rows_and_no_elements():
    made = sources()
    run = case(made)
    empty = {name: array[:0] for name, array in made.items()}
    (got,) = run.compiled.run("predict", empty, run.program)
    assert got.shape == (0, CLASSES)
    nothing = {**made, "X": sparse.csr_array(made["X"].shape, dtype="f4")}
    (got,) = run.compiled.run("predict", nothing, run.program)
    want = run.compiled.run("predict", nothing, run.program, rows=[0])[0]
    np.testing.assert_array_equal(got, np.tile(want, (len(got), 1)))
    for rows in (False, True):
        lone = case(nothing, rows=rows, optimizer=Adagrad())
        before = lone.program.weights["fc1/weights"].copy()
        lone.train(1)
        np.testing.assert_array_equal(lone.program.weights["fc1/weights"], before)


MISTAKES = {
    "source X is dense, needed are sparse rows": (True, lambda x: x.toarray()),
    "source X is a sparse matrix, needed is a dense array": (False, lambda x: x),
    r"shape \(100, 49\), needed is \(100, 50\)": (True, lambda x: x[:, :49]),
    "must be a NumPy array, a SciPy CSR matrix or dataset.Ragged": (
        True,
        lambda x: x.tocsc(),
    ),
    "its data is int32": (True, lambda x: _with(x, data=x.data.astype("i4"))),
    "sources differ in rows": (True, lambda x: x[:9]),
}


@pytest.mark.parametrize("message", MISTAKES)
def test_mistakes_are_named(message):
    is_sparse, change = MISTAKES[message]
    made = sources()
    run = case(made, is_sparse=is_sparse)
    x = change(made["X"])
    with pytest.raises((ValueError, TypeError), match=message):
        run.compiled.run("score", {**made, "X": x}, run.program)


def test_bad_labels_and_numbers_are_explained():
    made = sources()
    labels = made["y"].copy()
    labels[37] = 9
    run = case({**made, "y": labels})
    with pytest.raises(ValueError, match=r"sparse_softmax_cross_entropy .*label"):
        run.train(1)
    made["X"].data[30] = np.inf
    run = case(made)
    with pytest.raises(ValueError, match=r"csr_matmul|relu|input X"):
        run.train(1)


def test_a_matrix_in_files_is_read_in_place(tmp_path):
    made = sources()
    run = case(made)
    (want,) = run.compiled.run("predict", made, run.program)
    parts = []
    for name in ("data", "indices", "indptr"):
        np.save(tmp_path / name, getattr(made["X"], name))
        parts.append(np.load(tmp_path / f"{name}.npy", mmap_mode="r"))
    x = sparse.csr_matrix(tuple(parts), shape=made["X"].shape)
    source = dataset.as_source(x)
    assert np.shares_memory(source.data, parts[0])
    (got,) = run.compiled.run("predict", {**made, "X": source}, run.program)
    np.testing.assert_array_equal(got, want)
