"""TabularEncoder: what columns of any type become."""

import pickle
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.sparse import csr_array
from scipy.stats import rankdata
from sklearn.preprocessing import QuantileTransformer

from slimlearn import TabularEncoder
from slimlearn.backend.coded import Coded
from slimlearn.estimators.tables import coding
from slimlearn.estimators.tables.table import open_table

rng = np.random.default_rng(0)


def mixed(n=60):
    """A frame with a column of each kind, and values missing in each."""
    frame = pd.DataFrame(
        {
            "number": rng.normal(size=n),
            "whole": pd.array(rng.integers(0, 50, n), dtype="Int64"),
            "flag": np.arange(n) % 3 == 0,
            "small": pd.Categorical(np.array(["a", "b", "c"])[np.arange(n) % 3]),
            "text": [f"city {i % 20}" for i in range(n)],
            "when": pd.date_range("2021-03-01", periods=n, freq="31h"),
        }
    )
    for i, name in enumerate(frame):
        frame[name] = frame[name].astype(object) if name == "flag" else frame[name]
        frame.loc[i, name] = None
    return frame


def column(values, **options):
    """What comes out for a single column."""
    return TabularEncoder(**options).fit_transform(pd.DataFrame({"a": values}))


def test_the_table_of_columns():
    encoder = TabularEncoder().fit(mixed())
    kinds = {row["column"]: (row["kind"], row["distinct"]) for row in encoder.columns_}
    assert kinds == {
        "number": ("numbers", None),
        "whole": ("numbers", None),
        "flag": ("categories", 2),
        "small": ("categories", 3),
        "text": ("categories", 20),
        "when": ("dates", None),
    }
    assert encoder.columns_[0]["missing"] == pytest.approx(1 / 60)
    assert encoder.cardinalities_ == [21]
    text = str(encoder.columns_)
    assert text.splitlines()[0].split()[:3] == ["column", "kind", "missing"]
    assert "<td>when</td>" in encoder.columns_._repr_html_()


def test_rows_alone_and_together_are_the_same_bits():
    frame = mixed(700)
    views = ("robust", "scores", "bins")
    encoder = TabularEncoder(views=views).fit(frame)
    whole = encoder.transform(frame)
    assert whole.shape[1] == len(encoder.get_feature_names_out())
    for i in (0, 3, 5, 99):
        np.testing.assert_array_equal(
            encoder.transform(frame.iloc[i : i + 1])[0], whole[i]
        )
    np.testing.assert_array_equal(encoder.transform(frame[::2]), whole[::2])
    again = pickle.loads(pickle.dumps(encoder))
    np.testing.assert_array_equal(again.transform(frame), whole)


@pytest.mark.parametrize("kind", ["frame", "array"])
def test_the_short_road_of_a_few_rows(kind):
    X = mixed(80).drop(columns=["when", "flag", "whole"])
    if kind == "array":
        X = rng.normal(size=(80, 4))
        X[rng.random(X.shape) < 0.1] = np.nan
    views = ("robust", "scores", "bins")
    encoder = TabularEncoder(views=views).fit(X)
    whole = encoder.transform(X)
    for i in range(8):
        row = X[i : i + 1]
        np.testing.assert_array_equal(encoder._encoding.quick(row, views)[0], whole[i])
    assert encoder._encoding.quick(X[:0], views) is None
    if kind == "array":
        assert encoder._encoding.quick(X[:, :3], views) is None
        assert encoder._encoding.quick(X.astype(object), views) is None
        return
    assert encoder._encoding.quick(X[:2], views) is None
    unseen = X[:1].assign(text="unseen")
    want = encoder.transform(unseen)
    np.testing.assert_array_equal(encoder._encoding.quick(unseen, views), want)
    for odd in ({"number": "x"}, {"text": 3.0}, {"small": 3.0}):
        assert encoder._encoding.quick(X[:1].assign(**odd), views) is None
    assert (
        encoder._encoding.quick(X[:1].rename(columns={"text": "word"}), views) is None
    )


