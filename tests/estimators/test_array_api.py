"""Arrays of other libraries: in one library and device, out in the same ones."""

import copy
import pickle

import array_api_strict
import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.utils import _array_api

from slimlearn import layers
from slimlearn.estimators import (
    DNNClassifier,
    DNNRegressor,
    LayerTransformer,
    LinearClassifier,
    LinearRegressor,
    NetworkClassifier,
    NetworkRegressor,
    arrays,
    network,
)

RNG = np.random.RandomState(0)
X = RNG.normal(size=(60, 3))
Y = (X[:, 0] + X[:, 1] > 0).astype(int)
WEIGHTS = RNG.randint(0, 3, 60)
THREE = np.arange(60) % 3


class Strict:
    """array-api-strict on one of its devices, which refuses np.asarray but on one."""

    def __init__(self, name):
        self.xp, self.device = array_api_strict, array_api_strict.Device(name)

    def asarray(self, values):
        return self.xp.asarray(values, device=self.device)


class Torch:
    """PyTorch on the CPU."""

    device = "cpu"

    @property
    def xp(self):
        return pytest.importorskip("torch", reason="PyTorch is not installed")

    def asarray(self, values):
        return self.xp.asarray(values)


LIBRARIES = {
    "strict": Strict("CPU_DEVICE"),
    "strict-device1": Strict("device1"),
    "torch": Torch(),
}


@pytest.fixture
def dispatch():
    """Scikit-learn's array API dispatch, or a skip where it lacks what it needs."""
    try:
        with sklearn.config_context(array_api_dispatch=True):
            yield
    except ImportError as error:
        pytest.skip(f"this scikit-learn has no array API here: {error}")


@pytest.fixture(params=LIBRARIES)
def library(request, dispatch):
    return LIBRARIES[request.param]


@network
def tower(x, units=(4,)):
    return layers.stack(x, layers.fully_connected, units)


ESTIMATORS = [
    DNNClassifier((4,)),
    DNNRegressor((4,)),
    LinearClassifier(optimizer="adam"),
    LinearRegressor(optimizer="adam"),
    NetworkClassifier(tower()),
    NetworkRegressor(tower()),
]
METHODS = ("predict", "predict_proba", "predict_log_proba", "decision_function")


def same(library, array, expected):
    """That `array` is the library's, on the device, of the type and the values."""
    assert type(array) is type(library.asarray(np.zeros(1)))
    assert str(array.device) == str(library.device)
    assert str(array.dtype).rpartition(".")[2] == expected.dtype.name
    back = array
    if isinstance(library, Strict):
        back = library.xp.asarray(array, device=library.xp.Device("CPU_DEVICE"))
    np.testing.assert_array_equal(np.asarray(back), expected)


def as_list(classes):
    return classes if isinstance(classes, list) else [classes]


def results(est, rows):
    """What all methods of an estimator return for some rows, by name."""
    found = {name: getattr(est, name)(rows) for name in METHODS if hasattr(est, name)}
    if len(est.coefs_) > 1:
        found["activations"] = est.activations(rows)
    return found


@pytest.mark.parametrize("est", ESTIMATORS, ids=lambda est: type(est).__name__)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_in_and_out_in_one_library(library, est, dtype):
    rows = X.astype(dtype)
    est = clone(est).set_params(max_iter=3, random_state=0)
    held = {"X_val": rows[:9], "y_val": Y[:9], "sample_weight_val": WEIGHTS[:9] + 1}
    plain = clone(est).fit(rows, Y, WEIGHTS, **held)
    ours = clone(est).fit(
        library.asarray(rows),
        library.asarray(Y),
        library.asarray(WEIGHTS),
        **{name: library.asarray(values) for name, values in held.items()},
    )
    assert ours.program_.params.tobytes() == plain.program_.params.tobytes()
    assert ours.validation_loss_curve_ == plain.validation_loss_curve_
    expected = results(plain, rows)
    for name, values in results(ours, library.asarray(rows)).items():
        same(library, values, expected[name])
    score = ours.score(library.asarray(rows), library.asarray(Y))
    assert type(score) is float and score == pytest.approx(plain.score(rows, Y))


