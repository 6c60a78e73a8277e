"""Bad input: an error in the user's words, and a former fit that stays."""

import os
import signal
import threading

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csc_matrix, csr_array
from sklearn.exceptions import NotFittedError

from slimlearn import callbacks, layers
from slimlearn.backend import running
from slimlearn.backend.optimizer import SGD, Adam
from slimlearn.backend.schedule import Constant, Step
from slimlearn.estimators import (
    DNNClassifier,
    DNNRegressor,
    LinearRegressor,
    NetworkClassifier,
    NetworkRegressor,
    TabularRegressor,
    network,
)
from slimlearn.estimators.history import Monitor

RNG = np.random.RandomState(0)
X = RNG.normal(size=(40, 3))
Y = np.arange(40) % 2

WRONG = {
    "hidden_units": ["wide", (4, 0), (4, 2.5), -1, {}, {4, 5}],
    "activation": ["sinus", 3],
    "dropout": [1.0, -0.1, "much"],
    "batch_norm": ["yes", 3],
    "loss": ["mse", None],
    "optimizer": ["adamax", 0.1, Adam],
    "learning_rate": [0.0, -1.0, "fast", np.nan],
    "learning_rate_schedule": ["linear", 0.9],
    "max_iter": [0, 1.5, None],
    "batch_size": [0, "large", 2.0],
    "l2_regularization": [-1e-3, "strong", np.nan],
    "gradient_clip_norm": [0.0, -1, "tight"],
    "class_weight": ["even", [1, 2]],
    "early_stopping": ["maybe", 7],
    "validation_fraction": [0.0, 1.0, "tenth"],
    "n_iter_no_change": [0, 2.5],
    "tol": [-1e-9, "small"],
    "scoring": [3, None, "acuracy"],
    "shuffle": ["often"],
    "warm_start": ["cold"],
    "callbacks": [[print], "log"],
    "precision": ["half", 32],
    "device": ["tpu", 0],
    "n_threads": [0, "all"],
    "random_state": ["lucky", -1],
    "verbose": [-1, "loud"],
}


@pytest.mark.parametrize(
    "name, value", [(k, v) for k, values in WRONG.items() for v in values]
)
def test_every_parameter_is_checked_by_name(name, value):
    clf = DNNClassifier(**{name: value})
    with pytest.raises(ValueError, match=f"The '{name}' parameter of DNNClassifier"):
        clf.fit(X, Y)
    assert "n_features_in_" not in vars(clf)


@pytest.mark.parametrize(
    "options, told",
    [
        ({"optimizer": Adam(beta1=2)}, "'beta1' parameter of Adam"),
        ({"learning_rate_schedule": Step(gamma=0)}, "'gamma' parameter of Step"),
        ({"optimizer": Adam(epsilon=np.inf)}, "'epsilon' parameter of Adam"),
        ({"optimizer": SGD(nesterov="no")}, "'nesterov' parameter of SGD"),
        ({"class_weight": {7: 1.0}}, "none of which is a class"),
        ({"class_weight": {0: -1.0}}, "weights >= 0"),
    ],
    ids=str,
)
def test_what_a_parameter_holds_is_checked(options, told):
    with pytest.raises(ValueError, match=told):
        DNNClassifier(**options).fit(X, Y)


def test_numpys_numbers_are_numbers():
    options = {
        "hidden_units": np.array([4, 3]),
        "learning_rate": np.float32(0.01),
        "batch_size": np.int64(7),
        "max_iter": np.int32(2),
        "shuffle": np.True_,
        "optimizer": Adam(beta1=np.float32(0.5), epsilon=np.float64(1e-6)),
        "learning_rate_schedule": Step(step_size=np.int64(3), gamma=np.float32(0.5)),
    }
    assert DNNClassifier(**options).fit(X, Y).n_iter_ == 2
    DNNClassifier((4,), optimizer=SGD(nesterov=np.True_), max_iter=1).fit(X, Y)