def test_libraries_agree():
    frame = mixed()
    frame["flag"] = frame["flag"].astype("boolean")
    of_pandas = TabularEncoder().fit(frame)
    polars = pl.DataFrame(
        {
            "number": pl.Series(frame["number"].tolist(), nan_to_null=True),
            "whole": pl.Series([None if v is pd.NA else v for v in frame["whole"]]),
            "flag": pl.Series([None if v is pd.NA else v for v in frame["flag"]]),
            "small": pl.Series(
                [None if v != v else v for v in frame["small"]], dtype=pl.Categorical
            ),
            "text": pl.Series(
                [v if isinstance(v, str) else None for v in frame["text"]]
            ),
            "when": pl.Series(
                [None if v is pd.NaT else v.to_pydatetime() for v in frame["when"]]
            ),
        }
    )
    want = of_pandas.transform(frame)
    np.testing.assert_array_equal(TabularEncoder().fit_transform(polars), want)
    np.testing.assert_array_equal(of_pandas.transform(polars), want)
    rows = [list(row) for row in polars.iter_rows()]
    np.testing.assert_array_equal(TabularEncoder().fit_transform(rows), want)
    arrow = pytest.importorskip("pyarrow").table(polars.to_arrow())
    np.testing.assert_array_equal(of_pandas.transform(arrow), want)


# -- numbers ---------------------------------------------------------------------


def test_the_robust_view():
    values = np.array([0.0, 1.0, 2.0, 3.0, 4.0, 1e9])
    found = column(values, views="robust")[:, 0]
    scaled = (values - 2.0) / (4.0 - 1.0)
    np.testing.assert_allclose(
        found, scaled / np.sqrt(1 + (scaled / 3) ** 2), rtol=1e-6
    )
    assert found.max() <= 3


def test_normal_scores_are_those_of_ranks():
    values = np.r_[rng.integers(0, 9, 200), rng.normal(size=200) ** 3].astype(float)
    found = column(values, views="scores")[:, 0]
    from scipy.special import ndtri

    want = ndtri((rankdata(values) - 0.5) / len(values))
    np.testing.assert_allclose(found, want, atol=1e-6)
    many = rng.lognormal(size=20_000)
    theirs = QuantileTransformer(output_distribution="normal", subsample=None)
    theirs = theirs.fit_transform(many[:, None])[:, 0]
    ours = column(many, views="scores")[:, 0]
    inner = np.abs(theirs) < 2.5
    np.testing.assert_allclose(ours[inner], theirs[inner], atol=0.02)


def test_bins_are_piecewise_linear():
    values = rng.normal(size=400)
    encoder = TabularEncoder(views=("scores", "bins"), n_bins=4)
    found = encoder.fit_transform(values[:, None])
    score, bins = found[:, 0], found[:, 1:]
    assert bins.shape[1] == 4
    edges = np.quantile(score, [0, 0.25, 0.5, 0.75, 1])
    inside = (bins[:, 1] > 0) & (bins[:, 1] < 1)
    want = (score - edges[1]) / (edges[2] - edges[1])
    np.testing.assert_allclose(bins[inside, 1], want[inside], atol=0.05)
    assert (bins[score > edges[2], 1] == 1).all() and (
        bins[score < edges[1], 1] == 0
    ).all()
    assert (np.diff(bins, axis=1) <= 1e-6).all()


def test_weights_count_as_repeated_rows():
    X = mixed(80)
    weights = rng.integers(0, 4, len(X))
    views = ("robust", "scores", "bins")
    weighed = TabularEncoder(views=views).fit(X, sample_weight=weights)
    index = np.repeat(np.arange(len(X)), weights)
    repeated = TabularEncoder(views=views).fit(X.iloc[index])
    names = weighed.get_feature_names_out().tolist()
    common = [i for i, name in enumerate(names) if not name.endswith("_code")]
    np.testing.assert_allclose(
        weighed.transform(X)[:, common], repeated.transform(X)[:, common], atol=1e-6
    )


