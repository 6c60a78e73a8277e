"""Model files of many kinds, with other bytes and fields: refused, or as they are."""

import io
import json
import os
import random
import resource
import warnings
from contextlib import contextmanager
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.datasets import make_classification
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, PolynomialFeatures
from support.model_files import (
    mutated,
    resealed,
    take_apart,
    with_model,
)

import slimlearn
from slimlearn import (
    DNNClassifier,
    DNNRegressor,
    LinearClassifier,
    LinearRegressor,
    SequenceClassifier,
    TabularClassifier,
)

# A long run: make fuzz-models
MUTATIONS = int(os.environ.get("SLIM_MUTATIONS", 500))
SEED = int(os.environ.get("SLIM_SEED", 0))
BOUND = 512 << 20  # bytes that a small file may ask for
pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:the file was saved by a newer slimlearn"),
]


def fitted() -> dict:
    """Models of each kind, by name, with rows to predict."""
    X, y = make_classification(60, 6, n_informative=4, n_classes=3, random_state=0)
    table = np.array([[i % 7, "abc"[i % 3]] for i in range(60)], object)
    table[5, 0] = np.nan
    prepared = ColumnTransformer(
        [("n", SimpleImputer(), [0]), ("c", OneHotEncoder(), [1])],
        sparse_threshold=0,
    )
    words = [f"{'red' if i % 2 else 'blue'} w{i % 5}" for i in range(60)]
    ragged = [np.ones((1 + i % 4, 2), np.float32) * i for i in range(12)]
    small = {"hidden_units": (3,), "max_iter": 1, "random_state": 0}
    quantiles = DNNRegressor(loss="quantile", quantile=(0.2, 0.8), **small)
    tabular = TabularClassifier(members=2, **small)
    return {
        "dense": (DNNClassifier(**small).fit(X, y), X[:3]),
        "quantiles": (quantiles.fit(X, y), X[:3]),
        "columns": (
            make_pipeline(prepared, DNNClassifier(**small)).fit(table, y),
            table[:3],
        ),
        "words": (
            make_pipeline(
                TfidfVectorizer(), LinearClassifier(max_iter=1, random_state=0)
            ).fit(words, y),
            words[:3],
        ),
        "ragged": (
            SequenceClassifier(max_iter=1, random_state=0).fit(ragged, y[:12]),
            ragged[:3],
        ),
        "tabular": (tabular.fit(table, y), table[:3]),
    }


@pytest.fixture(scope="module")
def saved() -> list:
    """Of each kind its file, the rows, and what they are predicted to be."""
    found = []
    for model, rows in fitted().values():
        file = io.BytesIO()
        slimlearn.save(model, file)
        found.append((file.getvalue(), rows, answers(model, rows)))
    return found


def answers(model, rows) -> list:
    names = ("predict", "predict_proba", "predict_quantiles")
    return [getattr(model, n)(rows).tolist() for n in names if hasattr(model, n)]


@contextmanager
def bounded():
    """Let what runs here take BOUND bytes more than are taken, and no more."""
    before = resource.getrlimit(resource.RLIMIT_DATA)
    fields = dict(
        line.split(":", 1)
        for line in Path("/proc/self/status").read_text().splitlines()
    )
    used = int(fields["VmData"].split()[0]) << 10
    resource.setrlimit(resource.RLIMIT_DATA, (used + BOUND, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def tried(data: bytes, rows) -> bool:
    """Whether a file is read; then it answers, or says why it does not."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            loaded = slimlearn.load(data)
        except ValueError:
            return False
        try:
            loaded.predict(rows)
        except (MemoryError, SystemError, AssertionError):
            raise
        except Exception:  # as a model whose parameters were set wrong
            pass
    return True


def test_mutated_bytes_are_refused_or_equal(saved):
    chance, equal = random.Random(SEED), 0
    with bounded():
        for number in range(6 * MUTATIONS):
            data, rows, wanted = saved[number % len(saved)]
            try:
                loaded = slimlearn.load(mutated(data, chance))
            except ValueError:
                continue
            equal += 1
            assert answers(loaded, rows) == wanted, number
    assert equal < MUTATIONS


def nodes_of(value, found: list) -> list:
    """Every place in a JSON value: its holder, and the key there."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, part in items:
        found.append((value, key))
        if isinstance(part, (dict, list)):
            nodes_of(part, found)
    return found


def change_some(told: dict, chance: random.Random) -> None:
    for _ in range(chance.choice((1, 1, 2, 4))):
        places = nodes_of(told, [])
        holder, key = chance.choice(places)
        other, from_ = chance.choice(places)
        new = chance.choice(
            (
                *(None, True, -1, 0, 1, 2**31, 2**63, 10**30, 0.5, 1e308, "", "x"),
                *([], {}, [[]], json.loads(json.dumps(other[from_]))),
                {"=": "float", "of": "nan"},
            )
        )
        if chance.random() < 0.2 and isinstance(holder, dict):
            del holder[key]
        else:
            holder[key] = new


def test_mutated_fields_are_refused_or_work_as_python_does(saved):
    chance, read = random.Random(SEED), 0
    with bounded():
        for number in range(MUTATIONS):
            data, rows, _ = saved[number % len(saved)]
            changed = with_model(data, lambda told: change_some(told, chance))
            read += tried(changed, rows)
    assert read > MUTATIONS // 50


def count_in_step(told: dict, name: str, count: int) -> None:
    """Let the first step of a pipeline count its columns so."""
    step = told["model"]["steps"][0]["of"][1]
    step[name] = [count] * len(step[name]) if isinstance(step[name], list) else count


def test_steps_that_count_other_columns_than_they_give_are_refused(tmp_path):
    X, y = np.array([[0.0, 1.0], [1.0, 2.0], [2.0, 1.0]] * 4), np.arange(12.0)
    net, file = LinearRegressor(max_iter=1, random_state=0), tmp_path / "m.slim"
    counted = ("_n_features_outs", "n_output_features_", "_n_out_full", "_max_degree")
    for step in (
        OneHotEncoder(drop="if_binary"),
        OneHotEncoder(max_categories=2, handle_unknown="infrequent_if_exist"),
        PolynomialFeatures(3, include_bias=False),
        PolynomialFeatures((1, 1), interaction_only=True),
    ):
        model = make_pipeline(step, net).fit(X, y)
        slimlearn.save(model, file)
        assert (slimlearn.load(file).predict(X) == model.predict(X)).all()
        data = file.read_bytes()
        names = [name for name in counted if name in vars(step)]
        assert names
        for name, count in product(names, (-1, 2**31, 2**62)):
            change = partial(count_in_step, name=name, count=count)
            with pytest.raises(ValueError, match="columns than its fit tells"):
                slimlearn.load(with_model(data, change))


def test_mutated_texts_and_arrays_under_right_checksums(saved):
    chance, read = random.Random(SEED), 0
    with bounded():
        for number in range(MUTATIONS):
            data, rows, _ = saved[number % len(saved)]
            header, arrays = take_apart(data)
            texts = [key for key in header["__metadata__"] if "sums" not in key]
            if chance.random() < 0.5:
                key = chance.choice(texts)
                text = mutated(header["__metadata__"][key].encode(), chance)
                header["__metadata__"][key] = text.decode(errors="replace")
            else:
                at = chance.randrange(len(arrays))
                new = bytes([chance.choice((0, 1, 127, 128, 255))]) * chance.choice(
                    (1, 4)
                )
                arrays = arrays[:at] + new + arrays[at + len(new) :]
            read += tried(resealed(header, arrays), rows)
    assert read > MUTATIONS // 50
