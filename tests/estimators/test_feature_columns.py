"""Feature columns: what they read of a table, and what networks make of it."""

import pickle

import numpy as np
import pytest
from sklearn.base import BaseEstimator, clone

from slimlearn import NetworkClassifier, NetworkRegressor, layers, network
from slimlearn import feature_column as fc
from slimlearn.estimators.features.hashing import combined, fingerprints
from slimlearn.estimators.features.input import FeatureInput
from slimlearn.estimators.features.reading import Ids, Reader


class Dummy(BaseEstimator):
    """What an input checks X for."""


def open_(X, columns, linear=()):
    """The input's arrays by source."""
    made = FeatureInput(columns, linear)
    read = made.check(Dummy(), X, reset=True)
    return {f.name.removeprefix("columns/"): a for f, a in zip(made.forms, read.arrays)}


def rows_of(X, column):
    """The dense form of a column of categories."""
    [(_, matrix)] = open_(X, [column]).items() if column else []
    return matrix.toarray()


def pandas():
    return pytest.importorskip("pandas")


# -- hashes ----------------------------------------------------------------------------


def fnv(text):
    """FNV-1a and Murmur's mix, by the book."""
    value = 0xCBF29CE484222325
    for byte in text.encode():
        value = (value ^ byte) * 0x100000001B3 % 2**64
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        value = (value ^ (value >> 33)) * factor % 2**64
    return value ^ (value >> 33)


def test_the_hash_is_the_published_one():
    words = ["", "a", "foobar", "Zürich", "北京", "x" * 1000, "a\0", "\0a"]
    assert fingerprints(words).tolist() == [fnv(word) for word in words]
    assert fingerprints([12, -7]).tolist() == [fnv("12"), fnv("-7")]
    assert fingerprints([]).shape == (0,)


def test_hashes_do_not_change():
    """They stand in fitted models: a change makes these wrong."""
    assert fingerprints(["Rome", "Oslo"]).tolist() == [
        HASHES["Rome"],
        HASHES["Oslo"],
    ]
    pair = combined(fingerprints(["Rome"]), fingerprints(["Oslo"]))
    assert pair.tolist() == [HASHES["both"]]


HASHES = {
    "Rome": 10837926391619079422,
    "Oslo": 15882206617020907485,
    "both": 11851091524815366649,
}


def test_hashes_spread():
    ids = fingerprints(range(100_000)) % np.uint64(1000)
    counts = np.bincount(ids.astype(int), minlength=1000)
    assert counts.min() > 50
    assert counts.max() < 160


# -- what is read ----------------------------------------------------------------------

WORDS = np.array(["b", "a", "", "c", "b"], dtype=object)


def test_a_vocabulary():
    column = fc.categorical_column_with_vocabulary_list("w", ["a", "b"])
    want = np.array([[0, 1], [1, 0], [0, 0], [0, 0], [0, 1]])
    assert np.array_equal(rows_of({"w": WORDS}, column), want)
    known = fc.categorical_column_with_vocabulary_list("w", ["a", "b"], default_value=0)
    assert rows_of({"w": WORDS}, known)[3].tolist() == [1, 0]
    other = fc.categorical_column_with_vocabulary_list("w", ["a"], num_oov_buckets=2)
    found = rows_of({"w": WORDS}, other)
    assert found.shape == (5, 3)
    assert found.sum(axis=1).tolist() == [1, 1, 0, 1, 1]
    assert np.array_equal(found[0], found[4])


def test_whole_numbers():
    numbers = {"n": np.array([3, -1, 0, 3])}
    column = fc.categorical_column_with_vocabulary_list("n", [3, 5])
    assert rows_of(numbers, column).tolist() == [[1, 0], [0, 0], [0, 0], [1, 0]]
    column = fc.categorical_column_with_identity("n", 4)
    assert rows_of(numbers, column).argmax(axis=1).tolist() == [3, 0, 0, 3]
    assert rows_of(numbers, column)[1].tolist() == [0, 0, 0, 0]
    # Missing values make floats of them in pandas.
    holes = {"n": np.array([3.0, np.nan, 0.0, 3.0])}
    assert np.array_equal(rows_of(holes, column), rows_of(numbers, column))
    hashed = fc.categorical_column_with_hash_bucket("n", 7)
    assert rows_of(numbers, hashed).argmax(axis=1)[0] == fnv("3") % 7
    assert np.array_equal(rows_of(holes, hashed), rows_of(numbers, hashed))