def test_in_pieces(library):
    plain = DNNClassifier((4,), random_state=0)
    clf = clone(plain)
    for part in (slice(0, 30), slice(30, 60)):
        plain.partial_fit(X[part], Y[part], [0, 1], WEIGHTS[part])
        clf.partial_fit(
            library.asarray(X[part]),
            library.asarray(Y[part]),
            library.asarray(np.array([0, 1])),
            library.asarray(WEIGHTS[part]),
        )
    same(library, clf.predict_proba(library.asarray(X)), plain.predict_proba(X))
    chunks = [(X[:30], Y[:30], WEIGHTS[:30]), (X[30:], Y[30:], WEIGHTS[30:])]
    plain.fit_chunks(chunks, classes=[0, 1])
    clf.fit_chunks(
        [[library.asarray(values) for values in chunk] for chunk in chunks],
        classes=library.asarray(np.array([0, 1])),
    )
    same(library, clf.predict_proba(library.asarray(X)), plain.predict_proba(X))
    profile = clf.profile(library.asarray(X), library.asarray(Y), steps=1)
    assert any("fc1" in row["name"] for row in profile)


def test_quantiles(library):
    reg = LinearRegressor(loss="quantile", quantile=(0.1, 0.9), optimizer="adam")
    plain = clone(reg).set_params(random_state=0).fit(X, X[:, 0])
    reg.set_params(random_state=0).fit(library.asarray(X), library.asarray(X[:, 0]))
    ours = reg.predict_quantiles(library.asarray(X))
    same(library, ours, plain.predict_quantiles(X))


def test_labels_and_outputs_of_every_kind(library):
    several = np.c_[Y, X[:, 2] > 0].astype(int)
    outputs = np.c_[Y, THREE]
    for y in (THREE, Y > 0, several, outputs):
        plain = DNNClassifier((4,), max_iter=2, random_state=0).fit(X, y)
        ours = clone(plain).fit(library.asarray(X), library.asarray(y))
        same(library, ours.predict(library.asarray(X)), plain.predict(X))
        for labels, known in zip(as_list(ours.classes_), as_list(plain.classes_)):
            same(library, labels, known)
        score = ours.score(
            library.asarray(X), library.asarray(y), library.asarray(WEIGHTS)
        )
        assert score == pytest.approx(plain.score(X, y, WEIGHTS))
    for part, expected in zip(
        ours.predict_proba(library.asarray(X)), plain.predict_proba(X), strict=True
    ):
        same(library, part, expected)
    for y in (X[:, :2], X[:, :1]):
        plain = LinearRegressor().fit(X, y)
        ours = LinearRegressor().fit(library.asarray(X), library.asarray(y))
        same(library, ours.predict(library.asarray(X)), plain.predict(X))


def test_words_stay_numpy_s(library):
    words = np.array(["no", "yes"])[Y]
    plain = DNNClassifier((4,), max_iter=2, random_state=0).fit(X, words)
    ours = clone(plain).fit(library.asarray(X), words)
    predicted = ours.predict(library.asarray(X))
    assert type(predicted) is type(ours.classes_) is np.ndarray
    np.testing.assert_array_equal(predicted, plain.predict(X))
    assert ours.score(library.asarray(X), words) == plain.score(X, words)
    same(library, ours.predict_proba(library.asarray(X)), plain.predict_proba(X))


def test_targets_of_another_library(library):
    plain = DNNClassifier((4,), max_iter=2, random_state=0).fit(X, Y, WEIGHTS)
    for y in (Y, array_api_strict.asarray(Y)):
        ours = clone(plain).fit(library.asarray(X), y, WEIGHTS)
        same(library, ours.predict_proba(library.asarray(X)), plain.predict_proba(X))


def test_errors_are_those_of_numbers(library):
    bad = X.copy()
    bad[3, 1] = np.nan
    clf = DNNClassifier((4,), max_iter=1).fit(library.asarray(X), library.asarray(Y))
    with pytest.raises(ValueError, match=r"NaN in columns \[1\]"):
        clf.predict(library.asarray(bad))
    with pytest.raises(ValueError, match="expecting 3 features"):
        clf.predict(library.asarray(X[:, :2]))
    with pytest.raises(ValueError, match="inconsistent"):
        clf.fit(library.asarray(X), library.asarray(Y[:7]))


# -- one library in fit and predict ------------------------------


