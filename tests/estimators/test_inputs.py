"""Networks of several inputs: columns by name, ids that stay integers, sparse parts."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from scipy.sparse import csr_matrix, hstack
from sklearn.base import clone
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import BaggingClassifier
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder, StandardScaler

from slimlearn import (
    DNNClassifier,
    NetworkClassifier,
    NetworkRegressor,
    layers,
    network,
)
from slimlearn.backend import files, ops
from slimlearn.backend.shape import B
from slimlearn.callbacks import Checkpoint
from slimlearn.estimators.inputs import NamedInput
from slimlearn.layers.variables import model_variable

ROWS = 300
RNG = np.random.RandomState(0)
FRAME = pd.DataFrame(
    {
        "age": RNG.normal(size=ROWS),
        "fare": RNG.normal(size=ROWS).astype(np.float32),
        "sex": RNG.randint(0, 2, ROWS),
        "class": RNG.randint(0, 3, ROWS).astype(np.int16),
        "port": RNG.randint(0, 4, ROWS),
    }
)
Y = (FRAME["age"] + 2 * (FRAME["class"] == 1) - FRAME["sex"] > 0).to_numpy(int)
INPUTS = {"num": ["age", "fare"], "cat": slice(2, 5)}


@network
def towers(x, units=8):
    num = layers.fully_connected(x["num"], units, scope="num")
    cat = layers.embedding(x["cat"], 4, 3, scope="cat")
    return ops.concat([num, layers.flatten(cat)], axis=1)


@network
def whole(x, units=8):
    x = x["all"] if isinstance(x, dict) else x
    return layers.fully_connected(x, units)


def classifier(inputs=INPUTS, net=None, **options):
    options = {"max_iter": 30, "learning_rate": 0.02, "random_state": 0, **options}
    return NetworkClassifier(net or towers(), inputs=inputs, **options)


# -- what the network receives ---------------------------------------------------


def types_of(X, inputs):
    seen = {}

    def net(x):
        seen.update({name: (t.dtype, t.shape[1:]) for name, t in x.items()})
        parts = [
            ops.cast(
                layers.flatten(t) if t.rank > 1 else ops.reshape(t, (-1, 1)), "f32"
            )
            for t in x.values()
        ]
        return ops.concat(parts, axis=1)

    NetworkClassifier(net, inputs=inputs, max_iter=1, precision="float32").fit(X, Y)
    return seen


def test_floats_and_integers_keep_their_kind():
    inputs = {"num": ["age", "fare"], "few": ["class"], "cat": ["sex", "port"]}
    assert types_of(FRAME, inputs) == {
        "num": ("f32", (2,)),
        "few": ("i32", (1,)),
        "cat": ("i64", (2,)),
    }


def test_a_single_column_has_no_axis_of_columns():
    assert types_of(FRAME, {"age": "age", "sex": 2, "both": ["age"]}) == {
        "age": ("f32", ()),
        "sex": ("i64", ()),
        "both": ("f32", (1,)),
    }


@pytest.mark.parametrize(
    ("wish", "columns"),
    [
        (["fare", "age"], ["fare", "age"]),
        ([1, 0], ["fare", "age"]),
        ([-1], ["port"]),
        (slice("age", "sex"), ["age", "fare", "sex"]),
        (slice(None, None, 2), ["age", "sex", "port"]),
        (np.array([True, False, True, False, False]), ["age", "sex"]),
        (make_column_selector(pattern="age|fare"), ["age", "fare"]),
        (pd.Index(["port"]), ["port"]),
    ],
)
def test_columns_are_those_of_a_column_transformer(wish, columns):
    clf = classifier({"all": wish}, whole(), max_iter=1)
    clf.fit(FRAME.astype(float), Y)
    [told] = clf._input.describe("f32", clf.feature_names_in_)
    assert told["columns"] == columns
    assert told["type"] == f"f32[B,{len(columns)}]"
    same = classifier(None, whole(), max_iter=1).fit(
        FRAME.astype(float)[columns].to_numpy(), Y
    )
    assert_array_equal(
        clf.predict_proba(FRAME.astype(float)),
        same.predict_proba(FRAME.astype(float)[columns].to_numpy()),
    )


def test_columns_of_an_array_are_not_copied():
    X = FRAME.astype(float).to_numpy()
    wish = NamedInput({"a": slice(1, 4), "b": [0, 2, 4], "c": 3})
    estimator = classifier()
    parts = wish.check(estimator, X, reset=True)
    sources = wish.seen(parts).sources(parts)
    assert list(sources) == ["a", "b", "c"]
    for array in sources.values():
        assert np.shares_memory(array, X)


def test_integers_of_an_array_are_ids():
    X = FRAME[["sex", "class", "port"]].to_numpy()
    clf = classifier({"num": [0], "cat": slice(1, 3)}, max_iter=1)
    with pytest.raises(TypeError, match=r"fully_connected.*num is i64.*cast"):
        clf.fit(X, Y)


# -- training and prediction -----------------------------------------------------


def test_towers_learn_and_predict_alike_from_any_form():
    clf = classifier().fit(FRAME, Y)
    assert clf.score(FRAME, Y) > 0.95
    assert list(clf.feature_names_in_) == list(FRAME)
    expected = clf.predict_proba(FRAME)
    for rows in (1, 7, ROWS):  # the short road, and the long one
        assert_array_equal(clf.predict_proba(FRAME[:rows]), expected[:rows])
    again = pickle.loads(pickle.dumps(clf))
    assert_array_equal(again.predict_proba(FRAME), expected)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # no names
        assert_array_equal(clf.predict_proba(FRAME.to_numpy()), expected)
    big = pd.concat([FRAME] * 40, ignore_index=True)
    assert_array_equal(clf.predict_proba(big)[-ROWS:], expected)


def test_polars_frames():
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({name: FRAME[name].to_numpy() for name in FRAME})
    clf = classifier(max_iter=3).fit(FRAME, Y)
    same = classifier(max_iter=3).fit(frame, Y)
    assert_array_equal(same.predict_proba(frame), clf.predict_proba(FRAME))


def test_searches_splits_and_clones():
    clf = classifier(max_iter=5)
    assert len(cross_val_score(clf, FRAME, Y, cv=3)) == 3
    search = GridSearchCV(
        clf, {"net__units": [2, 4], "inputs": [INPUTS, {**INPUTS, "num": ["age"]}]}
    )
    search.fit(FRAME, Y)
    assert clone(search.best_estimator_).inputs == search.best_params_["inputs"]


def test_behind_encoders_that_give_frames():
    text = FRAME.assign(port=FRAME["port"].map(dict(enumerate("SCQX"))))
    prepare = make_column_transformer(
        (StandardScaler(), ["age", "fare"]),
        (OrdinalEncoder(dtype=np.int64), ["sex", "class", "port"]),
        verbose_feature_names_out=False,
    ).set_output(transform="pandas")
    model = make_pipeline(prepare, classifier()).fit(text, Y)
    assert model.score(text, Y) > 0.95
    assert "i64[B,3]" in str(model[-1].program_)


def test_validation_scoring_and_chunks_take_frames():
    shapes = []

    def scorer(estimator, X, y):
        shapes.append((type(X), X.shape))
        return estimator.score(X, y)

    clf = classifier(early_stopping=True, scoring=scorer, max_iter=3)
    clf.fit(FRAME, Y)
    assert shapes[0] == (pd.DataFrame, (30, 5))
    clf.fit(FRAME[:200], Y[:200], X_val=FRAME[200:], y_val=Y[200:])
    assert shapes[-1] == (pd.DataFrame, (100, 5))
    one = classifier(max_iter=3).fit(FRAME, Y)
    chunks = classifier(max_iter=3).fit_chunks([(FRAME, Y)])
    assert_array_equal(one.predict_proba(FRAME), chunks.predict_proba(FRAME))
    half = classifier(max_iter=3).fit_chunks(
        [(FRAME[:100], Y[:100]), (FRAME[100:].reset_index(drop=True), Y[100:])]
    )
    assert half.n_iter_ == 3


def test_a_resumed_fit_is_the_long_one():
    kind = {"warm_start": True, "batch_size": 50}
    long = classifier(max_iter=6).set_params(**kind).fit(FRAME, Y)
    short = classifier(max_iter=3).set_params(**kind).fit(FRAME, Y)
    floats = FRAME.astype({"sex": float})  # whole ones, where the fit had integers
    short.fit(floats, Y)
    assert_array_equal(long.predict_proba(FRAME), short.predict_proba(FRAME))


@pytest.mark.parametrize(
    ("X", "inputs", "told"),
    [
        (
            FRAME,
            {"num": ["fare", "age"], "sex": "sex"},
            [
                {"name": "num", "type": "f32[B,2]", "columns": ["fare", "age"]},
                {"name": "sex", "type": "i64[B]", "columns": ["sex"]},
            ],
        ),
        (
            FRAME.astype(float).to_numpy(),
            {"num": [1, 0], "sex": 2},
            [
                {"name": "num", "type": "f32[B,2]", "columns": ["1", "0"]},
                {"name": "sex", "type": "f32[B]", "columns": ["2"]},
            ],
        ),
        (
            FRAME.astype(float),
            None,
            [{"name": "X", "type": "f32[B,5]", "columns": list(FRAME)}],
        ),
        (
            csr_matrix(FRAME.astype(float)),
            None,
            [{"name": "X", "type": "csr f32[B,5]"}],
        ),
    ],
)
def test_a_checkpoint_says_what_x_means(tmp_path, X, inputs, told):
    def net(x):
        parts = list(x.values()) if isinstance(x, dict) else [x]
        if isinstance(x, dict):
            wide = ops.reshape(ops.cast(parts[1], "f32"), (-1, 1))
            parts = [ops.concat([parts[0], wide], axis=1)]
        return layers.fully_connected(parts[0], 3)

    options = {"max_iter": 1, "precision": "float32"}
    clf = NetworkClassifier(
        net, inputs=inputs, callbacks=[Checkpoint(tmp_path)], **options
    )
    [(_, checkpoint)] = clf.fit(X, Y).callbacks_
    saved = files.read(checkpoint.path_)
    assert saved.inputs == [{"source": one["name"], **one} for one in told]


def test_named_end_points_and_activations():
    clf = classifier(max_iter=2).fit(FRAME, Y)
    assert clf.activations(FRAME, "cat").shape == (ROWS, 3, 3)
    assert_array_equal(
        clf.activations(FRAME, "num")[:4], clf.activations(FRAME[:4], "num")
    )


def test_two_towers_share_a_layer():
    """Ratings of pairs: users and items in one table of vectors."""

    @network
    def pairs(x, num_outputs):
        def side(ids):
            return layers.embedding(
                ids, 30, 4, scope="table", reuse=ids is not x["user"]
            )

        users, items = side(x["user"]), side(x["item"])
        return ops.reduce_sum(ops.mul(users, items), axis=1, keepdims=True)

    rng = np.random.RandomState(1)
    X = rng.randint(0, 30, (2000, 2))
    vectors = rng.normal(size=(30, 3))
    y = (vectors[X[:, 0]] * vectors[X[:, 1]]).sum(1)
    reg = NetworkRegressor(
        pairs(),
        inputs={"user": 0, "item": 1},
        max_iter=200,
        learning_rate=0.02,
        random_state=0,
    )
    assert reg.fit(X, y).score(X, y) > 0.9
    assert [name for name in reg.get_weights() if "table" in name] == ["table"]


# -- sparse parts ----------------------------------------------------------------


@network
def sparse_towers(x, units=4):
    parts = [layers.fully_connected(x[name], units, scope=name) for name in sorted(x)]
    return ops.concat(parts, axis=1)


def test_parts_of_sparse_rows_stay_sparse():
    dense = RNG.normal(size=(ROWS, 6)) * (RNG.uniform(size=(ROWS, 6)) < 0.3)
    inputs = {"left": slice(0, 4), "right": [5, 4]}
    options = {"net": sparse_towers(), "max_iter": 10, "precision": "float64"}
    X = csr_matrix(dense)
    clf = classifier(inputs, **options).fit(X, Y)
    assert {node.op for node in clf.program_.model.functions["predict"].nodes} >= {
        "csr_matmul"
    }
    same = classifier(inputs, **options).fit(dense, Y)
    np.testing.assert_allclose(clf.predict_proba(X), same.predict_proba(dense), 1e-9)
    np.testing.assert_allclose(clf.predict_proba(dense), same.predict_proba(X), 1e-9)
    assert_array_equal(clf.predict_proba(hstack([X]).tocsc()), clf.predict_proba(X))


def test_sparse_columns_of_a_frame():
    sparse = pd.DataFrame.sparse.from_spmatrix(
        csr_matrix(RNG.uniform(size=(ROWS, 3)) < 0.2, dtype=float), columns=list("abc")
    )
    frame = pd.concat([FRAME[["age", "fare"]], sparse], axis=1)
    inputs = {"num": ["age", "fare"], "words": ["a", "b", "c"]}
    clf = classifier(inputs, net=sparse_towers(), max_iter=3).fit(frame, Y)
    forms = {form.name: form.sparse for form in clf._input.forms}
    assert forms == {"num": False, "words": True}
    dense = frame.astype(float)
    np.testing.assert_allclose(clf.predict_proba(dense), clf.predict_proba(frame), 1e-6)
    with pytest.raises(ValueError, match=r"inputs\['words'\].*\[B\].*\['a'\]"):
        classifier({"num": ["age"], "words": "a"}, net=sparse_towers()).fit(frame, Y)


# -- bad input -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("inputs", "error", "text"),
    [
        (
            {"num": ["age", "fae"]},
            ValueError,
            r"\['num'\]: X has no column 'fae'; it has",
        ),
        ({"num": ["age", "age"]}, ValueError, r"\['num'\] has columns \['age'\] twice"),
        ({"num": slice(0, 9)}, ValueError, r"up to 9, X has 5 columns"),
        ({"num": slice("age", "fae")}, ValueError, "no column 'fae'"),
        ({"num": [9]}, ValueError, "column 9, X has 5 columns"),
        ({"num": [True, False]}, ValueError, "2 truth values, X has 5 columns"),
        ({"num": []}, ValueError, "chooses no column"),
        ({"num": 3.5}, TypeError, r"must be columns as names.*3.5"),
        ({}, ValueError, "no input"),
        ({"y": [0]}, ValueError, "beside X"),
        ({"a b": [0]}, ValueError, "'a b' cannot be the name"),
        ({3: [0]}, ValueError, "3 cannot be the name"),
        (["age"], ValueError, "'inputs' parameter"),
        ({"num": {"age", "fare"}}, TypeError, r"\['num'\] is a set.*list"),
        ({"num": lambda X: {"age"}}, TypeError, r"\['num'\] is a set.*list"),
        ({"num": slice(0, 2, 0)}, ValueError, r"\['num'\]: slice step"),
        ({"num": slice(0.0, 2.0)}, TypeError, r"\['num'\]: slice ind"),
    ],
)
def test_wrong_inputs_are_told(inputs, error, text):
    with pytest.raises(error, match=text):
        classifier(inputs, net=sparse_towers()).fit(FRAME, Y)


def test_an_input_that_is_read_and_not_named_is_told():
    with pytest.raises(ValueError, match=r"reads the input 'cat', but .* num, a: add"):
        classifier({"num": ["age"], "a": ["fare"]}).fit(FRAME, Y)


def test_names_need_a_frame():
    with pytest.raises(ValueError, match=r"'age', but the columns of X have no names"):
        classifier().fit(FRAME.to_numpy(), Y)


def test_categories_are_told_of_their_codes():
    frame = FRAME.assign(port=FRAME["port"].astype("category"))
    with pytest.raises(
        ValueError, match=r"columns \['port'\]: give inputs\['cat'\]"
    ) as e:
        classifier().fit(frame, Y)
    assert "OrdinalEncoder" in str(e.value) and "OneHotEncoder()" not in str(e.value)
    codes = FRAME.assign(port=frame["port"].cat.codes)
    classifier(max_iter=1).fit(codes, Y)


def test_ensembles_pass_arrays_on():
    with pytest.raises(ValueError, match=r"inside an ensemble.* positions"):
        BaggingClassifier(classifier(), n_estimators=2).fit(FRAME, Y)
    clf = classifier({"num": [0, 1], "cat": slice(2, 5)}, max_iter=3)
    bag = BaggingClassifier(clf, n_estimators=2, random_state=0).fit(FRAME, Y)
    assert bag.score(FRAME, Y) > 0.3


@pytest.mark.parametrize(
    "now", [{"num": ["fare", "age"]}, {"cat": ["class", "sex", "port"]}], ids=str
)
def test_a_fit_that_goes_on_reads_the_same_columns(now):
    clf = classifier(max_iter=2, warm_start=True).fit(FRAME, Y)
    before = clf.predict_proba(FRAME)
    [name] = now
    told = rf"inputs\['{name}'\] was \[.*{now[name][0]}.*\] in the fit before"
    for call in (clf.fit, clf.partial_fit):
        clf.set_params(inputs=INPUTS | now)
        with pytest.raises(ValueError, match=told):
            call(FRAME, Y)
    assert np.array_equal(clf.predict_proba(FRAME), before)
    clf.set_params(warm_start=False).fit(FRAME, Y)
    same = classifier(max_iter=2, warm_start=True).fit(FRAME, Y)
    positions = {"num": [0, 1], "cat": ["sex", "class", "port"]}
    assert same.set_params(inputs=positions).fit(FRAME, Y).n_iter_ == 4


def test_what_predict_refuses():
    clf = classifier(max_iter=2).fit(FRAME, Y)
    with pytest.raises(ValueError, match=r"(?s)yet now missing.*fare"):
        clf.predict(FRAME.drop(columns="fare"))
    with pytest.raises(ValueError, match=r"\['cat'\] has whole.*1.5 in row 3"):
        clf.predict(FRAME.assign(port=np.where(np.arange(ROWS) == 3, 1.5, 1)))
    for rows in (5, ROWS):
        with pytest.raises(ValueError, match=r"cat/gather.*found 77 in row 3.*0 to 3"):
            frame = FRAME.assign(port=np.where(np.arange(ROWS) == 3, 77, 1))
            clf.predict(frame[:rows])
    with pytest.raises(ValueError, match=r"NaN in columns \['age'\].*SimpleImputer"):
        clf.predict(FRAME.assign(age=np.nan))
    with pytest.raises(ValueError, match=r"category|categorical"):
        clf.predict(FRAME.astype({"port": "category"}))
    with pytest.raises(ValueError, match=r"0 sample.*Classifier\.$"):
        clf.predict(FRAME[:0])
    with pytest.raises(
        ValueError, match=r"too large for float32, in columns \['age'\]"
    ):
        classifier(max_iter=1, precision="float32").fit(FRAME.assign(age=1e300), Y)


@pytest.mark.parametrize(
    ("kind", "given", "told"),
    [
        ("int8", np.int64(2**32 + 1), "4294967297"),  # would be 1 where it is cut
        ("int8", np.float64(2**32 + 1), r"4294967297\.0"),
        ("int16", np.uint64(2**64 - 1), "18446744073709551615"),
        ("int64", np.uint64(2**63), "9223372036854775808"),
        ("int64", np.float64(2**63), r"9.22.*e.18"),
        ("int64", np.float64(-(2**80)), r"-1\.2089258.*e.24"),
    ],
)
def test_numbers_that_the_fits_integers_cannot_hold_are_told(kind, given, told):
    frame = FRAME[["port", "class"]].astype(kind)
    odd = frame.assign(
        port=np.where(np.arange(ROWS) == 3, given, 1).astype(given.dtype)
    )
    told = rf"inputs\['cat'\] has {told} in row 3 of X, more than int\d\d holds"

    def make():
        return classifier(
            {"cat": [0]}, lambda x: layers.flatten(layers.embedding(x["cat"], 4, 3))
        ).set_params(max_iter=1)

    clf = make().fit(frame, Y)
    for method in (
        lambda: clf.predict(odd),
        lambda: clf.predict(odd[:5]),
        lambda: clf.predict(np.stack([odd["port"]] * 2, axis=1)),
        lambda: make().fit_chunks([(frame, Y), (odd, Y)]),
        lambda: clf.partial_fit(odd, Y),
    ):
        with warnings.catch_warnings(), pytest.raises(ValueError, match=told):
            warnings.simplefilter("ignore", UserWarning)  # no names
            method()


def test_the_first_fit_tells_of_numbers_beyond_int64():
    frame = FRAME.assign(sex=np.full(ROWS, 2**63 + 5, np.uint64))
    with pytest.raises(ValueError, match=r"\['cat'\] has 9223372036854775813 in row 0"):
        classifier({"num": ["age", "fare"], "cat": ["sex"]}).fit(frame, Y)


def test_frames_without_rows_are_told():
    pl = pytest.importorskip("polars")
    for estimator in (classifier(), DNNClassifier((4,))):
        frame = pl.from_pandas(FRAME)
        with pytest.raises(TypeError, match=r"LazyFrame.*collect"):
            estimator.fit(frame.lazy(), Y)
        estimator.set_params(max_iter=1).fit(FRAME, Y)
        with pytest.raises(ValueError, match=r"0 sample(?!.*encode)"):
            estimator.predict(FRAME[:0])


def test_arrays_may_follow_frames():
    clf = classifier(max_iter=1).partial_fit(FRAME, Y, classes=[0, 1])
    again = classifier(max_iter=1).partial_fit(FRAME, Y, classes=[0, 1])
    again.partial_fit(FRAME, Y)
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        clf.partial_fit(FRAME.to_numpy(), Y)
    assert_array_equal(clf.predict_proba(FRAME), again.predict_proba(FRAME))


def test_columns_that_no_input_asks_for_may_be_anything():
    frame = FRAME.assign(name="someone")
    clf = classifier(max_iter=2).fit(frame, Y)
    assert clf.predict(frame).shape == (ROWS,)


def test_an_input_that_is_not_read_is_told():
    def half(x):
        layers.fully_connected(x["cat"], 3, scope="lost")
        return layers.fully_connected(x["num"], 3)

    inputs = {"num": ["age"], "cat": ["fare"]}
    with pytest.warns(UserWarning, match="without reading cat: use it"):
        NetworkClassifier(half, inputs=inputs, max_iter=1).fit(FRAME, Y)

    def none(x):
        return ops.broadcast_to(model_variable("w", [3]), (B, 3))

    with pytest.warns(UserWarning, match="without reading X"):
        NetworkClassifier(none, max_iter=1).fit(FRAME, Y)
