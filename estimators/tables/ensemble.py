"""What the estimators of tables share: members on folds of a table, averaged."""

from __future__ import annotations

import sys
import time
from functools import partial
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np
from joblib import Parallel, delayed, effective_n_jobs
from scipy.stats import loguniform, randint, uniform
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from slimlearn.estimators import elsewhere, validation
from slimlearn.estimators.callbacks import TimeLimit
from slimlearn.estimators.compat import Interval, StrOptions, add_html, available_if
from slimlearn.estimators.diagram import Linked
from slimlearn.estimators.exports import Exportable
from slimlearn.estimators.inputs.matrix import check_target
from slimlearn.estimators.onnx import ToONNX
from slimlearn.estimators.progress import say
from slimlearn.estimators.saving.doors import Saveable
from slimlearn.estimators.tables.encoder import ENCODING, TabularEncoder
from slimlearn.estimators.tables.linear import best_share
from slimlearn.estimators.tables.members import (
    KINDS,
    LINEAR,
    Kind,
    Layout,
    folds_of,
    member_of,
    most_numbers,
    telling,
    values_of,
)
from slimlearn.estimators.tables.table import open_table
from slimlearn.estimators.tables.together import Together, each, mean_of, shares_of
from slimlearn.estimators.visible import Visible

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["PARAMETERS", "TabularEnsemble"]

_VIEWS = ("robust", "scores")
# Each member holds one fold out: of fewer, members would see less of the rows.
_FEWEST_FOLDS, _MOST_FOLDS = 5, 8

# Members and epochs, in units of those of "default".
_PRESETS = {"fast": (2, 0.5), "default": (8, 1.0), "best": (16, 1.5)}

_LEAST_STEPS = 300

# Rows beyond which there are fewer members, but no fewer than so many, and beyond which
# there are fewer epochs, but no fewer than so many.
_MANY_FOR_MEMBERS, _FEWEST_MEMBERS = 25_000, 4
_MANY_FOR_EPOCHS, _FEWEST_EPOCHS = 10_000, 4


PARAMETERS = {
    "members": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
    "preset": [StrOptions(set(_PRESETS))],
    "hidden_units": validation.HIDDEN_UNITS,
    "activation": [StrOptions({"auto", *validation.ACTIVATIONS})],
    "dropout": [Interval(Real, 0, 1, closed="left")],
    **ENCODING,
    "embedding_size": [Interval(Integral, 1, None, closed="left")],
    "weight_decay": [Interval(Real, 0, None, closed="left")],
    "learning_rate": validation.TAIL["learning_rate"],
    "max_iter": [StrOptions({"auto"}), *validation.TAIL["max_iter"]],
    "batch_size": validation.TAIL["batch_size"],
    "time_limit": [None, Interval(Real, 0, None, closed="neither")],
    "callbacks": validation.TAIL["callbacks"],
    "n_jobs": [None, Integral],
    "n_threads": validation.TAIL["n_threads"],
    "random_state": ["random_state"],
    "verbose": ["verbose"],
}


def _refuse_partial_fit(estimator) -> bool:
    raise AttributeError(
        f"{type(estimator).__name__} has no partial_fit: what it knows of columns, and "
        "its folds, are those of all rows; DNNClassifier and DNNRegressor have one, "
        "behind a TabularEncoder"
    )