def test_predict_takes_what_fit_took(library):
    rows = library.asarray(X)
    plain = DNNClassifier((4,), max_iter=2, random_state=0).fit(X, Y)
    ours = clone(plain).fit(rows, library.asarray(Y))
    for name in (*METHODS, "activations"):
        told = rf"DNNClassifier\.{name}\(\) must use the same namespace"
        for given in (X, X[:1]):
            with pytest.raises(ValueError, match=told):
                getattr(ours, name)(given)
        with pytest.raises(ValueError, match=f"{told}.*numpy on cpu"):
            getattr(plain, name)(rows)
    for twin in (pickle.loads(pickle.dumps(ours)), copy.deepcopy(ours)):
        with pytest.raises(ValueError, match="must use the same namespace"):
            twin.predict(X)
        same(library, twin.predict_proba(rows), plain.predict_proba(X))
    np.testing.assert_array_equal(
        ours.fit(X, Y).predict_proba(X), plain.predict_proba(X)
    )


@pytest.mark.parametrize("name", ["strict", "torch"])
def test_without_dispatch_arrays_are_numbers(name):
    library = LIBRARIES[name]
    rows = library.asarray(X)
    plain = DNNClassifier((4,), max_iter=2, random_state=0).fit(X, Y, WEIGHTS)
    ours = clone(plain).fit(rows, library.asarray(Y), library.asarray(WEIGHTS))
    for method, values in results(ours, rows).items():
        assert type(values) is np.ndarray
        np.testing.assert_array_equal(values, results(plain, X)[method])
    assert ours.score(rows, library.asarray(Y)) == plain.score(X, Y)


class Far:
    """An array as on a GPU: the host must not touch it but by the library's own way."""

    def __init__(self, values):
        self._values = np.asarray(values)
        self.shape, self.dtype = self._values.shape, self._values.dtype
        self.ndim = self._values.ndim

    def __len__(self):
        return len(self._values)

    def __array__(self, dtype=None, copy=None):
        raise TypeError("Implicit conversion to a NumPy array is not allowed.")

    @property
    def __cuda_array_interface__(self):
        return {"shape": self.shape, "typestr": self.dtype.str, "version": 3}


class CupyArray(Far):
    def get(self):
        return self._values.copy()


class NumbaArray(Far):
    def copy_to_host(self):
        return self._values.copy()


class DlpackArray:
    """Known by DLPack alone, on the host or elsewhere."""

    def __init__(self, values, kind=1):
        self._values, self._kind = np.asarray(values), kind

    def __dlpack_device__(self):
        return self._kind, 0

    def __dlpack__(self, *, dl_device=None, copy=None, max_version=None, **stream):
        assert self._kind == 1 or dl_device == (1, 0)
        return self._values.__dlpack__()


@pytest.mark.parametrize("kind", [CupyArray, NumbaArray, DlpackArray])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_arrays_that_numpy_does_not_read_itself(kind, dtype):
    rows = X.astype(dtype)
    plain = DNNClassifier((4,), max_iter=2, random_state=0).fit(rows, Y, WEIGHTS)
    ours = clone(plain).fit(kind(rows), kind(Y), kind(WEIGHTS))
    for method, values in results(ours, kind(rows)).items():
        assert type(values) is np.ndarray
        np.testing.assert_array_equal(values, results(plain, rows)[method])
    np.testing.assert_array_equal(ours.predict(kind(rows[:1])), plain.predict(rows[:1]))
    assert ours.score(kind(rows), kind(Y)) == plain.score(rows, Y)
    ours.partial_fit(kind(rows), kind(Y))


def test_arrays_known_by_dlpack_are_not_copied():
    rows = X.astype("f4")
    assert np.shares_memory(arrays.to_numpy(DlpackArray(rows)), rows)
    assert not np.shares_memory(arrays.to_numpy(CupyArray(rows)), rows)


def test_arrays_of_a_device_that_gives_nothing():
    with pytest.raises(
        TypeError, match=r"Far lies on a GPU and cannot be copied .* Num"
    ):
        DNNClassifier((4,), max_iter=1).fit(Far(X), Y)


