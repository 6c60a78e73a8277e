"""Arrays on a GPU as X: read where they lie, by fit and by what predicts."""

import gc
import pickle
import sys
import weakref
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import sklearn
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from support.cuda import CUDA
from support.either_cupy import cupy

from slimlearn import (
    ConvNetClassifier,
    DNNClassifier,
    DNNRegressor,
    LayerTransformer,
    LinearClassifier,
    LinearRegressor,
    NetworkClassifier,
    layers,
)
from slimlearn.backend.resident import Resident, resident_of
from slimlearn.estimators import handle
from slimlearn.estimators.arrays import Home, room_in

pytestmark = pytest.mark.usefixtures("with_cupy")

X, Y = load_digits(return_X_y=True)
X, Y = X[:210, 10:20].astype(np.float32), Y[:210] % 3


class Interface:
    """An array that has no way to the host."""

    def __init__(self, values):
        self.array = cupy.asarray(values) if isinstance(values, np.ndarray) else values

    @property
    def __cuda_array_interface__(self):
        return self.array.__cuda_array_interface__


class Dlpack:
    """Likewise, and known by DLPack alone."""

    def __init__(self, values, number=0):
        self.array, self.number = Interface(values).array, number

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()[0], self.number

    def __dlpack__(self, *, stream=None, dl_device=None, **others):
        if dl_device is not None:
            raise BufferError("no copy for the host")
        return self.array.__dlpack__(stream=stream)


def classifier(**options):
    options = {"max_iter": 3, "batch_size": 64, "random_state": 0, **options}
    return DNNClassifier((8,), device=CUDA, **options)


def same(there, here, rows, way=Interface):
    """That two fits gave the same weights, and that one predicts in place."""
    assert there.program_.params.tobytes() == here.program_.params.tobytes()
    for name in ("predict_proba", "predict", "decision_function"):
        if hasattr(here, name):
            found, want = getattr(there, name)(way(rows)), getattr(here, name)(rows)
            assert type(found) is np.ndarray
            np.testing.assert_array_equal(found, want)


# -- one array -------------------------------------------------------------------------


@pytest.mark.parametrize("way", [Interface, Dlpack])
def test_fit_and_predict_read_in_place(way):
    here = classifier().fit(X, Y)
    there = classifier().fit(way(X), Y)
    assert there.n_features_in_ == 10
    same(there, here, X, way)
    np.testing.assert_array_equal(
        there.activations(way(X), layer="fc1"), here.activations(X, layer="fc1")
    )
    assert any("fc1" in row["name"] for row in there.profile(way(X), Y, steps=1))


@pytest.mark.skipif(CUDA != "cuda", reason="there is no GPU that PyTorch knows")
def test_tensors_of_pytorch_are_read_in_place():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    here, rows = classifier().fit(X, Y), torch.tensor(X, device="cuda")
    found = resident_of(rows, CUDA)
    assert found is not None and found.pointer == rows.data_ptr()
    with torch.cuda.stream(torch.cuda.Stream()):
        same(classifier().fit(rows * 1, Y), here, X, lambda _: rows * 1)
    with sklearn.config_context(array_api_dispatch=True):
        clf = classifier().fit(rows, Y)
        assert clf.predict_proba(rows).device == rows.device
        assert clf.predict(rows).tolist() == here.predict(X).tolist()