def test_quantile_and_its_loss_belong_together():
    for options in ({"loss": "quantile"}, {"quantile": 0.5}):
        with pytest.raises(ValueError, match="belong together"):
            DNNRegressor(**options).fit(X, Y)
    with pytest.raises(ValueError, match="The 'quantile' parameter of DNNRegressor"):
        DNNRegressor(loss="quantile", quantile=1.0).fit(X, Y)
    for levels in ((0.1, 1.0), (0.1, np.nan), (np.nan, 0.1), (np.nan,), ()):
        with pytest.raises(ValueError, match=r"must be numbers in \(0, 1\)"):
            DNNRegressor(loss="quantile", quantile=levels).fit(X, Y)


def test_names_are_no_objects_to_search():
    with pytest.raises(ValueError, match=r"pass an object, such as Adam\(\)"):
        DNNClassifier().set_params(optimizer__beta1=0.5)
    with pytest.raises(ValueError, match=r"such as Cosine\(\)"):
        DNNClassifier().set_params(learning_rate_schedule__final=0.5)
    clf = DNNClassifier().set_params(optimizer=Adam(), optimizer__beta1=0.5)
    assert clf.optimizer.beta1 == 0.5


# -- X and y ------------------------------


def spoiled(value):
    bad = X.copy()
    bad[3, 1] = value
    return bad


def test_nan_and_infinity_name_the_columns_and_a_way_out():
    frame = pd.DataFrame(spoiled(np.nan), columns=["age", "height", "mass"])
    with pytest.raises(ValueError, match=r"NaN in columns \['height'\].*SimpleImputer"):
        DNNClassifier().fit(frame, Y)
    with pytest.raises(ValueError, match=r"NaN in columns \[1\]"):
        DNNClassifier().fit(spoiled(np.nan), Y)
    with pytest.raises(ValueError, match=r"inf.*in columns \[1\]"):
        DNNClassifier().fit(spoiled(-np.inf), Y)
    clf = DNNClassifier((4,), max_iter=1).fit(X, Y)
    for value, told in ((np.nan, "NaN in columns"), (np.inf, "inf")):
        for method in (clf.predict, clf.predict_proba, clf.decision_function):
            with pytest.raises(ValueError, match=told):
                method(spoiled(value))
            with pytest.raises(ValueError, match=told):
                method(spoiled(value)[3:4].astype("f4"))
    with pytest.raises(ValueError, match="y contains NaN"):
        DNNRegressor().fit(X, np.where(Y, np.nan, 1.0))


@pytest.mark.parametrize(
    "x, y, told",
    [
        (X[:0], Y[:0], "0 sample"),
        (X[:, :0], Y, "0 feature"),
        (X[:, 0], Y, "1D array"),
        (X[None], Y, "dim 3"),
        (X, Y[:7], "inconsistent numbers of samples"),
        (X, None, "requires y to be passed"),
        (X, np.zeros(40), "only one class"),
        (X, RNG.normal(size=40), "Unknown label type"),
        (X, RNG.normal(size=(40, 2)), "Unknown label type"),
        (X.astype(complex), Y, "Complex data"),
        (X.astype(str), Y, "numeric"),
    ],
)
def test_data_of_wrong_shape_or_type(x, y, told):
    with pytest.raises((ValueError, TypeError), match=told):
        DNNClassifier().fit(x, y)


DAYS = np.arange("2020-01-01", "2020-02-10", dtype="datetime64[D]")
DATES = {
    "array": DAYS,
    "spans": DAYS - DAYS[0],
    "objects": DAYS.astype(object),
    "series": pd.Series(DAYS),
}


@pytest.mark.parametrize("dates", DATES.values(), ids=DATES)
def test_dates_are_no_numbers(dates):
    rows = np.asarray(dates)[:, None]
    reg = DNNRegressor(max_iter=1, random_state=0)
    named = NetworkRegressor(
        lambda x: layers.fully_connected(x["a"], 4), inputs={"a": [0]}, max_iter=1
    )
    for est in (reg, named):
        for data in (rows, rows.tolist() if rows.dtype == object else list(rows)):
            with pytest.raises(ValueError, match="X has dates, times or intervals"):
                est.fit(data, Y)
    for est in (reg, named):
        with pytest.raises(ValueError, match="y has dates, times or intervals"):
            est.fit(X, dates)
    reg.fit(X[:, :1], X[:, 0])
    with pytest.raises(ValueError, match="X has dates, times or intervals"):
        reg.predict(rows)
    with pytest.raises(ValueError, match="y_val has dates, times or intervals"):
        reg.fit(X, X[:, 0], X_val=X, y_val=dates)