@pytest.mark.parametrize(
    "kind", ["numpy", "objects", "pandas", "category", "polars", "arrow", "dict"]
)
def test_every_table_gives_the_same(kind):
    words = ["b", "a", None, "c", "b"]
    sizes = [1.5, 2.0, 3.0, 4.0, 5.0]
    if kind in ("numpy", "objects"):
        X = np.array([words, sizes], dtype=object).T
        keys = 0, 1
    elif kind == "dict":
        X, keys = {"w": words, "s": np.array(sizes)}, ("w", "s")
    else:
        keys = "w", "s"
        if kind == "polars":
            X = pytest.importorskip("polars").DataFrame({"w": words, "s": sizes})
        elif kind == "arrow":
            X = pytest.importorskip("pyarrow").table({"w": words, "s": sizes})
        else:
            X = pandas().DataFrame({"w": words, "s": sizes})
            X = X.astype({"w": "category"}) if kind == "category" else X
    word, size = keys
    hashed = fc.categorical_column_with_hash_bucket(word, 50)
    ranges = fc.bucketized_column(fc.numeric_column(size), [2, 4])
    crossed = fc.crossed_column([word, ranges], 100)
    found = open_(X, [fc.numeric_column(size), crossed], [hashed])
    assert found["numbers"].ravel().tolist() == sizes
    want = [fnv("b") % 50, fnv("a") % 50, fnv("c") % 50, fnv("b") % 50]
    matrix = found[str(word)]
    assert matrix.indices.tolist() == want
    assert matrix.indptr.tolist() == [0, 1, 2, 2, 3, 4]
    cross = found[next(k for k in found if "_X_" in k)]
    assert np.diff(cross.indptr).tolist() == [1, 1, 0, 1, 1]
    start = np.array([0xDECAFCAFFE], np.uint64)
    marks = combined(start, fingerprints(["b"]))
    marks = combined(marks, np.array([0], np.uint64))
    assert cross.indices[0] == int(marks[0] % np.uint64(100))


def test_ranges():
    column = fc.bucketized_column(fc.numeric_column("x"), [0, 1, 2])
    X = {"x": np.array([-5, 0, 0.5, 1, 2, 9])}
    made = open_(X, [column])
    assert made["x_bucketized"].toarray().argmax(axis=1).tolist() == [0, 1, 1, 2, 3, 3]
    assert np.array_equal(made["indicators"], made["x_bucketized"].toarray())
    pair = fc.bucketized_column(fc.numeric_column("x", shape=2), [0])
    made = open_({"x": np.array([[-1, 1], [1, -1]])}, [], [pair])
    found = made["x_bucketized"].toarray()
    assert found.tolist() == [[1, 0, 0, 1], [0, 1, 1, 0]]


def test_lists_in_rows():
    lists = np.empty(5, dtype=object)
    lists[:] = [["a", "b"], [], None, ["b", "b", "?"], ["a"]]
    column = fc.categorical_column_with_vocabulary_list("w", ["a", "b"])
    want = [[1, 1], [0, 0], [0, 0], [0, 2], [1, 0]]
    assert rows_of({"w": lists}, column).tolist() == want
    made = open_({"w": lists}, [fc.indicator_column(column)])["indicators"]
    assert made.dtype == np.uint8
    assert made.tolist() == want
    mean = open_({"w": lists}, [fc.embedding_column(column, 3)])["w/mean"].toarray()
    assert mean.tolist() == [[0.5, 0.5], [0, 0], [0, 0], [0, 1], [1, 0]]
    root = fc.embedding_column(column, 3, "sqrtn")
    found = open_({"w": lists}, [root])["w/sqrtn"].toarray()
    np.testing.assert_allclose(found[3], [0, np.sqrt(2)], rtol=1e-6)


