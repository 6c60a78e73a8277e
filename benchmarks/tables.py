"""Tables: ours beside trees and other networks: ``python benchmarks/tables.py``.

``--data DIRECTORY`` (or ``TABLES``) names a folder of parquet files whose column
``__target__`` is y, with a ``meta.json`` that tells each one's ``task``: "binary",
"multiclass" or "regression". Without it, and besides, tables are generated.
``--others`` takes those of `other_tables.py` instead. Contenders whose packages are
missing are left out, which is said. All run on one thread.

An error is 1 - accuracy, or the root mean square error in deviations of y. The mean of
errors over tables is the shifted geometric one, exp(mean(log(error + 0.01))) - 0.01.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
import time
import warnings
from pathlib import Path

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
for _name in THREADS:
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
from other_tables import other_tables  # noqa: E402
from scipy.stats import rankdata  # noqa: E402
from sklearn.compose import make_column_selector, make_column_transformer  # noqa: E402
from sklearn.ensemble import (  # noqa: E402
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
)
from sklearn.impute import SimpleImputer  # noqa: E402
from sklearn.linear_model import LogisticRegression, RidgeCV  # noqa: E402
from sklearn.metrics import log_loss  # noqa: E402
from sklearn.model_selection import KFold, StratifiedKFold  # noqa: E402
from sklearn.neural_network import MLPClassifier, MLPRegressor  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import OneHotEncoder, StandardScaler  # noqa: E402

from slimlearn import (  # noqa: E402
    DNNClassifier,
    DNNRegressor,
    TabularClassifier,
    TabularRegressor,
)

SHIFT = 0.01

# Beside whom the others are shown, if it is there.
BASE = "CatBoost"


# -- tables ---------------------------------------------------------------------


def generated(rows: int) -> dict:
    """Tables of mixed columns whose y is known."""
    rng = np.random.default_rng(0)
    found = {}
    for task in ("regression", "binary"):
        numbers = rng.normal(size=(rows, 8)) ** np.array([1, 1, 3, 1, 1, 1, 1, 3])
        small, large = rng.integers(0, 4, rows), rng.integers(0, 60, rows)
        effect = rng.normal(size=60)
        y = np.sin(2 * numbers[:, 0]) + (numbers[:, 1] > 0.5) * numbers[:, 3]
        y = y + effect[large] + 0.5 * (small == 2) * numbers[:, 4]
        y = y + 0.3 * rng.normal(size=rows)
        frame = pd.DataFrame(numbers, columns=[f"n{i}" for i in range(8)])
        frame = frame.mask(rng.random(frame.shape) < 0.03)
        frame["small"] = pd.Categorical.from_codes(small, list("abcd"))
        frame["large"] = pd.Categorical.from_codes(large, [f"c{i}" for i in range(60)])
        label = np.where(y > np.median(y), "yes", "no")
        found[f"made_{task}"] = frame, y if task == "regression" else label, task
    return found


def handed(folder: Path, names: list[str] | None) -> dict:
    """The tables of a folder."""
    meta = json.loads((folder / "meta.json").read_text())
    found = {}
    for name in names or meta:
        frame = pd.read_parquet(folder / f"{name}.parquet")
        y, task = frame.pop("__target__"), meta[name]["task"]
        if task != "regression":
            y = y.astype(str)
            kept = y.isin([k for k, n in y.value_counts().items() if n >= 6])
            frame, y = frame[kept].reset_index(drop=True), y[kept]
        for column in frame.select_dtypes("category"):
            frame[column] = frame[column].cat.remove_unused_categories()
        found[name] = frame, y.to_numpy(), task
    return found


def folds(frame, y, task: str, most: int | None):
    """Training and test rows: 5 folds up to 1,500 rows, else 3; always the same."""
    count = 5 if len(frame) <= 1500 else 3
    kind = KFold if task == "regression" else StratifiedKFold
    split = kind(count, shuffle=True, random_state=0).split(frame, y)
    return [(train[:most], test) for train, test in split]


# -- contenders ---------------------------------------------------------------------


def _prepared(model, frame):
    """Steps that a careful user puts before a network or a linear model."""
    words = make_column_selector(dtype_exclude=np.number)
    numbers = make_pipeline(
        SimpleImputer(strategy="median", add_indicator=True), StandardScaler()
    )
    encoder = OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=2)
    encoder.set_params(sparse_output=False)
    columns = make_column_transformer(
        (numbers, make_column_selector(dtype_include=np.number)), (encoder, words)
    )
    return make_pipeline(columns, model)


def _plain(frame):
    """Categories as CatBoost takes them."""
    frame = frame.copy()
    for column in frame.select_dtypes("category"):
        frame[column] = frame[column].astype(object).fillna("?").astype(str)
    return frame


class CatBoost:
    """CatBoost as it is, on categories by name."""

    def __init__(self, regression: bool):
        from catboost import CatBoostClassifier, CatBoostRegressor

        make = CatBoostRegressor if regression else CatBoostClassifier
        self.model = make(
            verbose=0, thread_count=1, random_seed=0, allow_writing_files=False
        )

    def fit(self, frame, y):
        words = list(frame.select_dtypes("category").columns)
        self.model.fit(_plain(frame), y, cat_features=words)
        self.classes_ = getattr(self.model, "classes_", None)
        return self

    def predict(self, frame):
        return np.ravel(self.model.predict(_plain(frame)))

    def predict_proba(self, frame):
        return self.model.predict_proba(_plain(frame))


class Pytabkit:
    """A network of pytabkit, which takes categories, but no missing numbers."""

    def __init__(self, name: str, regression: bool):
        import pytabkit

        kind = getattr(
            pytabkit, f"{name}_{'Regressor' if regression else 'Classifier'}"
        )
        self.model = kind(device="cpu", n_threads=1, random_state=0)

    def fit(self, frame, y):
        self.medians = frame.select_dtypes("number").median()
        self.model.fit(frame.fillna(self.medians), y)
        self.classes_ = getattr(self.model, "classes_", None)
        return self

    def predict(self, frame):
        return np.ravel(self.model.predict(frame.fillna(self.medians)))

    def predict_proba(self, frame):
        return self.model.predict_proba(frame.fillna(self.medians))


def _pytabkit(name: str):
    return lambda regression, frame: Pytabkit(name, regression)


def _ours(**settings):
    def make(regression: bool, frame):
        kind = TabularRegressor if regression else TabularClassifier
        return kind(random_state=0, n_threads=1, **settings)

    return make


def _lightgbm(regression: bool, frame):
    import lightgbm

    kind = lightgbm.LGBMRegressor if regression else lightgbm.LGBMClassifier
    return kind(n_jobs=1, random_state=0, verbose=-1)


def _histogram(regression: bool, frame):
    kind = HistGradientBoostingRegressor
    if not regression:
        kind = HistGradientBoostingClassifier
    return kind(categorical_features="from_dtype", random_state=0)


def _dnn(regression: bool, frame):
    kind = DNNRegressor if regression else DNNClassifier
    return _prepared(kind(random_state=0, n_threads=1), frame)


def _mlp(regression: bool, frame):
    kind = MLPRegressor if regression else MLPClassifier
    return _prepared(kind(random_state=0, early_stopping=True), frame)


def _linear(regression: bool, frame):
    model = RidgeCV(np.logspace(-2, 3, 6)) if regression else LogisticRegression()
    return _prepared(model, frame)


CONTENDERS = {
    "ours": (None, _ours()),
    "ours, fast": (None, _ours(preset="fast")),
    "ours, best": (None, _ours(preset="best")),
    "ours, one": (None, _ours(members=1)),
    "DNN": (None, _dnn),
    "HistGB": (None, _histogram),
    "LightGBM": ("lightgbm", _lightgbm),
    "CatBoost": ("catboost", lambda regression, frame: CatBoost(regression)),
    "RealMLP_TD": ("pytabkit", _pytabkit("RealMLP_TD")),
    "TabM_D": ("pytabkit", _pytabkit("TabM_D")),
    "sklearn MLP": (None, _mlp),
    "linear": (None, _linear),
}


# -- measuring ---------------------------------------------------------------------


def measured(model, frame, y, task: str, train, test) -> dict:
    """Error, log loss or R², and processor seconds of one fold."""
    X, X_test = (frame.iloc[rows].reset_index(drop=True) for rows in (train, test))
    begun = time.process_time()
    model.fit(X, y[train])
    fitted = time.process_time()
    predicted = np.ravel(model.predict(X_test))
    asked = time.process_time()
    found = {"rows": len(train), "fit": fitted - begun, "predict": asked - fitted}
    if task == "regression":
        error = np.sqrt(np.mean((predicted - y[test]) ** 2)) / y.std()
        total = np.mean((y[test] - y[test].mean()) ** 2)
        found["r2"] = float(1 - np.mean((predicted - y[test]) ** 2) / total)
    else:
        error = np.mean(predicted != y[test])
        probabilities = np.clip(model.predict_proba(X_test), 1e-7, 1)
        probabilities /= probabilities.sum(axis=1, keepdims=True)
        found["log_loss"] = log_loss(y[test], probabilities, labels=model.classes_)
    return {"error": float(error), **found}


def known(files: list[str], tables, folds: int | None) -> dict:
    """What stands in files of other runs, for these tables and so many folds."""
    found: dict = {}
    for file in files:
        for name, rows in json.loads(Path(file).read_text()).items():
            some = {table: own[:folds] for table, own in rows.items()}
            own = {table: some[table] for table in tables if table in some}
            found.setdefault(name, {}).update(own)
    return found


def shifted_mean(errors) -> float:
    """The shifted geometric mean."""
    return float(np.exp(np.mean(np.log(np.asarray(errors) + SHIFT))) - SHIFT)


def told(results: dict) -> None:
    """Print what stands in `results`: by contender and table, rows of folds."""
    names = list(results)
    tables = sorted(set.intersection(*(set(rows) for rows in results.values())))
    errors = np.array(
        [[np.mean([f["error"] for f in results[n][t]]) for t in tables] for n in names]
    )
    ranks = rankdata(errors, axis=0)
    print(f"{'':12}" + "".join(f"{name:>13}" for name in names))
    for table, own in zip(tables, errors.T):
        print(f"{table:12}" + "".join(f"{error:13.4f}" for error in own))
    print(f"{'':12}{'mean':>8}{'rank':>6}{'log loss':>9}", end="")
    print(f"{'R²':>7}{'fit s/1K':>9}{'µs/row':>8}")
    for i, name in enumerate(names):
        rows = [fold for table in tables for fold in results[name][table]]
        losses = [f["log_loss"] for f in rows if "log_loss" in f]
        squares = [f["r2"] for f in rows if "r2" in f]
        cost = 1e3 * sum(f["fit"] for f in rows) / sum(f["rows"] for f in rows)
        asked = 1e6 * sum(f["predict"] / f["tested"] for f in rows) / len(rows)
        print(
            f"{name:12}{shifted_mean(errors[i]):8.4f}{ranks[i].mean():6.1f}"
            f"{np.mean(losses) if losses else np.nan:9.4f}"
            f"{np.mean(squares) if squares else np.nan:7.3f}{cost:9.2f}{asked:8.1f}"
        )
    if BASE in names and len(tables) > 1:
        told_beside(results, tables)


def told_beside(results: dict, tables: list[str]) -> None:
    """Print errors and processor time of fit as parts of one contender's.

    Of errors, each table's by all its folds, the geometric mean and its standard error
    by the tables.
    """

    def of(name: str, what: str) -> list[np.ndarray]:
        return [np.array([f[what] for f in results[name][t]]) for t in tables]

    def logs(name: str) -> np.ndarray:
        return np.log([error.mean() + SHIFT for error in of(name, "error")])

    for name in results:
        apart = logs(name) - logs(BASE)
        error = np.std(apart, ddof=1) / np.sqrt(len(apart))
        cost = np.sum([fit.sum() for fit in of(name, "fit")])
        cost /= np.sum([fit.sum() for fit in of(BASE, "fit")])
        print(
            f"{name:12} {np.exp(np.mean(apart)):.3f} ± {error:.3f} × {BASE}'s error, "
            f"{cost:.2f} × its time"
        )


def main() -> None:
    """Run the contenders on the tables, and print after each."""
    parse = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parse.add_argument("--data", default=os.environ.get("TABLES"))
    parse.add_argument(
        "--others", action="store_true", help="tables of other_tables.py instead"
    )
    parse.add_argument("--tables", nargs="*", help="names; all by default")
    parse.add_argument("--contenders", nargs="*", default=list(CONTENDERS))
    parse.add_argument("--rows", type=int, help="training rows at most")
    parse.add_argument("--folds", type=int, help="folds at most")
    parse.add_argument(
        "--made", type=int, default=3000, help="rows of generated tables"
    )
    parse.add_argument("--json", help="where results are written to")
    parse.add_argument(
        "--known",
        nargs="*",
        default=[],
        help="files of --json: what stands there is shown, not run again",
    )
    given = parse.parse_args()
    warnings.simplefilter("ignore")
    tables = generated(given.made) if given.made and not given.others else {}
    if given.others:
        tables = {
            name: table
            for name, table in other_tables().items()
            if given.tables is None or name in given.tables
        }
    elif given.data is None:
        print("no tables but generated ones: give --data, or set TABLES")
    elif importlib.util.find_spec("pyarrow") is None:
        print("no tables but generated ones: reading parquet needs pyarrow")
    else:
        tables.update(handed(Path(given.data), given.tables))
    results = known(given.known, tables, given.folds)
    if results:
        told(results)
    for name in given.contenders:
        if name in results:
            continue
        package, make = CONTENDERS[name]
        if package is not None and importlib.util.find_spec(package) is None:
            print(f"{name}: left out, as {package} is not installed")
            continue
        results[name] = {}
        for table, (frame, y, task) in tables.items():
            rows = results[name][table] = []
            for train, test in folds(frame, y, task, given.rows)[: given.folds]:
                model = make(task == "regression", frame)
                fold = measured(model, frame, y, task, train, test)
                rows.append({**fold, "tested": len(test)})
        told(results)
        sys.stdout.flush()
        if given.json:
            Path(given.json).write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