@pytest.mark.parametrize(
    "call",
    [
        lambda reg, y: reg.fit(X, y),
        lambda reg, y: reg.partial_fit(X, y),
        lambda reg, y: reg.fit_chunks([(X, y)]),
        lambda reg, y: reg.fit(X, X[:, 0], X_val=X, y_val=y),
    ],
)
@pytest.mark.parametrize("kind", [csr_array, csc_matrix])
def test_targets_of_a_regressor_are_dense(call, kind):
    with pytest.raises(TypeError, match=r"Sparse data was passed for y.*toarray\(\)"):
        call(DNNRegressor(max_iter=1), kind(X[:, :2]))


@pytest.mark.parametrize(
    "name, value",
    [
        ("accumulate", 4),
        ("gradient_clip_norm", 0.5),
        ("learning_rate_schedule", "cosine"),
        ("learning_rate_schedule", Step()),
    ],
)
def test_lbfgs_has_no_steps_on_batches(name, value):
    with pytest.raises(ValueError, match=f"{name}=.* L-BFGS sees all rows at once"):
        LinearRegressor(**{name: value}).fit(X, X[:, 0])
    LinearRegressor(**{name: value}, optimizer="sgd", max_iter=1).fit(X, X[:, 0])


def test_what_lbfgs_chooses_itself_changes_nothing():
    """A search over optimizers leaves these as they are."""
    options = {"learning_rate": 3.0, "batch_size": 7, "shuffle": False}
    options["learning_rate_schedule"] = Constant()
    plain, other = (LinearRegressor(**o).fit(X, X[:, 0]) for o in ({}, options))
    assert np.array_equal(plain.predict(X), other.predict(X))


def test_categories_are_refused_by_name():
    frame = pd.DataFrame({"a": X[:, 0], "city": pd.Categorical(Y)})
    with pytest.raises(ValueError, match=r"\['city'\].*make_column_transformer"):
        DNNClassifier(categorical_features=None).fit(frame, Y)


@pytest.mark.parametrize(
    "weights, told",
    [
        (np.zeros(40), "at least one non-zero"),
        (-np.ones(40), "Negative values"),
        (np.full(40, np.nan), "NaN"),
        (np.ones(39), "inconsistent"),
        (np.ones((40, 2)), "1D array"),
        (Y.astype(float), "only one class"),
    ],
)
def test_weights(weights, told):
    with pytest.raises(ValueError, match=told):
        DNNClassifier().fit(X, Y, weights)


def test_held_out_data():
    clf = DNNClassifier((4,), max_iter=1)
    with pytest.raises(ValueError, match="belong together"):
        clf.fit(X, Y, X_val=X)
    with pytest.raises(ValueError, match="needs X_val"):
        clf.fit(X, Y, sample_weight_val=np.ones(40))
    with pytest.raises(ValueError, match="2 features, but DNNClassifier"):
        clf.fit(X, Y, X_val=X[:, :2], y_val=Y)
    with pytest.raises(ValueError, match=r"not among the classes: \[5\]"):
        clf.fit(X, Y, X_val=X, y_val=np.full(40, 5))
    with pytest.raises(ValueError, match="same outputs"):
        DNNRegressor().fit(X, Y, X_val=X, y_val=np.c_[Y, Y])
    with pytest.raises(ValueError, match="1 sample"):
        DNNRegressor(early_stopping=True).fit(X[:1], Y[:1])


def test_poisson_needs_counts():
    with pytest.raises(ValueError, match="needs y >= 0"):
        DNNRegressor(loss="poisson").fit(X, -Y)