class TabularEnsemble(Saveable, Exportable, ToONNX, Visible, Linked, BaseEstimator):
    """Base of the estimators of tables."""

    _regression = False
    _rate, _default_activation = 0.04, "selu"
    _told_rate = "0.04"
    _comparing = "one output"

    def __init_subclass__(cls, **kwargs: Any) -> None:
        elsewhere.constructor(cls)
        super().__init_subclass__(**kwargs)

    # -- what subclasses say --------------------------------------------------------

    def _look_at(self, y: np.ndarray, weights) -> tuple:
        """What folds are to have alike, whole numbers for each row or None, and the
        weights that rows get for their y."""
        return None, weights

    def _ordinary(self, y: np.ndarray, weights) -> np.ndarray:
        """What members train on, of what the user gave."""
        return y

    def _targets(self, y: np.ndarray) -> np.ndarray:
        """Numbers that are to be told, (rows, outputs)."""
        return y.reshape(len(y), -1)

    def _settings(self, rows: int) -> dict:
        """Parameters of members that have to do with y, and with so many rows."""
        raise NotImplementedError

    def _compares(self, y: np.ndarray) -> bool:
        """Whether `_losses` knows how much a row is told amiss."""
        raise NotImplementedError

    def _losses(self, y: np.ndarray, told: np.ndarray) -> np.ndarray:
        """Of each row, how much predictions tell amiss."""
        raise NotImplementedError

    def _concluded(self, told):
        """What is made of the members' mean, as graph."""
        raise NotImplementedError

    def _conclude(self, y, weights, given, mean, seen) -> None:
        """Learn from the predictions of the rows that were held out.

        Parameters
        ----------
        y : ndarray
        weights, given : ndarray or None
            Of rows: by their classes too, and as the user gave them.
        mean : ndarray or list of ndarray
            Out-of-fold predictions, NaN for rows that were not held out.
        seen : ndarray of bool
            Rows that were.
        """
        raise NotImplementedError

    _asked: tuple[str, str]  # of members: the program's function, and the head's

    # -- fit ------------------------------------------------------------------------

    @elsewhere.method
    def fit(self, X, y, sample_weight=None) -> Self:
        """Learn what columns hold, and train the members.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_samples, n_features)
            As it is: see `TabularEncoder`.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), optional
            At least 0. Rows of weight 0 count as absent.

        Returns
        -------
        self

        Raises
        ------
        TypeError, ValueError
            If a parameter or the data is out of range, naming the column. A former fit
            then stays as it was.
        """
        validation.check_parameters(self)
        former = self.__dict__.copy()
        try:
            self._fit(X, y, sample_weight)
        except BaseException:
            # Ctrl-C keeps the members that are done; anything else leaves no trace.
            if self.__dict__.get("members_") is former.get("members_"):
                self.__dict__.clear()
                self.__dict__.update(former)
            raise
        return self

    @available_if(_refuse_partial_fit)
    def partial_fit(self, X, y) -> Self:
        """Not there: columns and folds are those of all rows.

        Parameters
        ----------
        X, y : ignored
        """

    def _fit(self, X, y, sample_weight) -> None:
        begun = time.monotonic()
        table = open_table(self, X, reset=True)
        y = check_target(self, table, y, self._regression, "X")
        weights = validation.check_weights(sample_weight, table)
        given = weights
        strata, weights = self._look_at(y, weights)
        alive = np.full(len(y), True) if weights is None else weights > 0
        index = np.flatnonzero(alive)
        if len(index) < 2:
            raise ValueError(
                f"{type(self).__name__} needs 2 samples or more, to train on some and "
                "hold out others; there is 1 sample"
            )
        y = self._ordinary(y, weights)
        encoder = self._encoder(table, weights, index)
        Z = _encoded(encoder, table)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        rng = np.random.default_rng(seed)
        count = self._count(len(index))
        folds = min(max(count, _FEWEST_FOLDS), _MOST_FOLDS, len(index))
        strata = None if strata is None else strata[index]
        plans = []
        for number in range(count):
            if number % folds == 0:
                fold = np.full(len(y), -1)
                fold[index] = folds_of(strata, len(index), folds, rng)
            kind = KINDS[number % len(KINDS)]
            held = fold == number % folds
            plans.append((kind, held, int(rng.integers(2**31))))
        if self._compares(y):
            plans += [
                (LINEAR, held, int(rng.integers(2**31))) for _, held, _ in plans[:folds]
            ]
        trainer = _Trainer(self, encoder, Z, y, weights)
        done = []
        try:
            for result in trainer.train(plans, begun):
                done.append(result)
                if self.verbose and len(done) <= count:
                    say(sys.stdout, trainer.told(result, count))
        except KeyboardInterrupt:
            if done:
                self._publish(encoder, done, y, weights, given)
            raise
        self._publish(encoder, done, y, weights, given)

    def _encoder(self, table, weights, index) -> TabularEncoder:
        """What columns hold in rows that have weight."""
        encoder = TabularEncoder(
            views=_VIEWS,
            categorical_features=self.categorical_features,
            max_one_hot=self.max_one_hot,
            max_categories=self.max_categories,
            n_bins=self.n_bins,
        )
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(self, name):
                setattr(encoder, name, getattr(self, name))
        if len(index) < table.shape[0]:
            table, weights = table.rows(index), weights[index]
        return encoder.learn(table, weights, _VIEWS)

    def _publish(self, encoder, done: list, y, weights, given) -> None:
        self.encoder_ = encoder
        nets = [result for result in done if result[0].net.units]
        lines = done[len(nets) :]
        mean, seen = _out_of_fold(nets, len(y))
        other, also = _out_of_fold(lines, len(y)) if lines else (None, ~seen)
        part = 0.0
        if np.array_equal(seen, also) and seen.any():
            own = None if weights is None else weights[seen]
            losses = partial(self._losses, y[seen])
            part = best_share(losses, mean[seen], other[seen], own)
        if part:
            for some, share in ((nets, 1 - part), (lines, part)):
                for member, _, _ in some:
                    member.share_ = share / len(some)
            nets, mean = done, (1 - part) * mean + part * other
        self.linear_share_ = part
        self.members_ = [member for member, _, _ in nets]
        self._together = Together(self.members_)
        self.n_iter_ = max(member.n_iter_ for member in self.members_)
        self._conclude(y, weights, given, mean, seen)

    # -- parameters that are "auto" ---------------------------------------------------

    def _count(self, rows: int) -> int:
        """Members for so many rows."""
        if self.members != "auto":
            return int(self.members)
        count = _PRESETS[self.preset][0]
        fewer = round(count * (_MANY_FOR_MEMBERS / rows) ** 0.5)
        return min(count, max(fewer, _FEWEST_MEMBERS))

    def _units(self) -> tuple[int, ...]:
        return validation.check_units(self)

    def _activation(self) -> str:
        auto = self.activation == "auto"
        return self._default_activation if auto else self.activation

    def _steps(self, rows: int) -> tuple[int, int]:
        """The batch size and the epochs of a member that trains on so many rows."""
        batch = self.batch_size
        if batch == "auto":
            batch = 64 if rows < 2000 else 128 if rows < 30_000 else 256
        batch = min(int(batch), rows)
        if self.max_iter != "auto":
            return batch, int(self.max_iter)
        fewer = min(1.0, (_MANY_FOR_EPOCHS / rows) ** 0.85)
        epochs = (64 if rows < 2000 else 32 * fewer) * _PRESETS[self.preset][1]
        epochs = max(epochs, _FEWEST_EPOCHS, _LEAST_STEPS * batch / rows)
        return batch, min(round(epochs), 500)

    # -- predictions ------------------------------------------------------------------

    def _mean(self, X, asked: tuple[str, str]):
        """What members say on average."""
        if "members_" not in self.__dict__:
            check_is_fitted(self, "members_")
        Z = self.encoder_._encoding.quick(X, _VIEWS)
        if Z is None or Z.shape[1] == 0:
            Z = _encoded(self.encoder_, open_table(self, X, reset=False))
        members, together = self.members_, self._together
        found = None
        if together.are(members):  # somebody may have left some of them out
            found = together(*asked, Z, self.n_threads)
        if found is not None:
            return found
        return mean_of(
            (values_of(m, asked[0], Z, asked[1], self.n_threads) for m in members),
            shares_of(members),
        )

    # -- as C and as ONNX -------------------------------------------------------------

    def _exported(self, name):
        from slimlearn.estimators.exports.tables import exported_table

        return exported_table(self, name)

    def _export_sources(self, X):
        from slimlearn.estimators.exports.tables import rows_of_table

        return rows_of_table(self, X)

    def _export_columns(self, source, x):
        return x

    def _onnx_inputs(self, writer):
        from slimlearn.estimators.onnx.tables import table_inputs

        return table_inputs(writer, self)

    def _onnx_sources(self, writer, names, kinds):
        from slimlearn.estimators.onnx.tables import table_sources

        return table_sources(writer, self, names, kinds)

    def param_distributions(self) -> dict:
        """Ranges for a random search, of what matters most.

        They suit ``RandomizedSearchCV(est, est.param_distributions())`` and
        ``HalvingRandomSearchCV(…, resource="members", max_resources=8)``, or over
        epochs, ``resource="max_iter"``.

        Returns
        -------
        dict
            Lists and distributions of scipy by names of parameters.
        """
        return {
            "hidden_units": [(64, 64), (128, 128), (128, 128, 128), (256, 256, 256)],
            "dropout": uniform(0.0, 0.4),
            "learning_rate": loguniform(self._rate / 10, self._rate * 2),
            "weight_decay": loguniform(1e-3, 0.1),
            "n_bins": randint(6, 49),
            "embedding_size": [4, 8, 16],
            "max_one_hot": [3, 9, 20],
        }

    # -- what is shown -------------------------------------------------------------

    @property
    def columns_(self):
        """What was learned of X's columns: a list of dicts, printed as a table."""
        try:
            return self.__dict__["encoder_"].columns_
        except KeyError:
            raise AttributeError(f"{type(self).__name__} is not fitted") from None

    def __sklearn_is_fitted__(self) -> bool:
        return "members_" in self.__dict__

    def _get_params_html(self, *arguments, **keywords):
        shown = super()._get_params_html(*arguments, **keywords)
        return add_html(shown, self._columns_html)

    def _columns_html(self) -> str:
        if not self.__sklearn_is_fitted__():
            return ""
        return (
            '<div class="estimator-table"><details><summary>Columns</summary>'
            f"{self.columns_._repr_html_()}</details></div>"
        )

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        return tags