def test_a_dict_of_lists():
    column = fc.categorical_column_with_vocabulary_list("w", ["a", "b"])
    assert rows_of({"w": ["b", np.nan, None]}, column).tolist() == [[0, 1], [0, 0]] + [
        [0, 0]
    ]
    assert rows_of({"w": [["a", "b"], ["b"]]}, column).tolist() == [[1, 1], [0, 1]]
    assert rows_of({"w": [["a"], ["b"]]}, column).tolist() == [[1, 0], [0, 1]]
    one = fc.numeric_column("x", default_value=3)
    assert open_({"x": [1, None]}, [one])["numbers"].tolist() == [[1], [3]]


@pytest.mark.parametrize("kind", ["pandas", "polars", "arrow"])
def test_lists_in_frames(kind):
    lists = [["a", "b"], [], None, ["b"]]
    if kind == "pandas":
        X = pandas().DataFrame({"w": lists})
    elif kind == "polars":
        X = pytest.importorskip("polars").DataFrame({"w": lists})
    else:
        X = pytest.importorskip("pyarrow").table({"w": lists})
    column = fc.categorical_column_with_vocabulary_list("w", ["a", "b"])
    assert rows_of(X, column).tolist() == [[1, 1], [0, 0], [0, 0], [0, 1]]


def test_weights():
    column = fc.categorical_column_with_identity("i", 3)
    weighted = fc.weighted_categorical_column(column, "v")
    X = {"i": np.array([2, -1, 0]), "v": np.array([0.5, np.nan, 2.0])}
    assert rows_of(X, weighted).tolist() == [[0, 0, 0.5], [0, 0, 0], [2, 0, 0]]
    ids, weights = np.empty(2, object), np.empty(2, object)
    ids[:], weights[:] = [[0, 1], []], [[3.0, 1.0], []]
    mean = fc.embedding_column(weighted, 2)
    found = open_({"i": ids, "v": weights}, [mean])
    assert found["i_weighted_by_v/mean"].toarray().tolist() == [[0.75, 0.25, 0]] + [
        [0, 0, 0]
    ]
    with pytest.raises(ValueError, match="one weight for each category of its row"):
        open_({"i": ids, "v": np.array([1.0, 2.0])}, [mean])
    with pytest.raises(ValueError, match="NaN or infinity where there is a category"):
        open_({"i": np.array([1]), "v": np.array([np.inf])}, [mean])


def test_crosses_of_lists_are_all_combinations():
    """Against a loop over the rows."""
    rng = np.random.default_rng(0)
    first, second = np.empty(200, object), np.empty(200, object)
    for i in range(200):
        first[i] = rng.choice(list("abcdef"), rng.integers(0, 4)).tolist()
        second[i] = rng.integers(0, 9, rng.integers(0, 3)).tolist()
    third = rng.choice(["x", "y", ""], 200)
    X = {"a": first, "b": second, "c": third}
    found = rows_of(X, fc.crossed_column(["a", "b", "c"], 30, hash_key=5))
    want = np.zeros((200, 30))
    for row in range(200):
        for a in first[row]:
            for b in second[row]:
                if third[row]:
                    mark = np.array([5], np.uint64)
                    for word in (a, b, third[row]):
                        mark = combined(mark, fingerprints([word]))
                    want[row, int(mark[0] % np.uint64(30))] += 1
    assert np.array_equal(found, want)
    assert want.sum() > 100


def test_numbers_default_and_normalizer():
    column = fc.numeric_column("x", default_value=7.0, normalizer_fn=np.sqrt)
    X = {"x": np.array([4.0, np.nan])}
    assert open_(X, [column])["numbers"].ravel().tolist() == [2.0, np.sqrt(7.0)]
    wide = fc.numeric_column("x", shape=(2,), default_value=(1.0, 2.0))
    X = {"x": np.array([[np.nan, 5.0], [6.0, np.nan]])}
    assert open_(X, [wide])["numbers"].tolist() == [[1, 5], [6, 2]]
    lists = np.empty(2, object)
    lists[:] = [[1.0, 2.0], [3.0, 4.0]]
    assert open_({"x": lists}, [fc.numeric_column("x", 2)])["numbers"].shape == (2, 2)
    objects = {"x": np.array([1, None, 2.5], dtype=object)}
    assert open_(objects, [fc.numeric_column("x", default_value=0)])[
        "numbers"
    ].ravel().tolist() == [1, 0, 2.5]


