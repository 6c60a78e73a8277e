"""Sparse rows on a GPU, or by its kernels on the host."""

import numpy as np
import pytest
from scipy import sparse
from support.cuda import CUDA
from support.op_cases import CASES
from support.training_case import CLASSES, Case, network
from test_cuda_training import TOLERANCE, assert_near
from test_sparse import sources

from slimlearn import LinearClassifier, NetworkClassifier, layers
from slimlearn.backend import engine, ops
from slimlearn.backend.graph import Model
from slimlearn.backend.optimizer import SGD, Adagrad, Ftrl, LazyAdam
from slimlearn.backend.program import Program
from slimlearn.backend.shape import B
from slimlearn.backend.text import print_program


def twins(made, precision, *, optimizer=None, options=None, **network_options):
    """The same training of sparse rows there and on the CPU."""
    sizes = (made["X"].shape[1], 12, CLASSES)
    model = network(precision, optimizer, sparse=True, sizes=sizes, **network_options)
    there, here = (
        Case(model, made, optimizer=optimizer, **(options or {})) for _ in range(2)
    )
    there.compiled = engine.compile(there.program.text, device=CUDA)
    return there, here


def train_alike(made, precision, epochs=2, **how):
    there, here = twins(made, precision, **how)
    losses = there.train(epochs)
    np.testing.assert_allclose(losses, here.train(epochs), TOLERANCE[precision])
    assert_near(there, here, precision)
    return there


@pytest.mark.parametrize("rows, features", [(16, 5), (45, 50), (33, 3000)])
@pytest.mark.usefixtures("step_way")
def test_sparse_rows_train_alike(rows, features):
    density = min(0.2, 20 / features)
    made = sources(rows, "f64", density=max(density, 1e-3), features=features)
    train_alike(made, "f64", optimizer=SGD(momentum=0.9))


@pytest.mark.parametrize("columns, offsets", [("i4", "i8"), ("i8", "i4"), ("i8", "i8")])
def test_any_type_of_index_and_value_in_any_order(columns, offsets):
    made = sources(40, "f64", features=30)
    X = made["X"]
    train_alike(
        {**made, "X": X.astype("f4")}, "f64", options={"index": np.arange(39, 4, -1)}
    )
    # A view of some of the rows: its first stored element is not number 0.
    part = sparse.csr_array(X[:30])
    part.indices, part.indptr = part.indices.astype(columns), X.indptr.astype(offsets)
    part.indptr = part.indptr[6:31]
    whole = sparse.csr_array((24, 30))
    whole.data, whole.indices, whole.indptr = (
        X.data,
        X.indices.astype(columns),
        part.indptr,
    )
    few = {name: array[6:30] for name, array in made.items() if name != "X"}
    train_alike({**few, "X": whole}, "f64")


def product(a, w):
    """The transpose of a by w, on the device."""
    model = Model("f32")
    with model.function("f") as graph:
        x = ops.input_("x", (B, a.shape[1]), "csr f32")
        slopes = ops.input_("w", (B, w.shape[1]), "f32")
        graph.return_(
            ops.csr_matmul(ops.csr_transpose(x), slopes),
            ops.csr_matmul(x, ops.csr_matmul(ops.csr_transpose(x), slopes)),
        )
    text = print_program(model)
    run = engine.compile(text, device=CUDA).run
    return run("f", {"x": a, "w": w}, Program(text, model=model))


@pytest.mark.parametrize("features, n", [(3, 1), (300, 40), (70_000, 3)])
def test_a_transpose_of_many_elements(features, n):
    """More than a block sorts at once; columns that all rows have and that none has."""
    rng = np.random.default_rng(features)
    a = sparse.random_array(
        (700, features), density=min(0.5, 60 / features), rng=rng, dtype=np.float32
    ).tolil()
    a[:, features // 2] = 1
    a = sparse.csr_array(a)
    w = rng.standard_normal((700, n)).astype(np.float32)
    first, again = product(a, w), product(a, w)
    want = a.T.astype(float) @ w
    np.testing.assert_allclose(first[0], want, 0, 1e-4)
    np.testing.assert_allclose(first[1], a @ want, 0, 5e-3)
    for one, other in zip(first, again, strict=True):
        assert one.tobytes() == other.tobytes()


def test_a_row_has_the_same_bits_wherever_it_stands():
    case = CASES["csr_matmul"][-1]
    made = case.sources("f32", 40)
    model = case.model("f32")
    compiled = engine.compile(print_program(model), device=CUDA)
    program = Program(print_program(model), model=model)
    [whole] = compiled.run("f", made, program)
    for rows in ([39, 3, 17], [3]):
        few = {**made, "x": made["x"][rows]}
        [part] = compiled.run("f", few, program)
        np.testing.assert_array_equal(part, whole[rows])


def test_an_estimator_of_sparse_x():
    made = sources(60, "f32")
    there, here = (
        LinearClassifier(optimizer="adam", max_iter=3, random_state=0, device=device)
        for device in (CUDA, "cpu")
    )
    for fitted in (there, here):
        fitted.fit(made["X"], made["y"])
    near = {"rtol": 1e-3, "atol": 1e-4}
    np.testing.assert_allclose(there.loss_curve_, here.loss_curve_, **near)
    raw = [e.predict_proba(made["X"]) for e in (there, here)]
    np.testing.assert_allclose(*raw, **near)


OPTIMIZERS = {
    "sgd": SGD(momentum=0.0),
    "adagrad": Adagrad(),
    "ftrl": Ftrl(l1=0.01, l2=0.1),
    "lazy_adam": LazyAdam(),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_gradients_kept_as_rows(name):
    made = sources(45, "f64", features=300)
    train_alike(made, "f64", optimizer=OPTIMIZERS[name], rows=True)


@pytest.mark.usefixtures("step_way")
def test_rows_that_are_clipped_and_penalised():
    made = sources(45, "f64", features=300)
    options = {"clip_norm": 0.05, "segments": [{"l2": 1e-2}] * 4}
    train_alike(
        made,
        "f64",
        optimizer=SGD(momentum=0.0),
        rows=True,
        clip=True,
        l2=True,
        options=options,
    )


@pytest.mark.usefixtures("step_way")
def test_a_refused_step_of_rows_changes_nothing():
    made = sources(64, "f64")
    made["X"].data[-3] = np.inf
    there, here = twins(made, "f64", optimizer=LazyAdam(), rows=True)
    for one in (there, here):
        with pytest.raises(Exception, match=r"NaN|not finite|nan"):
            one.train(1)
    assert_near(there, here, "f64")


@pytest.mark.parametrize("optimizer", ["adagrad", "lazy_adam"])
def test_an_embedding_trains_alike(optimizer):
    rng = np.random.default_rng(0)
    X, y = rng.integers(0, 500, (80, 6)), rng.integers(0, 2, 80)

    def net(x, num_outputs):
        x = layers.embedding(x, 500, 4)
        return layers.linear(ops.reduce_mean(x, axis=(1,)), num_outputs)

    there, here = (
        NetworkClassifier(
            net, max_iter=2, optimizer=optimizer, random_state=0, device=device
        ).fit(X, y)
        for device in (CUDA, "cpu")
    )
    assert "rows" in there.program_.text
    for name, array in here.program_.weights.items():
        np.testing.assert_allclose(
            there.program_.weights[name], array, 1e-4, 1e-5, err_msg=name
        )