def _encoded(encoder: TabularEncoder, table) -> np.ndarray:
    """What members read of a table; zeros where columns tell nothing."""
    Z = encoder._encoding.encode(table, _VIEWS)
    return Z if Z.shape[1] else np.zeros((len(Z), 1), dtype=np.float32)


def _layout(encoder: TabularEncoder) -> Layout:
    encoding, codes = encoder._encoding, len(encoder.cardinalities_)
    numbers = len(encoding.numbers)
    return Layout(numbers, encoding.width(_VIEWS) - 2 * numbers - codes, codes)


def _added(total, held, values, rows: int):
    """The sums of the held-out rows' predictions, with those of one member more."""
    if isinstance(values, list):
        total = [None] * len(values) if total is None else total
        return [_added(t, held, v, rows) for t, v in zip(total, values)]
    if total is None:
        total = np.zeros((rows, *values.shape[1:]))
    total[held] += values
    return total


def _out_of_fold(done: list, rows: int):
    """The mean of what members tell of the rows that they held out, and which are."""
    total, seen = None, np.zeros(rows)
    for _, held, values in done:
        seen[held] += 1
        total = _added(total, held, values, rows)
    with np.errstate(invalid="ignore"):
        return each(total, lambda part: _divided(part, seen)), seen > 0