def test_one_matrix_for_the_linear_part():
    a = fc.categorical_column_with_identity("a", 3)
    b = fc.categorical_column_with_hash_bucket("b", 1_000_000)
    X = {"a": np.array([2, 0]), "b": np.array(["u", "v"])}
    made = open_(X, [fc.embedding_column(a, 2)], [a, b])
    assert made["linear"].shape == (2, 1_000_003)
    assert made["linear"].nnz == 4
    assert made["a/mean"].shape == (2, 3)


# -- what is refused -------------------------------------------------------------------

HASHED = fc.categorical_column_with_hash_bucket


@pytest.mark.parametrize(
    "X, column, told",
    [
        ({"x": [1]}, HASHED("y", 3), "reads the column 'y', and X has none"),
        (np.ones((2, 2)), HASHED("y", 3), "give a DataFrame, or positions"),
        (np.ones((2, 2)), HASHED(5, 3), "reads the column 5"),
        ({"x": [1.5]}, HASHED("x", 3), "fractions, such as 1.5.*bucketized_column"),
        (
            {"x": ["a"]},
            fc.numeric_column("x"),
            "has no numbers, such as 'a'.*vocabulary_list",
        ),
        (
            {"x": [5]},
            fc.categorical_column_with_identity("x", 5),
            "has 5, and num_buckets=5 allows 0 to 4",
        ),
        (
            {"x": ["5"]},
            fc.categorical_column_with_identity("x", 5),
            "has texts, such as '5'",
        ),
        (
            {"x": [1]},
            fc.categorical_column_with_vocabulary_list("x", ["1"]),
            "both as texts or both as whole numbers",
        ),
        ({"x": [np.nan]}, fc.numeric_column("x"), "contains NaN in column 'x'"),
        ({"x": [np.inf]}, fc.numeric_column("x"), "infinity or NaN in column 'x'"),
        (
            {"x": [-1.0]},
            fc.numeric_column("x", normalizer_fn=np.log),
            "after normalizer_fn",
        ),
        (
            {"x": [1.0]},
            fc.numeric_column("x", normalizer_fn=np.sum),
            r"of the shape it is given, \(1, 1\)",
        ),
        (
            {"x": np.ones((3, 2))},
            fc.numeric_column("x"),
            "has 2 numbers in a row, shape=",
        ),
        ({"x": np.array(["2020-01-01"], "M8[D]")}, HASHED("x", 3), "has dates"),
        ({"x": [1, 2], "z": [1]}, HASHED("x", 3), "all of as many rows"),
        ({"x": [1, 2], "z": []}, HASHED("x", 3), "all of as many rows"),
        ({}, HASHED("x", 3), "needs one at least"),
        ({"x": [], "z": []}, HASHED("x", 3), r"0 sample\(s\) in X's columns"),
        (
            {"x": [["a"], 3]},
            HASHED("x", 3),
            "mixes values of types",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value")
def test_bad_tables_are_told(X, column, told):
    if isinstance(X, dict):
        X = {k: _column(v) for k, v in X.items()}
    with pytest.raises((ValueError, TypeError), match=told):
        open_(X, [column])


def _column(values):
    if isinstance(values, list) and any(isinstance(v, list) for v in values):
        array = np.empty(len(values), dtype=object)
        array[:] = values
        return array
    return np.asarray(values)


@pytest.mark.parametrize(
    "make, told",
    [
        (lambda: fc.numeric_column(1.5), "a key is the name"),
        (lambda: fc.numeric_column("x", normalizer_fn=3), "is a function"),
        (
            lambda: fc.numeric_column("x", default_value="a"),
            "default_value is a number",
        ),
        (lambda: fc.numeric_column("x", shape=0), "shape is a whole number"),
        (lambda: fc.bucketized_column(fc.numeric_column("x"), [2, 1]), "ascending"),
        (lambda: fc.bucketized_column("x", [1]), "is a numeric_column"),
        (lambda: HASHED("x", 0), "from 1 to below 2"),
        (lambda: HASHED("x", True), "from 1 to below 2"),
        (lambda: fc.crossed_column(["a"], 5), "two or more"),
        (lambda: fc.crossed_column(["a", fc.numeric_column("b")], 5), "bucketized"),
        (lambda: fc.embedding_column("a", 5), "needs a column of categories"),
        (lambda: fc.embedding_column(HASHED("a", 5), 2, "max"), "combiner is one of"),
        (
            lambda: fc.categorical_column_with_vocabulary_list("x", ["a", "a"]),
            "has 'a' twice",
        ),
        (
            lambda: fc.categorical_column_with_vocabulary_list("x", ["a", 1]),
            "texts or whole numbers",
        ),
        (
            lambda: fc.shared_embedding_columns([HASHED("a", 5), HASHED("b", 6)], 2),
            "as many categories",
        ),
    ],
)
def test_bad_columns_are_told(make, told):
    with pytest.raises((ValueError, TypeError), match=told):
        make()


# -- objects ---------------------------------------------------------------------------

EVERY = [
    fc.numeric_column("a", default_value=1.0),
    fc.bucketized_column(fc.numeric_column("a"), [1, 2]),
    fc.categorical_column_with_vocabulary_list("b", ["x", "y"]),
    HASHED("b", 10),
    fc.categorical_column_with_identity("c", 4),
    fc.crossed_column(["b", fc.bucketized_column(fc.numeric_column("a"), [1])], 9),
    fc.weighted_categorical_column(HASHED("b", 10), "a"),
    fc.indicator_column(HASHED("b", 10)),
    fc.embedding_column(HASHED("b", 10), 3, initializer=layers.zeros_initializer()),
    *fc.shared_embedding_columns([HASHED("b", 10), HASHED("c", 10)], 3),
]


@pytest.mark.parametrize("column", EVERY, ids=lambda c: type(c).__name__)
def test_columns_are_values(column):
    for twin in (clone(column), pickle.loads(pickle.dumps(column))):
        assert twin == column
        assert hash(twin) == hash(column)
        assert repr(twin) == repr(column)
    assert column.name
    assert column != fc.numeric_column("another")


def test_the_names_of_tf_learn():
    assert fc.real_valued_column("a") == fc.numeric_column("a")
    assert fc.sparse_column_with_hash_bucket("a", 5) == HASHED("a", 5)
    assert fc.sparse_column_with_keys("a", ["x"]) == (
        fc.categorical_column_with_vocabulary_list("a", ["x"])
    )
    assert fc.sparse_column_with_integerized_feature("a", 5) == (
        fc.categorical_column_with_identity("a", 5)
    )
    assert fc.one_hot_column(HASHED("a", 5)) == fc.indicator_column(HASHED("a", 5))
    assert fc.weighted_sparse_column(HASHED("a", 5), "w") == (
        fc.weighted_categorical_column(HASHED("a", 5), "w")
    )


def test_a_million_rows_of_lists_are_combined_by_arrays():
    """Ids are combined without a loop over rows: 10^6 test no patience."""
    ids = Ids(np.arange(10**6) % 97, np.arange(0, 10**6 + 1, 4))
    matrix = ids.matrix(97, "mean")
    assert matrix.shape == (250_000, 97)
    np.testing.assert_allclose(matrix.sum(axis=1), 1.0, rtol=1e-6)
    reader = Reader(type("T", (dict,), {"shape": (3, 1)})({"a": np.arange(3)}))
    assert reader.values("a", "x").levels == [0, 1, 2]


# -- networks --------------------------------------------------------------------------

RANGES = fc.bucketized_column(fc.numeric_column("age"), [-1, 0, 1])
JOB = fc.categorical_column_with_vocabulary_list("job", ["cook", "nurse", "clerk"])
TOWN = HASHED("town", 30)
CROSS = fc.crossed_column(["job", "town"], 100)
DEEP = [fc.numeric_column("age"), RANGES, fc.indicator_column(JOB)]
DEEP += fc.shared_embedding_columns([TOWN, HASHED("former", 30)], 4)
WIDE = [fc.numeric_column("age"), RANGES, JOB, CROSS]


def people(n=400, seed=0):
    rng = np.random.default_rng(seed)
    towns = ["Rome", "Oslo", "Bern"]
    X = {
        "age": rng.normal(size=n),
        "job": rng.choice(["cook", "nurse", "clerk", ""], n),
        "town": rng.choice(towns, n),
        "former": rng.choice(towns, n),
    }
    same = (X["town"] == X["former"]) * 2.0 - 1
    z = X["age"] + same + ((X["job"] == "cook") == (X["town"] == "Rome"))
    return X, z


@network
def wide_and_deep(x, num_outputs, units=(16,)):
    deep = layers.input_from_feature_columns(x, DEEP, scope="deep")
    deep = layers.stack(deep, layers.fully_connected, units, scope="fc")
    wide, variables, bias = layers.weighted_sum_from_feature_columns(
        x, WIDE, num_outputs, scope="wide"
    )
    assert set(variables) == set(WIDE)
    assert bias.shape == (num_outputs,)
    return layers.linear(deep, num_outputs, scope="top") + wide


def test_a_network_reads_columns():
    X, z = people()
    deal = {"*": "adam", "wide*": "ftrl"}
    reg = NetworkRegressor(
        wide_and_deep(),
        feature_columns=DEEP + WIDE,
        optimizer=deal,
        max_iter=60,
        random_state=0,
    )
    assert reg.fit(X, z).score(X, z) > 0.95
    weights = reg.program_.weights
    assert weights["wide/job_X_town/weights"].shape == (100, 1)
    assert weights["wide/numbers/weights"].shape == (1, 1)
    tables = [name for name in weights if name.endswith("embeddings")]
    assert tables == ["deep/former_town_shared_embedding/embeddings"]
    assert np.array_equal(pickle.loads(pickle.dumps(reg)).predict(X), reg.predict(X))
    assert np.array_equal(clone(reg).fit(X, z).predict(X), reg.predict(X))
    # Each row is read by itself.
    one = {name: values[7:8] for name, values in X.items()}
    assert reg.predict(one)[0] == reg.predict(X)[7]


def test_a_column_that_the_estimator_was_not_given():
    X, z = people(50)
    reg = NetworkRegressor(wide_and_deep(), feature_columns=DEEP, max_iter=1)
    with pytest.raises(ValueError, match="not among the estimator's feature_columns"):
        reg.fit(X, z)


@network
def of_categories(x):
    return layers.input_layer(x, [JOB])


@network
def of_vectors(x):
    return layers.linear_model(x, [fc.embedding_column(JOB, 3)])


@network
def of_nothing(x):
    return layers.input_layer(x, [])


@pytest.mark.parametrize(
    "net, told",
    [
        (of_categories(), "through indicator_column or embedding_column"),
        (of_vectors(), "give its categorical_column"),
        (of_nothing(), "one feature column at least"),
    ],
    ids=["categories", "vectors", "nothing"],
)
def test_misused_columns_are_told(net, told):
    X, z = people(50)
    columns = [JOB, fc.embedding_column(JOB, 3)]
    with pytest.raises(ValueError, match=told):
        NetworkRegressor(net, feature_columns=columns, max_iter=1).fit(X, z)


def test_layers_ask_for_feature_columns():
    with pytest.raises(TypeError, match=r"an estimator with feature_columns=\[…\]"):
        NetworkRegressor(of_categories(), max_iter=1).fit(np.ones((5, 2)), np.arange(5))


def test_what_is_not_read_is_told():
    @network
    def age(x):
        return layers.input_layer(x, [RANGES])

    X, z = people(50)
    with pytest.warns(UserWarning, match="without reading columns/job"):
        NetworkRegressor(age(), feature_columns=[RANGES, JOB], max_iter=1).fit(X, z)


def test_inputs_and_columns_are_not_given_together():
    with pytest.raises(ValueError, match="inputs or feature_columns, not both"):
        NetworkClassifier(
            of_categories(), inputs={"a": [0]}, feature_columns=[JOB]
        ).fit(np.ones((4, 1)), [0, 1, 0, 1])


def test_other_tables_are_told_by_name():
    X, z = people(50)
    frame = pandas().DataFrame(X)
    columns = DEEP + WIDE
    reg = NetworkRegressor(wide_and_deep(), feature_columns=columns, max_iter=1)
    reg.fit(frame, z)
    assert reg.feature_names_in_.tolist() == list(X)
    with pytest.raises(ValueError, match="feature names"):
        reg.predict(frame.drop(columns="job"))
    with pytest.raises(ValueError, match="reads the column 'job'"):
        reg.predict({k: v for k, v in X.items() if k != "job"})
    with pytest.raises(TypeError, match="is no feature column"):
        reg.set_params(feature_columns=["age"]).fit(frame, z)
