"""Files of ensembles of tables whose parts do not fit each other: refused by name."""

import io

import numpy as np
import pytest
from support.model_files import with_model

import slimlearn
from slimlearn import TabularClassifier, TabularRegressor
from slimlearn.estimators.tables import ensemble

pd = pytest.importorskip("pandas")
RNG = np.random.default_rng(0)
ROWS = 60
KINDS = ("Tower", "Straight", "Near", "Neighbours")


def frame():
    found = pd.DataFrame(RNG.normal(size=(ROWS, 2)), columns=["a", "b"])
    found.loc[3, "a"] = np.nan
    levels = RNG.integers(0, 15, ROWS)
    days = pd.to_timedelta(RNG.integers(0, 900, ROWS), unit="D")
    found["d"] = pd.Timestamp("2020-01-01") + days
    found["k"] = pd.Categorical.from_codes(levels, [f"l{i}" for i in range(15)])
    return found


FRAME = frame()


@pytest.fixture(scope="module", params=[0, 2])
def saved(request) -> bytes:
    """A file with members of all kinds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ensemble, "_FOR_SEVERAL", ROWS)
        patch.setattr(ensemble, "best_share", lambda *args: 0.3)
        some = lambda losses, told, more, own: [0.2] * len(more)  # noqa: E731
        patch.setattr(ensemble, "best_shares", some)
        y = np.nan_to_num(FRAME["a"].to_numpy()) + FRAME["b"].to_numpy()
        make = TabularClassifier if request.param else TabularRegressor
        y = y > 0 if request.param else y
        model = make(5, preset="best", hidden_units=(4,), max_iter=1, random_state=0)
        model.fit(FRAME, y)
    assert {type(member.net).__name__ for member in model.members_} == set(KINDS)
    file = io.BytesIO()
    slimlearn.save(model, file)
    return file.getvalue()


def found(node, word: str):
    """The last object of a kind in the JSON of a model."""
    last = None
    if isinstance(node, dict):
        last = node if node.get("=") == word else None
    for part in node.values() if isinstance(node, dict) else node:
        if isinstance(part, (dict, list)):
            last = found(part, word) or last
    return last


def changed(data: bytes, word: str | None, name: str, value) -> bytes:
    """The file with another field of the model, or of its last object of a kind."""

    def change(told):
        node = found(told["model"], word) if word else told["model"]
        if value is None:
            del node[name]
        else:
            node[name] = value(node[name]) if callable(value) else value

    return with_model(data, change)


def member_of(data: bytes) -> str:
    return "RegressorMember" if b"RegressorMember" in data else "ClassifierMember"


def of_tuple(change):
    return lambda node: {"=": "tuple", "of": change(node["of"])}


NAN = {"=": "float", "of": "nan"}
WRONG = [
    *(("Neighbours", name, lambda n: n + 1) for name in ("size", "rows")),
    ("Neighbours", "embedding_size", 3),
    ("Neighbours", "cardinalities", of_tuple(lambda of: [of[0] - 1])),
    ("Neighbours", "edges", of_tuple(lambda of: of[:1])),
    ("Near", "rows", lambda n: n - 1),
    ("Near", "numbers", lambda n: n + 1),
    ("Near", "codes", lambda n: n + 1),
    ("Near", "closeness", "far"),
    ("Straight", "numbers", lambda n: n - 1),
    ("Straight", "cardinalities", of_tuple(lambda of: [of[0] + 1])),
    ("Tower", "units", of_tuple(lambda of: [of[0] + 1])),
    ("Tower", "cardinalities", of_tuple(lambda of: [of[0], 4])),
]


@pytest.mark.parametrize(("word", "name", "value"), WRONG)
def test_a_network_that_does_not_fit_its_program_is_refused(saved, word, name, value):
    slimlearn.load(saved).predict(FRAME[:2])
    what = r"its network (has|reads) .* (program|there are) |closeness is 'far'"
    with pytest.raises(ValueError, match=what):
        slimlearn.load(changed(saved, word, name, value))


@pytest.mark.parametrize("value", [-1, 0.5, "x", NAN, None, True, 2**60, []])
@pytest.mark.parametrize(
    ("word", "name"),
    [
        *(("Neighbours", name) for name in ("size", "rows", "cardinalities", "edges")),
        *(("Near", name) for name in ("rows", "numbers", "codes")),
        *(("Numbers", name) for name in ("median", "starts", "at", "edges")),
        ("NumberColumn", "position"),
    ],
)
def test_values_that_cannot_be_are_refused(saved, word, name, value):
    with pytest.raises(ValueError, match="the saved model is damaged"):
        slimlearn.load(changed(saved, word, name, value))


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("members_", lambda node: node[1:], "members count .* together, not 1"),
        ("members_", lambda node: [node[0], *node], "members count"),
        ("members_", [], "without members"),
        ("n_features_in_", 7, "knows 4 columns, and n_features_in_ is 7"),
        ("near_share_", -0.1, "near_share_ is -0.1"),
        ("linear_share_", NAN, "linear_share_ is nan"),
        ("neighbours_share_", 1.5, "neighbours_share_ is 1.5"),
    ],
)
def test_an_ensemble_that_counts_amiss_is_refused(saved, name, value, told):
    with pytest.raises(ValueError, match=told):
        slimlearn.load(changed(saved, None, name, value))


@pytest.mark.parametrize("value", [-0.5, 0.5, 7, NAN, None])
def test_a_share_that_is_none_is_refused(saved, value):
    with pytest.raises(ValueError, match=r"share_ is|members count|no share_"):
        slimlearn.load(changed(saved, member_of(saved), "share_", value))


def test_temperatures_and_ranges_that_cannot_be(saved):
    if b"TabularRegressor" not in saved:
        for name in ("classes_", "_has_columns", "_several", "temperature_"):
            with pytest.raises(ValueError, match=f"without {name}"):
                slimlearn.load(changed(saved, None, name, None))
        for name in ("_has_columns", "_several"):
            with pytest.raises(ValueError, match="another number of outputs"):
                slimlearn.load(changed(saved, None, name, True))
        with pytest.raises(ValueError, match=r"it has 0 classes, and .* tell 2"):
            slimlearn.load(changed(saved, None, "classes_", []))
        for value in (0.0, -1.0, NAN, {"=": "float", "of": "inf"}):
            with pytest.raises(ValueError, match="temperature_ is"):
                slimlearn.load(changed(saved, None, "temperature_", value))
        return
    for value in (NAN, 1e9):
        some = of_tuple(lambda of, value=value: [value, of[1]])
        with pytest.raises(ValueError, match="_range is"):
            slimlearn.load(changed(saved, None, "_range", some))
    with pytest.raises(ValueError, match="without _range"):
        slimlearn.load(changed(saved, None, "_range", None))
    for name in ("center", "scale", "constant"):
        with pytest.raises(ValueError, match=f"{name} is nan"):
            slimlearn.load(changed(saved, "RegressionHead", name, NAN))


def test_flags_and_inputs_that_do_not_fit(saved):
    for of in ([0.0], [0.0, 1.0, 2.0], [0.0, NAN]):
        with pytest.raises(ValueError, match="flag is"):
            slimlearn.load(with_model(saved, lambda told, of=of: set_flag(told, of)))

    def shift(node):
        node["values"][0] = {"=": "slice", "of": [0, 2, None]}
        return node

    with pytest.raises(ValueError, match="other columns than its program reads"):
        slimlearn.load(changed(saved, member_of(saved), "inputs", shift))


@pytest.mark.parametrize(
    "change",
    [
        lambda parts: [*parts, parts[0]],
        lambda parts: parts[1:],
        lambda parts: ["x", *parts[1:]],
        lambda parts: [],
    ],
)
def test_parts_of_dates_that_are_none_are_refused(saved, change):
    with pytest.raises(ValueError, match="a column of dates has the parts"):
        slimlearn.load(changed(saved, "DateColumn", "kept", of_tuple(change)))


@pytest.mark.parametrize("level", ["l1", NAN])
def test_levels_that_are_none_are_refused(saved, level):
    with pytest.raises(ValueError, match=r"has a level twice|levels is"):
        slimlearn.load(
            changed(saved, "CategoryColumn", "levels", lambda of: [level, *of[1:]])
        )


@pytest.mark.parametrize("change", [lambda of: [], lambda of: [*of, of[0]]])
def test_sources_that_do_not_fit_are_refused(saved, change):
    with pytest.raises(ValueError, match="other columns than its program reads"):
        slimlearn.load(changed(saved, "NamedInput", "forms", of_tuple(change)))


@pytest.mark.parametrize("most", [2, 3])
@pytest.mark.parametrize("kind", [int, object])
def test_files_of_several_outputs_are_read(most, kind):
    y = np.stack([np.arange(ROWS) % 2, np.arange(ROWS) % most], axis=1).astype(kind)
    model = TabularClassifier(2, hidden_units=(4,), max_iter=1, random_state=0)
    model.fit(FRAME, y)
    file = io.BytesIO()
    slimlearn.save(model, file)
    got = slimlearn.load(file.getvalue()).predict(FRAME)
    np.testing.assert_array_equal(got, model.predict(FRAME))


def set_flag(told, of) -> None:
    columns = told["model"]["encoder_"]["_encoding"]["columns"]
    columns[0]["flag"] = {"=": "tuple", "of": of}
