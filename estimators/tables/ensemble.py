"""What the estimators of tables share: members on folds of a table, averaged."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from slimlearn.estimators import elsewhere, validation
from slimlearn.estimators.compat import available_if
from slimlearn.estimators.diagram import Linked
from slimlearn.estimators.exports import Exportable
from slimlearn.estimators.inputs.matrix import check_target
from slimlearn.estimators.onnx import ToONNX
from slimlearn.estimators.saving.doors import Saveable
from slimlearn.estimators.tables.blending import (
    CLEARLY,
    LIKELY,
    best_share,
    best_shares,
)
from slimlearn.estimators.tables.encoder import TabularEncoder
from slimlearn.estimators.tables.kernels import FEWEST_ROWS
from slimlearn.estimators.tables.members import values_of
from slimlearn.estimators.tables.plans import FEWEST_FOLDS, plans_of
from slimlearn.estimators.tables.settable import Settable
from slimlearn.estimators.tables.shown import Shown
from slimlearn.estimators.tables.sizing import Sizing
from slimlearn.estimators.tables.table import open_table
from slimlearn.estimators.tables.telling import tell_member, tell_shares
from slimlearn.estimators.tables.together import Together, mean_of, shares_of
from slimlearn.estimators.tables.training import VIEWS, Result, Trainer, out_of_fold
from slimlearn.estimators.visible import Visible

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["TabularEnsemble"]

# Rows by which networks and a linear model are compared, at most.
_COMPARED = 20_000

# Rows from which on "best" tries several Gaussian processes, and looks longer for what
# columns count, and tries networks that tell by neighbours: of fewer, which are noise,
# they seem to tell something.
_FOR_SEVERAL = 1000


class _Beside(NamedTuple):
    """What may count beside the networks: members of each kind, if there are any."""

    line: list[Result]
    near: list[Result]
    neighbours: list[Result]


def _refuse_partial_fit(estimator) -> bool:
    raise AttributeError(
        f"{type(estimator).__name__} has no partial_fit: what it knows of columns, and "
        "its folds, are those of all rows; DNNClassifier and DNNRegressor have one, "
        "behind a TabularEncoder"
    )


class TabularEnsemble(
    *(Sizing, Shown, Settable, Saveable, Exportable, ToONNX, Visible, Linked),
    BaseEstimator,
):
    """Base of the estimators of tables."""

    _regression = False
    _told_rate = "0.04"
    _told_epochs = "64 up to 1,170 rows, then fewer, down to 48"
    _told_end = (
        " A member ends before where it was\n"
        "    no better for 300 steps and a quarter of the epochs."
    )
    _comparing = "one output"
    _told_near = "of one output, for 50 to 2,500 rows, with"
    _near_rows = {"fast": 0, "default": 2500, "best": 4000}  # noqa: RUF012

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

    def _most_near(self) -> int:
        """The rows of fit up to which a Gaussian process is tried."""
        return 0 if self.time_limit is not None else self._near_rows[self.preset]

    def _tries_near(self, y: np.ndarray, rows: int, count: int) -> bool:
        """Whether a Gaussian process of so many rows is tried beside the networks.

        There are to be some of these for each row, which did not see it.
        """
        if not self._compares(y) or (
            self._regression and self._targets(y).shape[1] > 1
        ):
            return False
        return FEWEST_ROWS <= rows <= self._most_near() and count >= FEWEST_FOLDS

    def _several_near(self, rows: int) -> bool:
        """Whether Gaussian processes of all closenesses count, if they do."""
        return self.preset == "best" and rows >= _FOR_SEVERAL

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
        index = _counted(y, weights)
        if len(index) < 2:
            raise ValueError(
                f"{type(self).__name__} needs 2 samples or more, to train on some and "
                "hold out others; there is 1 sample"
            )
        y = self._ordinary(y, weights)
        encoder = self._encoder(table, weights, index)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        rng, count = np.random.default_rng(seed), self._count(len(index))
        plans = plans_of(count, len(y), index, strata, rng)
        beside = self._tries_near(y, len(index), count)
        trainer = Trainer(self, encoder, table, y, weights, beside)
        del index  # which is long, while members are trained
        done: list[Result] = []
        found = _Beside([], [], [])
        try:
            for result in trainer.train(plans, begun):
                done.append(result)
                tell_member(self, result.member, count)
            done = trainer.settled(done)
            if self._compares(y):
                index = _counted(y, weights)
                line = trainer.line(index, strata, rng, done, plans[0].fold)
                found.line.extend([] if line is None else [line])
                found.near.extend(trainer.near(index, rng))
                found.neighbours.extend(trainer.neighbours(plans, index, rng))
        except KeyboardInterrupt:
            if done:
                done = trainer.settled(done)
                self._publish(encoder, done, found, y, weights, given)
            raise
        del trainer  # with the rows
        self._publish(encoder, done, found, y, weights, given)

    def _encoder(self, table, weights, index) -> TabularEncoder:
        """What columns hold in rows that have weight."""
        encoder = TabularEncoder(
            views=VIEWS,
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
        return encoder.learn(table, weights, VIEWS)

    def _publish(self, encoder, done: list, beside: _Beside, y, weights, given) -> None:
        self.encoder_ = encoder
        self.n_iter_ = max(member.n_iter_ for member, *_ in done)
        mean, seen = out_of_fold(done, len(y))
        networks, counted, shares = len(done), [], []
        for others, clearly in (
            ([[line] for line in beside.line], None),
            ([[process] for process in beside.near], CLEARLY),
            ([beside.neighbours] if beside.neighbours else [], LIKELY),
        ):
            parts, others, mean, seen = self._joined(
                y, weights, mean, seen, others, clearly
            )
            counted = [(1 - sum(parts)) * part for part in counted] + [sum(parts, 0.0)]
            shares = [(1 - sum(parts)) * share for share in shares]
            for part, group in zip(parts, others):
                shares += [part / len(group)] * len(group)
                done = [*done, *group]
        if shares:
            each = (1 - sum(shares)) / networks
            for (member, *_), share in zip(done, [each] * networks + shares):
                member.share_ = share
        self.linear_share_, self.near_share_, self.neighbours_share_ = counted
        self.members_ = [member for member, *_ in done]
        self._together = Together(self.members_)
        self._conclude(y, weights, given, mean, seen)
        tell_shares(self)

    def _joined(self, y, weights, mean, seen, others: list, clearly) -> tuple:
        """What models of another kind count, by rows that all did not see.

        Parameters
        ----------
        others : list of list of Result
            Models that count alike are in one list.
        clearly : float or None
            As `best_share` takes it.

        Returns
        -------
        tuple
            Shares, the lists that have one, and the mean and its rows with them.
        """
        told = [out_of_fold(group, len(y)) for group in others]
        both = np.logical_and.reduce([seen, *(also for _, also in told)])
        some = np.flatnonzero(both)
        some = some[:: -(-len(some) // _COMPARED) or 1]
        if not told or not len(some):
            return [], [], mean, seen
        own = None if weights is None else weights[some]
        values = [part[some] for part, _ in told]
        more = partial(self._losses, y[some]), mean[some]
        if len(told) == 1:
            shares = [best_share(*more, values[0], own, clearly)]
        else:
            shares = best_shares(*more, values, own)
        kept = [i for i, share in enumerate(shares) if share]
        if not kept:
            return [], [], mean, seen
        mean = (1 - sum(shares)) * mean
        mean = mean + sum(shares[i] * told[i][0] for i in kept)
        return [shares[i] for i in kept], [others[i] for i in kept], mean, both

    # -- predictions ------------------------------------------------------------------

    def _mean(self, X, asked: tuple[str, str]):
        """What members say on average."""
        if "members_" not in self.__dict__:
            check_is_fitted(self, "members_")
        Z = self.encoder_._encoding.quick(X, VIEWS)
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


def _counted(y: np.ndarray, weights) -> np.ndarray:
    """The rows that have weight."""
    return np.arange(len(y)) if weights is None else np.flatnonzero(weights > 0)


def _encoded(encoder: TabularEncoder, table) -> np.ndarray:
    """What members read of a table; zeros where columns tell nothing."""
    Z = encoder._encoding.encode(table, VIEWS)
    return Z if Z.shape[1] else np.zeros((len(Z), 1), dtype=np.float32)