def test_predict_needs_a_fit_and_the_right_width():
    for est in (DNNClassifier(), DNNRegressor(), LinearRegressor()):
        with pytest.raises(NotFittedError):
            est.predict(X)
    clf = DNNClassifier((4,), max_iter=1).fit(X, Y)
    with pytest.raises(ValueError, match="expecting 3 features"):
        clf.predict(X[:, :2].copy())
    with pytest.raises(ValueError, match="0 sample"):
        clf.predict(X[:0])


# -- networks ------------------------------


def test_networks_of_the_wrong_shape():
    def flat(x):
        return x[:, 0:1] * 1.0 if False else layers.losses.ops.reduce_sum(x, [1])

    def transposed(x):
        return layers.losses.ops.transpose(x, [1, 0])

    def narrow(x, num_classes):
        return layers.linear(x, num_classes + 1)

    def nothing(x):
        return None

    for net, told in (
        (flat, r"must return \[B, features\].*returned f64\[B\]"),
        (transposed, r"one row for each row of X.*f64\[3,B\]"),
        (narrow, r"returned f64\[B,2\], needed is \[B,1\]"),
        (nothing, "must return a tensor"),
    ):
        with pytest.raises(ValueError, match=told):
            NetworkClassifier(net).fit(X, Y)


def test_decoration_refuses_what_cannot_be_cloned():
    with pytest.raises(TypeError, match="'units' has no default"):

        @network
        def no_default(x, units):
            return x

    with pytest.raises(TypeError, match="hides the hyper-parameters"):

        @network
        def any_keywords(x, **options):
            return x

    with pytest.raises(TypeError, match="first parameter must be the input"):

        @network
        def no_input(*, units=3):
            return units

    with pytest.raises(TypeError, match="name of every network object"):

        @network
        def taken(x, get_params=3):
            return x

    @network
    def good(x, units=3):
        return x

    with pytest.raises(TypeError, match="no parameter 'unit'; it has: units"):
        good(unit=4)


def test_mistakes_inside_a_network_keep_their_names():
    def twice(x):
        net = layers.fully_connected(x, 3, scope="fc")
        return layers.fully_connected(net, 3, scope="fc")

    def misfit(x):
        a = layers.fully_connected(x, 3, scope="a")
        return a + layers.fully_connected(x, 4, scope="b")

    def scoped(x):
        with layers.arg_scope([layers.fully_connected], regulariser=None):
            return layers.fully_connected(x, 3)

    for net, told in (
        (twice, "two layers of one name"),
        (misfit, r"\[add .*do not broadcast"),
        (scoped, "regulariser"),
    ):
        with pytest.raises((ValueError, TypeError), match=told):
            NetworkClassifier(net).fit(X, Y)


def test_what_is_no_array_is_told_as_scikit_learn_tells_it():
    clf = DNNClassifier((4,), max_iter=1).fit(X, Y)
    with pytest.raises(ValueError, match="Expected 2D array, got scalar array"):
        clf.predict(None)
    with pytest.raises(ValueError, match="not compatible with arrays of bytes/strings"):
        clf.predict([["a", "b", "c"]])


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_numbers_beyond_the_network_s_type_are_no_infinities(precision):
    if np.finfo(np.longdouble).max == np.finfo(np.float64).max:
        pytest.skip("long double is float64 here")
    beyond = X[:3].astype(np.longdouble)
    beyond[1, 2] = np.longdouble("1e400")
    clf = DNNClassifier((4,), max_iter=1, precision=precision).fit(X, Y)
    for call in (lambda: clf.predict(beyond), lambda: clf.fit(beyond, Y[:3])):
        with pytest.raises(ValueError, match=rf"too large for {precision}.*\[2\]"):
            call()


# -- numbers that go wrong, and what stays ------------------------------


def test_a_loss_that_becomes_non_finite_is_explained():
    reg = DNNRegressor(
        (16, 16), optimizer="sgd", learning_rate=1e30, max_iter=50, precision="float32"
    )
    with pytest.raises(ValueError, match=r"epoch \d+, step \d+: \[.*learning rate"):
        reg.fit(X, Y)