@pytest.mark.skipif(
    not hasattr(_array_api, "move_estimator_to"), reason="scikit-learn is older"
)
def test_an_estimator_moves(library):
    plain = DNNClassifier((4,), max_iter=2, random_state=0).fit(X, Y)
    xp, _, device = _array_api.get_namespace_and_device(library.asarray(X))
    there = _array_api.move_estimator_to(plain, xp, device)
    same(library, there.predict_proba(library.asarray(X)), plain.predict_proba(X))
    there.partial_fit(library.asarray(X), library.asarray(Y))
    back = _array_api.move_estimator_to(there, np, "cpu")
    assert type(back.predict(X)) is np.ndarray


# -- what is around ------------------------------


def test_features_of_a_layer(library):
    plain = LayerTransformer(DNNClassifier((4,), max_iter=2, random_state=0))
    ours = clone(plain).fit(library.asarray(X), library.asarray(Y))
    same(library, ours.transform(library.asarray(X)), plain.fit(X, Y).transform(X))
    with pytest.raises(ValueError, match=r"LayerTransformer\.transform\(\) must use"):
        ours.transform(X)
    ours, plain = clone(ours), clone(plain)
    ours.partial_fit(library.asarray(X), library.asarray(Y))
    plain.partial_fit(X, Y)
    same(library, ours.transform(library.asarray(X)), plain.transform(X))


def test_arrays_are_not_copied():
    library = LIBRARIES["torch"]
    rows = library.asarray(X.astype("f4"))
    with sklearn.config_context(array_api_dispatch=True):
        assert np.shares_memory(arrays.to_numpy(rows), rows.numpy())


def test_scores_of_the_epochs_and_searches(library):
    clf = DNNClassifier((4,), max_iter=3, early_stopping=True, scoring="accuracy")
    plain = clone(clf).set_params(random_state=0).fit(X, Y)
    clf.set_params(random_state=0).fit(library.asarray(X), library.asarray(Y))
    assert clf.validation_scores_ == plain.validation_scores_
    if library is LIBRARIES["torch"]:
        search = GridSearchCV(clf, {"hidden_units": [(2,), (4,)]}, cv=2)
        search.fit(library.asarray(X), library.asarray(Y))
        assert type(search.predict(library.asarray(X))) is library.xp.Tensor


def test_the_widest_float_where_there_is_no_float64(dispatch, monkeypatch):
    library = LIBRARIES["strict"]
    plain = DNNRegressor((4,), max_iter=2, random_state=0).fit(X, X[:, 0])
    ours = clone(plain).fit(library.asarray(X), library.asarray(X[:, 0]))
    narrow = library.xp.float32
    monkeypatch.setattr(arrays, "max_precision_float_dtype", lambda xp, device: narrow)
    predicted = plain.predict(X).astype("f4")
    same(library, ours.predict(library.asarray(X)), predicted)


@pytest.mark.parametrize(
    "est, y, finishes",
    [
        (DNNClassifier((4,)), Y > 0, ["labels", "arrange"]),
        (DNNClassifier((4,)), THREE + 5, ["labels", "arrange"]),
        (DNNClassifier((4,)), np.c_[Y, Y], ["labels", "arrange"]),
        (DNNClassifier((4,)), np.c_[Y, THREE], ["arrange"]),
        (DNNRegressor((4,)), X[:, 0], ["decode"]),
        (DNNRegressor((4,)), X[:, :2], ["decode"]),
        (DNNRegressor((4,), loss="poisson"), Y, ["decode"]),
        (
            DNNRegressor((4,), loss="quantile", quantile=(0.9, 0.1, 0.5)),
            X[:, :2],
            ["decode", "quantiles"],
        ),
    ],
    ids=lambda value: "" if isinstance(value, np.ndarray) else str(value),
)
def test_heads_finish_what_lies_elsewhere(est, y, finishes, dispatch):
    """As NumPy's arrays, bit for bit: PyTorch stands for what is on a GPU."""
    library = LIBRARIES["torch"]
    est = clone(est).set_params(max_iter=1, random_state=0).fit(X, y)
    raw = est._handle.run("predict", np.float32(X), 1) * 3
    for name in finishes:
        finish = getattr(est._head, name)
        assert finish.of_any_library
        found, want = finish(library.asarray(raw)), finish(raw)
        pairs = zip(found, want) if isinstance(want, list) else [(found, want)]
        for one, like in pairs:
            same(library, one, like)
