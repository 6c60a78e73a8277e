"""Tables with little to be had: ``python benchmarks/modest_tables.py [--seeds 3]``.

Rows and columns of normal numbers are generated whose y is linear in them, a sum of
curves, or noise; of classes, its sign. Told is how many times the error of ours is that
of what is better, a linear model whose penalty is found by cross-validation or a
constant: the root mean square error, or the log loss of other rows. Numbers above 1 are
what a user would have been better off with.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import time
import warnings
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402
from sklearn.dummy import DummyClassifier, DummyRegressor  # noqa: E402
from sklearn.linear_model import LogisticRegressionCV, RidgeCV  # noqa: E402
from sklearn.metrics import log_loss  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402

from slimlearn import TabularClassifier, TabularRegressor  # noqa: E402

OTHERS = 2000
TRUTHS = ("linear", "curves", "noise")


def made(rows: int, columns: int, truth: str, task: str, seed: int):
    """Rows of fit and `OTHERS` more, and their y."""
    rng = np.random.default_rng((seed, rows, columns, TRUTHS.index(truth)))
    X = rng.normal(size=(rows + OTHERS, columns))
    effects = rng.normal(size=min(columns, 20)) / np.sqrt(min(columns, 20))
    told = X[:, : len(effects)]
    if truth == "curves":
        told = np.sin(2 * told) + 0.5 * told**2 - 0.5
    noise = rng.normal(size=len(X))
    y = noise if truth == "noise" else told @ effects + 0.1 * noise
    if task == "classes":
        y = np.where(y + 0.3 * rng.normal(size=len(X)) > 0, "yes", "no")
    return X, y


def contenders(task: str, seed: int) -> dict:
    """Ours, a linear model and a constant."""
    if task == "numbers":
        ours, constant = TabularRegressor, DummyRegressor()
        linear = RidgeCV(np.logspace(-2, 4, 25))
    else:
        ours, constant = TabularClassifier, DummyClassifier()
        linear = LogisticRegressionCV(Cs=np.logspace(-4, 2, 7), scoring="neg_log_loss")
    return {
        "ours": ours(random_state=seed, n_threads=1),
        "linear": make_pipeline(StandardScaler(), linear),
        "constant": constant,
    }


def error(model, X, y, task: str) -> float:
    """Of rows that were not fitted."""
    if task == "numbers":
        return float(np.sqrt(np.mean((model.predict(X) - y) ** 2)) / y.std())
    return log_loss(y, model.predict_proba(X), labels=model.classes_)


def case(rows: int, columns: int, truth: str, task: str, seed: int) -> dict:
    """Errors by contender, and the seconds of ours."""
    X, y = made(rows, columns, truth, task, seed)
    found = {}
    for name, model in contenders(task, seed).items():
        begun = time.process_time()
        model.fit(X[:rows], y[:rows])
        if name == "ours":
            found["seconds"] = time.process_time() - begun
            found["share"] = model.linear_share_
        found[name] = error(model, X[rows:], y[rows:], task)
    return found


def main() -> None:
    """Print a line for each kind of table."""
    parse = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parse.add_argument("--rows", type=int, nargs="*", default=[50, 100, 300, 1000])
    parse.add_argument("--columns", type=int, nargs="*", default=[1, 5, 20, 100])
    parse.add_argument("--truths", nargs="*", default=TRUTHS, choices=TRUTHS)
    parse.add_argument("--tasks", nargs="*", default=("numbers", "classes"))
    parse.add_argument("--seeds", type=int, default=3)
    parse.add_argument("--json", help="where results are written to")
    given = parse.parse_args()
    warnings.simplefilter("ignore")
    results = []
    names = ("ours", "linear", "constant")
    for task, truth in itertools.product(given.tasks, given.truths):
        print(f"{task}, {truth}: × the better of both (share of linear models)")
        for rows, columns in itertools.product(given.rows, given.columns):
            some = [case(rows, columns, truth, task, s) for s in range(given.seeds)]
            ratios = [f["ours"] / min(f["linear"], f["constant"]) for f in some]
            means = {name: np.mean([f[name] for f in some]) for name in names}
            share = np.mean([f["share"] for f in some])
            told = ", ".join(f"{name} {value:.3f}" for name, value in means.items())
            print(
                f"  {rows:5} × {columns:3}: {np.exp(np.mean(np.log(ratios))):6.3f} × "
                f"(at most {max(ratios):.3f})  {told}  share {share:.2f}",
                flush=True,
            )
            key = {"rows": rows, "columns": columns, "truth": truth, "task": task}
            results.append({**key, "found": some})
    if given.json:
        Path(given.json).write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
