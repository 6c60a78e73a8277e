"""Searches of scikit-learn as HParams: a run for each candidate and fold."""

from __future__ import annotations

import os
import re
from os import PathLike

from sklearn.utils.validation import check_is_fitted

from slimlearn.estimators.tensorboard import hparams
from slimlearn.estimators.tensorboard.writer import Writer, has_events

__all__ = ["log_search"]

# What a search with successive halving tells beside parameters.
_HALVING = ("iter", "n_resources")


def log_search(search, log_dir: str | PathLike) -> int:
    """Write a fitted search for TensorBoard's HParams: a table, and what tells apart.

    Each candidate and fold is a run, ``candidate003/fold1``; those of one candidate are
    a group, of which the table shows the mean. `slimlearn.callbacks.HParams` writes
    the curves of the fits while the search runs.

    Parameters
    ----------
    search : GridSearchCV, RandomizedSearchCV, HalvingGridSearchCV …
        Anything fitted with ``cv_results_``.
    log_dir : str or path-like
        A folder without events; made where it is missing.

    Returns
    -------
    int
        How many runs were written.

    Raises
    ------
    NotFittedError
        If the search is not fitted.
    ValueError
        If the folder has events of another search.
    OSError
        If the folder cannot be written.
    ImportError
        If the tensorboard package is missing: ``pip install "slimlearn[tensorboard]"``.

    Examples
    --------
    ::

        search = GridSearchCV(DNNClassifier(), {"dropout": [0.0, 0.3]}).fit(X, y)
        slimlearn.tensorboard.log_search(search, "runs/search")
    """
    check_is_fitted(search, "cv_results_")
    results = search.cv_results_
    folder = os.path.expanduser(os.fspath(log_dir))
    if has_events(folder):
        raise ValueError(
            f"log_search: {folder} has the events of another search, and both would "
            "stand in one table: choose another log_dir, or delete the folder"
        )
    folds = _folds(results)
    metrics = sorted({metric for found in folds.values() for metric in found})
    candidates = [dict(params) for params in results["params"]]
    for i, params in enumerate(candidates):
        params.update({k: results[k][i] for k in _HALVING if k in results})
    with Writer(folder) as writer:
        event = hparams.experiment(candidates, [*metrics, "mean_fit_time"])
        writer.message(lambda: event)
    for i, params in enumerate(candidates):
        name = f"candidate{i:03d}"
        for fold, found in folds.items():
            scores = {metric: results[key][i] for metric, key in found.items()}
            scores["mean_fit_time"] = results["mean_fit_time"][i]
            path = os.path.join(folder, name, f"fold{fold}")
            _write_run(path, params, name, scores)
    return len(candidates) * len(folds)


def _folds(results) -> dict[int, dict[str, str]]:
    """The columns of each fold's scores, by the scores' names."""
    found: dict[int, dict[str, str]] = {}
    for key in results:
        match = re.fullmatch(r"split(\d+)_((?:test|train)_.+)", key, re.DOTALL)
        if match:
            found.setdefault(int(match[1]), {})[match[2]] = key
    return found


def _write_run(path: str, params: dict, group: str, scores: dict) -> None:
    with Writer(path) as writer:
        begin = hparams.started(params, group)
        writer.message(lambda: begin)
        # A fit that failed has NaN.
        known = {k: v for k, v in scores.items() if v == v}
        writer.scalars(known, 0)
        end = hparams.ended(len(known) == len(scores))
        writer.message(lambda: end)