def test_missing_numbers_are_the_median_with_an_indicator():
    encoder = TabularEncoder(views="robust")
    found = encoder.fit_transform(np.array([[0.0], [1.0], [2.0], [np.nan]]))
    assert encoder.get_feature_names_out().tolist() == ["x0_robust", "x0_missing"]
    assert found[3, 0] == found[1, 0] == 0
    assert found[3, 1] > found[0, 1] == found[1, 1]
    # What is missing only later has no indicator, and is the median.
    later = TabularEncoder(views="robust").fit(np.array([[0.0], [1.0], [2.0]]))
    assert later.transform([[np.nan]]).tolist() == [[0.0]]


def test_infinite_and_huge_numbers_count_as_the_farthest():
    values = np.r_[np.linspace(-1, 1, 20), np.inf, -np.inf, 1e308, -1e308]
    found = column(values, views=("robust", "scores"))
    assert np.isfinite(found).all()
    assert found[:, 0].max() == found[20, 0] and found[:, 0].min() == found[21, 0]
    assert found[20, 1] == found[22, 1] == found[:, 1].max()


def test_columns_that_tell_nothing_are_left_out():
    X = pd.DataFrame(
        {
            "empty": [None] * 12,
            "nan": [np.nan] * 12,
            "constant": 7,
            "word": "same",
            "ids": [f"id{i}" for i in range(12)],
            "x": np.arange(12.0),
        }
    )
    encoder = TabularEncoder().fit(X)
    kinds = [row["kind"] for row in encoder.columns_]
    assert kinds == [
        "empty",
        "empty",
        "constant",
        "constant",
        "of single values",
        "numbers",
    ]
    assert encoder.get_feature_names_out().tolist() == ["x_robust", "x_scores"]
    nothing = TabularEncoder().fit(X[["empty", "constant"]])
    assert nothing.transform(X[["empty", "constant"]]).shape == (12, 0)
    # They are not looked at later either.
    X["empty"], X["constant"] = [[1]] * 12, "other"
    assert encoder.transform(X).shape == (12, 2)


def test_constant_numbers_that_are_missing_somewhere_are_indicators():
    encoder = TabularEncoder().fit([[1.0], [np.nan], [1.0]])
    assert encoder.get_feature_names_out().tolist() == ["x0_missing"]
    there, gone = encoder.transform([[1.0], [None]])[:, 0]
    assert there == 0 and gone == pytest.approx(1 / np.sqrt(1 + 1 / 9))


# -- categories ------------------------------------------------------------------


def test_few_levels_get_columns_and_many_codes():
    few = column(pd.Categorical(["a", "b", "c", None] * 5))
    assert few.shape == (20, 3)
    assert [row.argmax() for row in few[:3]] == [0, 1, 2]
    two = column(["no", "yes", None, "no"] * 5)
    assert two.shape == (20, 1) and two[0, 0] < two[2, 0] < two[1, 0]
    many = column(["abcdefghijkl"[i % 12] for i in range(36)])
    assert many[:, 0].tolist() == [i % 12 + 1 for i in range(36)]


def test_unseen_levels_are_zero_as_missing_ones_are():
    words = ["abcdefghijkl"[i % 12] for i in range(36)]
    encoder = TabularEncoder().fit(pd.DataFrame({"a": words}))
    now = pd.DataFrame({"a": ["b", "never", None]})
    assert encoder.transform(now)[:, 0].tolist() == [2, 0, 0]
    few = TabularEncoder().fit([["a"], ["b"], ["c"], [None]])
    found = few.transform([["never"], [None]])
    np.testing.assert_array_equal(found[0], found[1])


def test_categories_are_known_by_value():
    train = pd.DataFrame({"a": pd.Categorical(["x", "y", "z"] * 4)})
    encoder = TabularEncoder().fit(train)
    want = encoder.transform(train)
    other = train["a"].cat.reorder_categories(["z", "x", "y"])
    for same in (other, other.cat.add_categories(["w"]), train["a"].astype(object)):
        np.testing.assert_array_equal(encoder.transform(same.to_frame()), want)
    numbers = pd.DataFrame({"a": pd.Categorical([3, 1, 2] * 4)})
    encoder = TabularEncoder().fit(numbers)
    np.testing.assert_array_equal(
        encoder.transform(numbers.astype(float)), encoder.transform(numbers)
    )