def test_a_failed_refit_leaves_the_former_fit():
    clf = DNNClassifier((4,), max_iter=2, random_state=0).fit(X, Y)
    state, expected = vars(clf).copy(), clf.predict_proba(X)
    for attempt in (
        lambda: clf.fit(spoiled(np.nan), Y),
        lambda: clf.fit(X[:, :2], np.zeros(40)),
        lambda: clf.fit(X[:, :2], Y, X_val=X, y_val=Y),
    ):
        with pytest.raises(ValueError):
            attempt()
        assert vars(clf) == state
        np.testing.assert_array_equal(clf.predict_proba(X), expected)
    broken = clf.set_params(optimizer="sgd", learning_rate=1e200)
    with pytest.raises(ValueError, match="not finite"):
        broken.fit(1e200 * X, Y)
    np.testing.assert_array_equal(clf.predict_proba(X), expected)


def test_ctrl_c_publishes_the_epochs_done():
    clf = DNNClassifier((4,), max_iter=50, early_stopping=True, scoring="accuracy")
    calls = []

    def interrupted(estimator, X, y):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return 0.5 + 0.01 * len(calls)

    with pytest.raises(KeyboardInterrupt):
        clf.set_params(scoring=interrupted).fit(X, Y)
    assert clf.n_iter_ == 4
    assert np.isnan(clf.validation_scores_).tolist() == [False, False, False, True]
    assert clf.best_validation_score_ == clf.validation_scores_[2]
    assert clf.predict(X).shape == (40,)


def test_ctrl_c_publishes_epochs_that_nobody_watched():
    clf = DNNClassifier((4,), max_iter=1, random_state=0).fit(X, Y)  # builds
    clf.set_params(max_iter=10**6)
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        clf.fit(X, Y)
    timer.join()
    again = DNNClassifier((4,), max_iter=clf.n_iter_, random_state=0).fit(X, Y)
    assert again.loss_curve_ == clf.loss_curve_
    assert again.program_.params.tobytes() == clf.program_.params.tobytes()


def test_ctrl_c_while_epochs_are_counted_loses_none(monkeypatch):
    observe, calls = Monitor.observe, []

    def interrupted(self, loss):
        calls.append(loss)
        if len(calls) == 3:  # of 20 that the native call has done
            signal.raise_signal(signal.SIGINT)
        return observe(self, loss)

    handler = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(Monitor, "observe", interrupted)
    clf = DNNClassifier((4,), max_iter=20, random_state=0)
    with pytest.raises(KeyboardInterrupt):
        clf.fit(X, Y)
    assert signal.getsignal(signal.SIGINT) is handler
    monkeypatch.undo()
    assert clf.n_iter_ == len(clf.loss_curve_) == 20
    whole = DNNClassifier((4,), max_iter=20, random_state=0).fit(X, Y)
    assert whole.loss_curve_ == clf.loss_curve_
    assert whole.program_.params.tobytes() == clf.program_.params.tobytes()


class Watches(callbacks.Callback):
    pass


@pytest.mark.parametrize("watch", [None, [Watches()]], ids=["alone", "watched"])
def test_ctrl_c_inside_a_long_epoch_undoes_it(monkeypatch, watch):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(160_000, 4)).astype(np.float32)
    labels = (rows[:, 0] > 0).astype(int)
    options = {"batch_norm": True, "batch_size": 2, "random_state": 0}
    options |= {"warm_start": True, "callbacks": watch}
    begin, begun = running._Start.begin, []

    def spy(start, **keywords):
        begun.append(begin(start, **keywords))
        if len(begun) == 3:
            threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
        return begun[-1]

    clf = DNNClassifier((8,), max_iter=9, **options)
    with monkeypatch.context() as patch:
        patch.setattr(running._Start, "begin", spy)
        patch.setattr(running, "_LONG_EPOCH", 0.0)
        with pytest.raises(KeyboardInterrupt):
            clf.fit(rows, labels)
    assert begun == [True] * 3
    again = DNNClassifier((8,), max_iter=clf.n_iter_, **options).fit(rows, labels)
    for _ in range(2):
        assert again.loss_curve_ == clf.loss_curve_
        for arena in ("params", "state"):
            mine, theirs = (getattr(m.program_, arena) for m in (clf, again))
            assert mine.tobytes() == theirs.tobytes(), arena
        # What goes on from there is the same too: steps, slots, dropout's counters.
        clf.set_params(max_iter=1).fit(rows[:999], labels[:999])
        again.set_params(max_iter=1).fit(rows[:999], labels[:999])