def _divided(part: np.ndarray, seen: np.ndarray) -> np.ndarray:
    return part / seen.reshape(-1, *(1,) * (part.ndim - 1))


class _Trainer:
    """Trains members on encoded rows."""

    def __init__(self, owner: TabularEnsemble, encoder, Z, y, weights):
        self.owner, self.Z, self.y, self.weights = owner, Z, y, weights
        self.layout = _layout(encoder)
        self.edges = tuple(
            tuple(own.tolist()) for own in encoder._encoding.numbers.edges
        )
        self.cardinalities = encoder.cardinalities_

    def train(self, plans: list[tuple], begun: float):
        """Yield the members one by one: (member, held-out rows, predictions of them).

        Where time is limited, no member begins that would probably not end in time.
        """
        limit, jobs = self.owner.time_limit, effective_n_jobs(self.owner.n_jobs)
        run = Parallel(n_jobs=jobs, prefer="threads", return_as="generator")
        if limit is None:
            if jobs == 1:
                yield from (self._member(*plan, None) for plan in plans)
            else:
                yield from run(delayed(self._member)(*plan, None) for plan in plans)
            return
        longest = 0.0
        for at in range(0, len(plans), jobs):
            left = limit - (time.monotonic() - begun)
            if at and left < longest:
                return
            started, some = time.monotonic(), plans[at : at + jobs]
            left = max(left, 1e-3)
            yield from run(delayed(self._member)(*plan, left) for plan in some)
            longest = max(longest, time.monotonic() - started)

    def told(self, result: tuple, count: int) -> str:
        """A line about a member that is trained."""
        member = result[0]
        losses = member.validation_loss_curve_
        best = f", validation loss {min(losses):.4g}" if losses else ""
        return (
            f"{type(self.owner).__name__}: a member of {count}: {member.n_iter_} "
            f"epochs{best}"
        )

    def _telling(self, training: np.ndarray) -> list[int] | None:
        """The numbers that a member reads, by its own rows; None for all of them."""
        most = most_numbers(np.count_nonzero(training))
        if self.layout.numbers <= most:
            return None
        weights = None if self.weights is None else self.weights[training]
        scores = self.Z[:, self.layout.scores][training]
        targets = self.owner._targets(self.y[training])
        return telling(scores, targets, weights, most)

    def _member(self, kind: Kind, held: np.ndarray, seed: int, seconds):
        owner, y = self.owner, self.y
        training = ~held if self.weights is None else ~held & (self.weights > 0)
        rows = int(training.sum())
        batch, epochs = owner._steps(rows)
        aside = kind is LINEAR  # of which the user hears nothing
        callbacks = [] if aside else list(owner.callbacks or [])
        if seconds is not None:
            named = callbacks and isinstance(callbacks[0], tuple)
            limit = TimeLimit(seconds)
            callbacks.append(("time_limit", limit) if named else limit)
        member = member_of(
            owner,
            kind,
            self.layout,
            self._telling(training),
            self.edges,
            self.cardinalities,
            max_iter=epochs,
            batch_size=batch,
            early_stopping=bool(held.any()),
            n_iter_no_change=epochs + 1,
            callbacks=callbacks or None,
            random_state=seed,
            n_threads=owner.n_threads,
            verbose=0 if aside else max(0, int(owner.verbose) - 1),
            **owner._settings(rows),
        )
        weights = np.ones(len(y)) if self.weights is None else self.weights
        given = {}
        apart = self.Z[held] if held.any() else self.Z[:1]
        if held.any():
            given = {"X_val": apart, "y_val": y[held]}
            if self.weights is not None:
                given["sample_weight_val"] = self.weights[held]
        # Rows of weight 0 count as absent: no copy of the others is needed.
        member.fit(self.Z, y, weights * training, **given)
        function, finish = owner._asked
        values = values_of(member, function, apart, finish, owner.n_threads)
        return member, held, each(values, lambda part: part[: held.sum()])