def test_rare_levels_count_as_unseen():
    words = ["abcdefghij"[i % 10] for i in range(40)] + ["once"]
    encoder = TabularEncoder().fit(pd.DataFrame({"a": words}))
    assert encoder.cardinalities_ == [11]
    assert encoder.columns_[0]["distinct"] == 11
    most = TabularEncoder(max_categories=3, max_one_hot=2)
    counts = {"a": 5, "b": 9, "c": 2, "d": 7}
    words = [word for word, n in counts.items() for _ in range(n)]
    most.fit(pd.DataFrame({"a": words}))
    codes = most.transform(pd.DataFrame({"a": list("abcd")}))[:, 0]
    assert codes.tolist() == [1, 2, 0, 3]


def test_a_million_categories():
    n = 30_000
    known = pd.Index([f"level {i}" for i in range(1_000_000)])
    codes = np.r_[np.arange(n // 2), np.arange(n // 2)]
    frame = pd.DataFrame({"a": pd.Categorical.from_codes(codes, known)})
    encoder = TabularEncoder().fit(frame)
    assert encoder.cardinalities_ == [10_001]
    found = encoder.transform(frame)[:, 0]
    assert len(np.unique(found)) == 10_001
    assert encoder.transform(frame[5:6])[0, 0] == found[5]


def test_many_thousand_categories_in_the_rows():
    codes = np.repeat(np.arange(200_000), 2)
    frame = pd.DataFrame({"a": codes.astype(str), "b": codes})
    encoder = TabularEncoder(categorical_features=["b"], max_categories=500)
    assert encoder.fit(frame).cardinalities_ == [501, 501]
    assert (encoder.transform(frame[-3:]) >= 0).all()


@pytest.mark.parametrize("wish", [["b"], [1], [-1], [False, True]])
def test_numbers_that_are_categories(wish):
    frame = pd.DataFrame({"a": [1.5, 2.5, 3.5, 4.5] * 3, "b": [1, 2, 3, 1] * 3})
    encoder = TabularEncoder(categorical_features=wish).fit(frame)
    assert [row["kind"] for row in encoder.columns_] == ["numbers", "categories"]
    assert encoder.get_feature_names_out().tolist()[-3:] == ["b_1", "b_2", "b_3"]


@pytest.mark.parametrize(
    "wish, told",
    [
        (["c"], "names the column 'c', which X does not have; it has 'a', 'b'"),
        ([2], "names column 2, X has 2 columns"),
        ([True], "has 1 truth values, X has 2 columns"),
    ],
)
def test_wishes_for_categories_that_are_no_columns(wish, told):
    frame = pd.DataFrame({"a": [1, 2], "b": [3, 4]})
    with pytest.raises(ValueError, match=told):
        TabularEncoder(categorical_features=wish).fit(frame)


# -- dates -----------------------------------------------------------------------


def dated(values, **options):
    """Medians would hide the numbers: the parts of dates by their names."""
    encoder = TabularEncoder().fit(pd.DataFrame({"t": values}))
    [row] = encoder.columns_
    return encoder, row["features"]


def test_parts_of_dates_as_far_as_they_vary():
    days = [date(2020, 1, 1) + timedelta(days=40 * i) for i in range(30)]
    assert dated(days)[1].startswith("age, year, month, day, weekday, robust")
    hours = pd.date_range("2020-01-06", periods=10, freq="h")
    assert dated(hours)[1].startswith("age, hour, robust")
    names = dated(hours)[0].get_feature_names_out().tolist()
    assert names == ["t_age_robust", "t_hour_robust", "t_age_scores", "t_hour_scores"]


def test_zones_are_those_of_the_fit():
    berlin = ZoneInfo("Europe/Berlin")
    start = datetime(2021, 3, 1, tzinfo=timezone.utc)
    utc = [start + timedelta(hours=13 * i) for i in range(60)]
    local = [t.astimezone(berlin) for t in utc]
    encoder, _ = dated(local)
    want = encoder.transform(pd.DataFrame({"t": local}))
    for other in (
        pd.Series(local).dt.tz_convert("UTC"),
        pd.Series(utc, dtype=object),
        pl.Series(local).dt.convert_time_zone("America/Lima").to_list(),
    ):
        np.testing.assert_array_equal(
            encoder.transform(pd.DataFrame({"t": other})), want
        )
    naive = pd.DataFrame({"t": [t.replace(tzinfo=None) for t in local]})
    with pytest.raises(ValueError, match="'t' held dates with a time zone in fit, and"):
        encoder.transform(naive)
    with pytest.raises(ValueError, match="'t' has dates with and without time zones"):
        dated(np.array([local[0], local[0].replace(tzinfo=None)], dtype=object))


def test_durations_are_days_and_arrays_of_dates_are_read():
    spans = pd.to_timedelta([1, 2, 3, None], unit="D")
    np.testing.assert_array_equal(column(spans), column([1.0, 2.0, 3.0, np.nan]))
    whole = np.array(["2020-01-01", "2021-02-03", "NaT"], "M8[D]")[:, None]
    assert TabularEncoder().fit(whole).columns_[0]["kind"] == "dates"


# -- what is refused -------------------------------------------------------------


@pytest.mark.parametrize(
    "values, kind, told",
    [
        ([[1], [2]], TypeError, "column 'a' holds elements of type list, such as"),
        (
            [1, "b"],
            TypeError,
            "column 'a' mixes values of types int, str, such as 1, 'b'",
        ),
        ([1 + 2j, 3.0], ValueError, "Complex data not supported"),
        ([b"x", b"y"], ValueError, "column 'a' holds values of type bytes"),
        (pd.interval_range(0, 2), ValueError, "column 'a' holds intervals"),
    ],
)
def test_columns_that_are_refused(values, kind, told):
    with pytest.raises(kind, match=told):
        TabularEncoder().fit(pd.DataFrame({"a": values}))


def test_numbers_of_python_are_read():
    values = [Decimal("1.5"), 2, 3.5, np.float32(4), None, True]
    want = column([1.5, 2, 3.5, 4, np.nan, 1])
    np.testing.assert_array_equal(column(np.array(values, dtype=object)), want)


@pytest.mark.parametrize(
    "then, now, told",
    [
        (
            [1.0, 2.0],
            ["x", "y"],
            "'a' held numbers in fit, and holds texts now, such as",
        ),
        (["x", "y"], [1.0, 2.0], "'a' held categories such as 'x', 'y' in fit, and"),
        (pd.Categorical(["x", "y"]), pd.Categorical([1, 2]), "holds numbers now"),
        (
            pd.date_range("2020", periods=2),
            [1.0, 2.0],
            "held dates in fit, and holds num",
        ),
        (["x", "y"], pd.date_range("2020", periods=2), "holds dates now"),
    ],
)
def test_another_kind_later_is_refused(then, now, told):
    encoder = TabularEncoder().fit(pd.DataFrame({"a": then}))
    with pytest.raises(ValueError, match=told):
        encoder.transform(pd.DataFrame({"a": now}))


def test_numbers_may_come_back_as_categories_of_numbers():
    frame = pd.DataFrame({"a": [1.0, 2.0, 3.0, 5.0]})
    encoder = TabularEncoder().fit(frame)
    same = frame.astype("category")
    np.testing.assert_array_equal(encoder.transform(same), encoder.transform(frame))
    nothing = pd.DataFrame({"a": [None, None]}, dtype=object)
    missing = pd.DataFrame({"a": [np.nan, np.nan]})
    np.testing.assert_array_equal(
        encoder.transform(nothing), encoder.transform(missing)
    )


def test_frames_that_are_refused():
    twice = pd.DataFrame([[1.0, 2.0]] * 3, columns=["a", "a"])
    with pytest.raises(ValueError, match="several columns named 'a': rename them"):
        TabularEncoder().fit(twice)
    with pytest.raises(TypeError, match="X is sparse"):
        TabularEncoder().fit(csr_array(np.eye(3)))
    with pytest.raises(TypeError, match="collect"):
        TabularEncoder().fit(pl.LazyFrame({"a": [1]}))
    with pytest.raises(ValueError, match="0 sample"):
        TabularEncoder().fit(pd.DataFrame({"a": []}))
    fitted = TabularEncoder().fit(pd.DataFrame({"a": [1, 2], "b": [2, 3]}))
    with pytest.raises(ValueError, match="same order"):
        fitted.transform(pd.DataFrame({"b": [1], "a": [2]}))
    with pytest.raises(ValueError, match="views"):
        TabularEncoder(views=("robust", "robust")).fit([[1.0], [2.0]])


@pytest.mark.parametrize("kind", ["frame", "matrix", "whole numbers", "many levels"])
def test_rows_as_codes(kind, monkeypatch):
    """What a fit holds in 16 bits is what is encoded, or next to it."""
    own, n = np.random.default_rng(0), 6000
    numbers = own.normal(size=(n, 3)) ** [1, 3, 1]
    numbers[:, 1] = numbers[:, 1].round(1)
    numbers[5:9] = np.nan
    numbers[10, 0], numbers[11, 0] = np.inf, -np.inf
    X = numbers
    if kind == "whole numbers":
        X = own.integers(0, 5000, (n, 3))
    elif kind != "matrix":
        X = pd.DataFrame(numbers, columns=list("abc"))
        X["few"] = pd.Categorical.from_codes(np.arange(n) % 3, list("xyz"))
        X["many"] = [f"level {i % 40}" for i in range(n)]
        X["when"] = pd.Timestamp("2021-03-01") + pd.to_timedelta(np.arange(n), "h")
        X.loc[::9, "when"] = pd.NaT
        X["gone"] = np.where(np.arange(n) % 5 == 0, np.nan, 1.0)
        X["more"] = pd.Categorical.from_codes(np.arange(n) % 7 % 5, list("vwxyz"))
    if kind == "many levels":
        X["ids"] = np.repeat([f"id {i}" for i in range(n // 2)], 2)
        monkeypatch.setattr(coding, "_CODES", 2000)
    encoder = TabularEncoder(max_categories=10**6).fit(X)
    table, views = open_table(encoder, X, reset=False), ("robust", "scores")
    dense = encoder.transform(X)
    few = coding.code_rows(encoder._encoding, table, views)
    np.testing.assert_array_equal(few, dense)
    monkeypatch.setattr(coding, "_FEW", 0)
    rows = coding.code_rows(encoder._encoding, table, views)
    if kind == "many levels":
        assert type(rows) is np.ndarray
        return
    assert type(rows) is Coded and rows.shape == dense.shape
    numbers = len(encoder._encoding.numbers)
    # Flags and two columns of few levels share a code, 40 levels have no room in it.
    assert rows.codes.shape == (n, numbers + 2 * (X.shape[1] > 3))
    names = encoder.get_feature_names_out().tolist()
    for i, name in enumerate(names):
        found, wanted = rows[:][:, i], dense[:, i]
        values = len(np.unique(wanted))
        if values <= 1000:  # each has a knot
            np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-6, err_msg=name)
        elif name.endswith("scores"):
            np.testing.assert_allclose(found, wanted, rtol=0, atol=0.02, err_msg=name)
        # Robust ends bend between the last knots, of which few rows know.
        assert np.quantile(np.abs(found - wanted), 0.99) < 0.01, name
    for i in (0, names.index("a_scores" if "a_scores" in names else "x0_scores")):
        assert kind == "whole numbers" or (rows[10:12][:, i] == dense[10:12, i]).all()