def test_ctrl_c_in_the_first_epoch_of_a_call_leaves_the_former_fit(monkeypatch):
    clf = DNNClassifier((4,), max_iter=2, warm_start=True).fit(X, Y)
    former = vars(clf).copy()
    weights = clf.program_.params.copy()

    def stop(self, *arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(running._Start, "begin", stop)
    for fit in (clf.fit, clf.partial_fit):
        with pytest.raises(KeyboardInterrupt):
            fit(X, Y)
        assert vars(clf) == former
        np.testing.assert_array_equal(clf.program_.params, weights)


def test_ctrl_c_before_the_first_epoch_leaves_the_former_fit():
    clf = DNNClassifier((4,), max_iter=2).fit(X, Y)
    former = vars(clf).copy()

    def stop(x):
        raise KeyboardInterrupt

    clf.set_params(activation=stop)
    with pytest.raises(KeyboardInterrupt):
        clf.fit(X, Y)
    assert clf.program_ is former["program_"]


def test_numbers_beyond_float32_are_no_surprise():
    wide, labels = np.tile(X, (30, 1)), np.tile(Y, 30)
    clf = DNNClassifier((4,), max_iter=1)
    told = r"too large for float32, in columns \[0, 1, 2\].*precision='float64'"
    with pytest.raises(ValueError, match=told):
        clf.fit(1e300 * wide, labels)
    with pytest.raises(ValueError, match=told):
        clf.fit(wide, labels, X_val=1e300 * wide, y_val=labels)
    clf.fit(wide, labels)
    for rows in (1e300 * wide, 1e300 * wide[:1], (1e300 * wide).tolist()):
        with pytest.raises(ValueError, match="too large for float32"):
            clf.predict_proba(rows)
    exact = DNNClassifier((4,), max_iter=1, precision="float64").fit(wide, labels)
    assert np.isfinite(exact.predict_proba(1e100 * wide)).all()


@pytest.mark.parametrize("unit", [1e-300, 1e-170, 1e150])
def test_targets_of_any_unit(unit):
    y = X @ np.arange(1.0, 4.0)
    for target in (y, np.c_[y, y / 7]):
        expected = LinearRegressor().fit(X, target).predict(X)
        got = LinearRegressor().fit(X, unit * target).predict(X)
        np.testing.assert_allclose(got / unit, expected, rtol=1e-6, atol=1e-9)


def test_targets_that_overflow():
    y = X @ np.arange(1.0, 4.0)
    with pytest.raises(ValueError, match=r"y is too large.*divide y"):
        DNNRegressor().fit(X, 1e300 * y)


def test_a_network_larger_than_memory():
    for units in (10**12, 2**62):
        with pytest.raises(MemoryError, match=r"there is \(the largest is fc1/"):
            DNNClassifier((units,)).fit(X, Y)


# -- what is no matrix ------------------------------

WORDS = ["a goal", "salt the soup", "the team won", "warm bread"]
ROWS_OF_WORDS = [["red", 1.0], ["blue", 2.0]] * 2
NO_MATRIX = {
    "texts": (WORDS, r"X is a list of texts: .*TfidfVectorizer\(\), {who}\("),
    "array of texts": (np.array(WORDS), "X is a list of texts"),
    "objects": (np.array(WORDS, dtype=object), "X is a list of texts"),
    "series": (pd.Series(WORDS), "X is a list of texts"),
    "images": (np.zeros((4, 2, 3)), r"X has shape \(4, 2, 3\).*X\.reshape\(len\(X\), "),
    "colors": (np.zeros((4, 2, 3, 3)), r"ops\.reshape\(x, \(-1, 2, 3, 3\)\)"),
    "nested lists": (np.zeros((4, 2, 3)).tolist(), r"X has shape \(4, 2, 3\)"),
    "uneven": ([[1.0, 2.0], [1.0]] * 2, "rows of different lengths, from 1 to 2: pad"),
    "arrays": (
        np.array([np.zeros(2), np.zeros(3)] * 2, dtype=object),
        "rows of different lengths, from 2 to 3",
    ),
    "dicts": ([{"a": 1.0}] * 4, r"is a list of dicts: .*DictVectorizer\(\), {who}\("),
    "columns": ({"a": [1.0] * 4}, r"X is a dict: give pandas\.DataFrame\(X\)"),
}
WORDS_WITHIN = {
    "words": (ROWS_OF_WORDS, r"X has texts in columns \[0\]: encode words before"),
    "array": (np.array(ROWS_OF_WORDS), r"X has texts in columns \[0, 1\]"),
    "numbers": (np.array([["1", "2"]] * 4), r"by astype\(float\)"),
}


@pytest.mark.parametrize("x, told", NO_MATRIX.values(), ids=NO_MATRIX)
def test_what_is_no_matrix(x, told):
    y, right = [0, 1, 0, 1], np.eye(4)[:, :2]
    named = NetworkClassifier(lambda x: x["a"], inputs={"a": [0, 1]}, max_iter=1)
    for clf in (DNNClassifier(max_iter=1), named):
        expected = told.replace("{who}", type(clf).__name__)
        with pytest.raises(ValueError, match=expected):
            clf.fit(x, y)
        clf.fit(right, y)
        with pytest.raises(ValueError, match=expected):
            clf.predict(x)
    expected = told.replace("{who}", "DNNRegressor").replace("X", "X_val")
    with pytest.raises(ValueError, match=expected):
        DNNRegressor(max_iter=1).fit(right, y, X_val=x, y_val=y)


@pytest.mark.parametrize("x, told", WORDS_WITHIN.values(), ids=WORDS_WITHIN)
def test_words_in_a_matrix(x, told):
    with pytest.raises(ValueError, match=told):
        DNNClassifier(max_iter=1).fit(x, [0, 1, 0, 1])


# -- what is no y ------------------------------

LOW = ["low", "high", "1.5", "low"]
KINDS_OF_WORDS = {
    "list": LOW,
    "array": np.array(LOW),
    "bytes": np.array(LOW, dtype="S"),
    "series": pd.Series(LOW),
    "categories": pd.Series(LOW, dtype="category"),
    "columns": [[1.0, word] for word in LOW],
}


@pytest.mark.parametrize("y", KINDS_OF_WORDS.values(), ids=KINDS_OF_WORDS)
def test_words_are_no_numbers(y):
    rows, told = np.eye(4), r"could not convert .*'low' in row 0 of {}: give numbers"
    for reg in DNNRegressor(max_iter=1), LinearRegressor(), TabularRegressor():
        with pytest.raises(ValueError, match=told.format("y") + "; labels are for cl"):
            reg.fit(rows, y)
    with pytest.raises(ValueError, match=told.format("y_val")):
        DNNRegressor(max_iter=1).fit(rows, [1, 2, 3, 4], X_val=rows, y_val=y)
    with pytest.raises(ValueError, match=told.format("sample_weight") + "$"):
        DNNClassifier(max_iter=1).fit(rows, [0, 1, 0, 1], sample_weight=y)
    words = DNNRegressor((3,), max_iter=1, random_state=0).fit(rows, list("1234"))
    numbers = DNNRegressor((3,), max_iter=1, random_state=0).fit(rows, [1, 2, 3, 4])
    assert np.array_equal(words.predict(rows), numbers.predict(rows))


@pytest.mark.parametrize("y", [[["a"], ["a", "b"], [], ["b"]], [{"a"}, {"b"}] * 2])
def test_lists_of_labels_are_no_columns(y):
    with pytest.raises(ValueError, match=r"y has .*MultiLabelBinarizer\(\)\.fit_tr"):
        DNNClassifier(max_iter=1).fit(np.eye(4), y)
    with pytest.raises(ValueError, match=r"y has .*give all the same count of numbers"):
        DNNRegressor(max_iter=1).fit(np.eye(4), y)