LAYOUTS = {
    "every second row": lambda a: a[::2],
    "columns": lambda a: a[:, 2:],
    "part, backwards": lambda a: a[90:3:-3, 1:8:2],
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_rows_of_any_strides(layout):
    view = LAYOUTS[layout]
    rows, there = view(X), Interface(cupy.asarray(X))
    there.array = view(there.array)
    y = Y[: len(rows)]
    fitted, here = classifier().fit(there, y), classifier().fit(rows.copy(), y)
    same(fitted, here, rows.copy(), lambda _: there)


@pytest.mark.parametrize("dtype", ["f8", "f2", "u4", "?"])
def test_numbers_of_any_type(dtype):
    rows = (X > 7 if dtype == "?" else X).astype(dtype)
    here = classifier(precision="float32").fit(rows, Y)
    there = classifier(precision="float32").fit(Interface(rows), Y)
    same(there, here, rows)


def test_halves_are_the_numbers_that_they_are():
    """All of them, small ones and those that are not finite."""
    bits = np.arange(2**16, dtype=np.uint16).view(np.float16).reshape(-1, 16)
    there = resident_of(Interface(bits), CUDA)
    with np.errstate(over="ignore", invalid="ignore"):
        np.testing.assert_array_equal(there.astype("f4"), bits.astype("f4"))
        assert not there.is_finite
    finite = bits[np.isfinite(bits).all(axis=1)]
    there = resident_of(Interface(finite), CUDA)
    assert there.is_finite and there.range == (-65504.0, 65504.0)
    np.testing.assert_array_equal(there[[5, 0, 5]], finite[[5, 0, 5]])


def test_what_is_not_read_in_place():
    lies = cupy.asarray(X)
    assert resident_of(lies, CUDA) is not None
    assert resident_of(lies, "cpu") is None
    assert resident_of(Dlpack(lies, number=1), CUDA) is None
    for values in (X[:0], X.astype("c8")):
        assert resident_of(Interface(values), CUDA) is None

    class Odd(Interface):
        @property
        def __cuda_array_interface__(self):
            pointer = self.array.data.ptr + 2
            return {**super().__cuda_array_interface__, "data": (pointer, True)}

    class Masked(Interface):
        @property
        def __cuda_array_interface__(self):
            return {**super().__cuda_array_interface__, "mask": self}

    for kind in (Odd, Masked):
        assert resident_of(kind(lies), CUDA) is None
        with pytest.raises(TypeError, match="cannot be copied from there"):
            classifier().fit(kind(lies), Y)


def test_the_array_lives_as_long_as_it_is_read():
    for way in (Interface, Dlpack):
        array = way(X)
        alive = weakref.ref(array.array)
        there = resident_of(array, CUDA)
        del array
        gc.collect()
        assert alive() is not None
        half = there[::2]
        del there
        np.testing.assert_array_equal(half, X[::2])
        del half
        gc.collect()
        assert alive() is None


def test_what_makes_the_array_is_waited_for():
    """On whatever stream it is under way when fit is called."""
    here = classifier().fit(X, Y)
    with cupy.cuda.Stream():
        for way in (Interface, Dlpack):
            rows = cupy.empty(X.shape, np.float32)
            cupy.copyto(rows, cupy.asarray(X))
            same(classifier().fit(way(rows), Y), here, X)


# -- a whole fit -----------------------------------------------------------------------


def weights():
    return np.random.RandomState(0).randint(0, 3, len(Y)).astype(float)


@pytest.mark.parametrize(
    "options",
    [
        {"early_stopping": True},
        {"early_stopping": True, "scoring": "accuracy"},
        {"accumulate": 2, "batch_size": 20, "shuffle": False},
    ],
    ids=str,
)
def test_what_else_reads_the_rows(options):
    here = classifier(**options).fit(X, Y, weights())
    there = classifier(**options).fit(
        Interface(X), cupy.asarray(Y), cupy.asarray(weights())
    )
    assert there.validation_loss_curve_ == here.validation_loss_curve_
    assert there.validation_scores_ == here.validation_scores_
    same(there, here, X)


def test_held_out_rows_lie_there_or_on_the_host():
    words = np.array(["a", "b", "c"])[Y]
    here = classifier().fit(X, words, X_val=X[:9], y_val=words[:9])
    for held in (Interface(X[:9]), X[:9]):
        there = classifier().fit(Interface(X), words, X_val=held, y_val=words[:9])
        assert there.validation_loss_curve_ == here.validation_loss_curve_
        same(there, here, X)
    frame = pd.Series(words)
    same(classifier().fit(Interface(X), frame), here, X)
    with pytest.warns(UserWarning, match="X_val lies far from X"):
        classifier().fit(Interface(X), Y, X_val=Interface(X + 1e4), y_val=Y)


@pytest.mark.parametrize("kind", [LinearClassifier, LinearRegressor])
def test_all_rows_at_once(kind):
    """L-BFGS, whose columns are measured on the host, some rows at a time."""
    rows = X.astype(np.float64)[:, X.std(axis=0) > 0]
    here = kind(device=CUDA, max_iter=20).fit(rows, Y, weights())
    there = kind(device=CUDA, max_iter=20).fit(Interface(rows), Y, weights())
    np.testing.assert_array_equal(there.coef_, here.coef_)
    same(there, here, rows)


def test_in_pieces():
    here, there = classifier(), classifier()
    for part in (slice(0, 90), slice(90, 210)):
        here.partial_fit(X[part], Y[part], [0, 1, 2])
        there.partial_fit(Interface(X[part]), Y[part], [0, 1, 2])
    same(there, here, X)
    chunks = [(X[:90], Y[:90]), (X[90:], Y[90:])]
    here = classifier().fit_chunks(chunks)
    there = classifier().fit_chunks([(Interface(rows), y) for rows, y in chunks])
    same(there, here, X)


def test_features_regression_and_own_networks():
    features = LayerTransformer(classifier())
    here, there = clone(features).fit(X, Y), clone(features).fit(Interface(X), Y)
    np.testing.assert_allclose(there.transform(Interface(X)), here.transform(X))
    options = {"device": CUDA, "max_iter": 3, "random_state": 0}
    here = DNNRegressor((8,), **options).fit(X, np.c_[Y, -Y])
    there = DNNRegressor((8,), **options).fit(Interface(X), cupy.asarray(np.c_[Y, -Y]))
    same(there, here, X)
    found = there.saliency(Interface(X), output=1)
    np.testing.assert_allclose(found, here.saliency(X, output=1), rtol=1e-5, atol=1e-6)

    def parted(x):
        with layers.device("cpu"):
            x = layers.fully_connected(x, 4, scope="here")
        return layers.fully_connected(x, 4, scope="there")

    here = NetworkClassifier(parted, **options).fit(X, Y)
    there = NetworkClassifier(parted, **options).fit(Interface(X), Y)
    same(there, here, X)  # run by the host, which is given a copy


@pytest.mark.parametrize("dtype", ["u1", "f4"])
def test_images_are_read_in_place(dtype):
    images = load_digits().images[:80].astype(dtype)
    images = images if dtype == "u1" else images / 16 + 0.1
    options = {"filters": (2,), "max_iter": 1, "random_state": 0, "device": CUDA}
    here = ConvNetClassifier(**options, early_stopping=True).fit(images, Y[:80])
    there = clone(here).fit(Interface(images), Y[:80])
    assert there.validation_loss_curve_ == here.validation_loss_curve_
    same(there, here, images)
    same(there, here, images[..., None])
    if dtype == "f4":
        with pytest.warns(UserWarning, match="X has numbers from 10 to"):
            there.predict(Interface(images * 100))
        with pytest.raises(ValueError, match="int32 up to 17, but ConvNetClassifier"):
            there.predict(Interface((images * 16).astype("i4")))
    else:  # numbers of another type are made bytes by the host
        found = there.predict_proba(cupy.asarray(images.astype("f8")))
        np.testing.assert_array_equal(found, here.predict_proba(images))


def test_sparse_networks_read_dense_rows_of_the_gpu():
    here = classifier().fit(csr_array(X), Y)
    np.testing.assert_allclose(
        here.predict_proba(Interface(X)), here.predict_proba(X), rtol=1e-6
    )


# -- the way over the host -------------------------------------------------------------


def test_elsewhere_arrays_come_through_the_host(monkeypatch):
    lies = cupy.asarray(X)
    here = DNNClassifier((8,), max_iter=3, batch_size=64, random_state=0)
    want = clone(here).fit(X, Y)
    assert clone(here).fit(lies, Y).loss_ == want.loss_
    there = classifier().fit(lies, Y)
    moved = pickle.loads(pickle.dumps(there)).set_params(device="cpu")
    near = {"rtol": 2e-3, "atol": 2e-3}
    for est in (there, moved):
        np.testing.assert_allclose(
            est.predict_proba(lies), want.predict_proba(X), **near
        )
    with pytest.raises(
        ValueError, match=r"several GPUs, X on cuda:0 and y on cuda:1: move"
    ):
        classifier().fit(lies, Dlpack(Y, number=1))


def test_errors_are_those_of_numbers():
    bad, clf = X.copy(), classifier().fit(Interface(X), Y)
    bad[7, 1] = np.nan
    there = Interface(bad)
    for call in (lambda: classifier().fit(there, Y), lambda: clf.predict(there)):
        with pytest.raises(ValueError, match=r"NaN in columns \[1\]"):
            call()
    with pytest.raises(ValueError, match="expecting 10 features"):
        clf.predict(Interface(X[:, :4]))
    with pytest.raises(ValueError, match=r"inconsistent numbers of samples: \[210, 7"):
        clf.fit(Interface(X), Y[:7])
    with pytest.raises(ValueError, match="Expected 2D array, got 1D array"):
        clf.predict(Interface(X[0]))
    with pytest.raises(ValueError, match=r"0 sample\(s\)"):
        clf.predict(cupy.asarray(X[:0]))
    large = X.astype(np.float64)
    large[3, 2] = 1e300
    with pytest.raises(ValueError, match=r"too large for float32, in columns \[2\]"):
        classifier(precision="float32").fit(Interface(large), Y)
    told = r"epoch 1, step 2: \[matmul logits/matmul\] is the first value"
    with pytest.raises(ValueError, match=told):
        classifier(optimizer="sgd", learning_rate=1e30).fit(Interface(X), Y)


# -- arrays out ------------------------------------------------------------------------


@pytest.fixture
def dispatch(monkeypatch):
    """Scikit-learn's dispatch, and CuPy's arrays, of which none is read by the host."""
    if CUDA != "cuda":  # scikit-learn knows CuPy's arrays, not those of a fake
        monkeypatch.delitem(sys.modules, "cupy")
    with sklearn.config_context(array_api_dispatch=True):
        yield


@pytest.fixture
def no_way_to_the_host(monkeypatch):
    def refuse(*args):
        raise AssertionError("results go through the host")

    def forbid():
        monkeypatch.setattr(Home, "give", _as_it_is)
        monkeypatch.setattr(Resident, "__array__", refuse)
        if CUDA != "cuda":  # an attribute of a type that is compiled
            monkeypatch.setattr(cupy.ndarray, "get", refuse)

    return forbid, monkeypatch.undo


def _as_it_is(home, values):
    """Of `Home.give`: what came to the host is told apart from what stayed."""
    parts = values if isinstance(values, (tuple, list)) else [values]
    assert all(type(part) is cupy.ndarray for part in parts)
    return values


def test_results_are_arrays_of_the_library(dispatch):
    want = classifier().fit(X, Y)
    rows, y = cupy.asarray(X), cupy.asarray(Y)
    clf = classifier(early_stopping=True, scoring="accuracy").fit(rows, y)
    assert len(clf.validation_scores_)
    clf = classifier().fit(rows, y)
    for name in ("predict", "predict_proba", "predict_log_proba", "activations"):
        found = getattr(clf, name)(rows)
        assert type(found) is cupy.ndarray
        np.testing.assert_allclose(
            found.get(), getattr(want, name)(X), rtol=1e-6, atol=1e-7
        )
    if CUDA == "cuda":  # by scikit-learn's metrics, which ask CuPy for more
        assert clf.score(rows, y) == want.score(X, Y)
    with pytest.raises(ValueError, match="must use the same namespace"):
        clf.predict(X)


SEVERAL = np.c_[Y, Y > 0]
QUANTILES = {"loss": "quantile", "quantile": (0.9, 0.1, 0.5)}
FINISHED = {
    "two classes": (DNNClassifier, {}, Y > 0, ["predict", "predict_proba"]),
    "classes": (DNNClassifier, {}, Y + 5, ["predict", "predict_proba", "activations"]),
    "decisions": (DNNClassifier, {}, Y, ["decision_function"]),
    "in order": (DNNClassifier, {"loss": "ordinal"}, Y, ["predict", "predict_proba"]),
    "labels": (DNNClassifier, {}, SEVERAL % 2, ["predict", "predict_proba"]),
    "outputs": (DNNClassifier, {}, SEVERAL, ["predict_proba"]),
    "numbers": (DNNRegressor, {}, SEVERAL * 3.0 + 1, ["predict"]),
    "one number": (DNNRegressor, {}, Y * 3.0 + 1, ["predict"]),
    "counts": (DNNRegressor, {"loss": "poisson"}, Y, ["predict"]),
    "quantiles": (DNNRegressor, QUANTILES, Y, ["predict", "predict_quantiles"]),
    "quantiles of two": (DNNRegressor, QUANTILES, SEVERAL, ["predict_quantiles"]),
}


@pytest.mark.parametrize("case", FINISHED)
@pytest.mark.parametrize("count", [210, 1])
def test_results_stay_where_x_lies(case, count, dispatch, no_way_to_the_host):
    kind, own, y, methods = FINISHED[case]
    options = {"max_iter": 3, "batch_size": 64, "random_state": 0, "device": CUDA}
    here = kind((8,), **options, **own).fit(X, y)
    there = clone(here).fit(cupy.asarray(X), cupy.asarray(y))
    rows = cupy.asarray(X[:count])
    forbid, allow = no_way_to_the_host
    forbid()
    found = [getattr(there, name)(rows) for name in methods]
    allow()
    for name, values in zip(methods, found):
        want = getattr(here, name)(X[:count])
        for one, like in zip(*map(_listed, (values, want)), strict=True):
            assert type(one) is cupy.ndarray
            assert one.dtype == like.dtype
            # CuPy's exp is not NumPy's.
            np.testing.assert_allclose(one.get(), like, rtol=1e-14)


def _listed(values):
    return values if isinstance(values, list) else [values]


def test_results_in_pieces(dispatch, no_way_to_the_host, monkeypatch):
    """Of a few rows at a time, of which labels are made, and one behind the other."""
    here = classifier().fit(X, Y)
    there = classifier().fit(cupy.asarray(X), cupy.asarray(Y))
    features = LayerTransformer(classifier()).fit(cupy.asarray(X), cupy.asarray(Y))
    monkeypatch.setattr(handle, "NUMBERS", 3 * 64)
    rows = cupy.asarray(X)
    forbid, allow = no_way_to_the_host
    forbid()
    labels, values = there.predict(rows), features.transform(rows)
    allow()
    np.testing.assert_array_equal(labels.get(), here.predict(X))
    np.testing.assert_array_equal(values.get(), here.activations(X))


def test_words_are_looked_up_by_the_host(dispatch):
    words = np.array(["a", "b", "c"])[Y]
    here = classifier().fit(X, words)
    there = classifier().fit(cupy.asarray(X), words)
    found = there.predict(cupy.asarray(X))
    assert type(found) is np.ndarray
    np.testing.assert_array_equal(found, here.predict(X))


def test_what_nobody_may_write_to_is_made_of_the_host_s(dispatch, monkeypatch):
    here = classifier().fit(X, Y)
    there = classifier().fit(cupy.asarray(X), cupy.asarray(Y))
    assert room_in(None, CUDA) is None

    class Constant:
        def __setitem__(self, key, value):
            raise TypeError("arrays are immutable")

    constants = SimpleNamespace(empty=lambda size, device: Constant())
    assert room_in(Home(constants, "gpu"), CUDA) is None
    monkeypatch.setattr(handle, "room_in", lambda home, device: None)
    found = there.predict_proba(cupy.asarray(X))
    assert type(found) is cupy.ndarray
    np.testing.assert_array_equal(found.get(), here.predict_proba(X))


def test_a_search_slices_the_array():
    grid = GridSearchCV(classifier(), {"hidden_units": [(4,), (8,)]}, cv=2)
    here = clone(grid).fit(X, Y)
    there = clone(grid).fit(cupy.asarray(X), Y)
    np.testing.assert_array_equal(
        there.cv_results_["mean_test_score"], here.cv_results_["mean_test_score"]
    )
