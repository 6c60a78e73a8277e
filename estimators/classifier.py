"""The classifiers' side: labels in, classes and probabilities out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import issparse
from sklearn.base import ClassifierMixin

from slimlearn.estimators import elsewhere, validation
from slimlearn.estimators.arrays import to_numpy
from slimlearn.estimators.base import NetworkEstimator, can_fit_partially
from slimlearn.estimators.compat import available_if
from slimlearn.estimators.heads import MultioutputHead, make_classifier_head
from slimlearn.estimators.labels import (
    class_factors,
    codes_of,
    find_classes,
    given_classes,
    listed,
    outputs_of,
    plain_classes,
)
from slimlearn.estimators.losses import Hinge, Ordinal

if TYPE_CHECKING:
    from typing_extensions import Self
from slimlearn.estimators.missing import present_target

__all__ = ["Classifier", "Labelled", "has_probabilities"]


def has_probabilities(estimator) -> bool:
    head = estimator.__dict__.get("_head")
    loss = estimator.loss if head is None else head.loss
    if isinstance(loss, Hinge) or (isinstance(loss, str) and loss == "hinge"):
        raise AttributeError(
            f"probability estimates are not available for loss={loss!r}: "
            "use loss='log_loss'"
        )
    return True


def _has_one_decision(estimator) -> bool:
    if isinstance(estimator.__dict__.get("_head"), MultioutputHead):
        raise AttributeError(
            "decision_function is not available for y with several outputs of several "
            "classes: use predict_proba"
        )
    return True


class Labelled(NetworkEstimator):
    """Base of what learns labels, which may come in parts."""

    @available_if(can_fit_partially)
    @elsewhere.method
    def partial_fit(self, X, y, classes=None, sample_weight=None) -> Self:
        """Train one epoch on some of the rows, going on from the fitted state.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        classes : array-like of shape (n_classes,), optional
            All labels that y can have; needed in the first call, unless there was a
            `fit`. For an indicator of k labels ``range(k)``, for several outputs a
            list of the labels of each.
        sample_weight : array-like of shape (n_samples,), optional
            Scaled to mean 1 over the rows of this call.

        Returns
        -------
        self
        """
        validation.check_parameters(self)
        fitted = "program_" in self.__dict__
        if classes is None and not fitted:
            raise ValueError("classes must be passed on the first call to partial_fit.")
        if fitted:
            self._check_classes(classes)
        data = (X, y, sample_weight)
        return self._fit(1, True, data, partial=True, classes=classes)

    def _check_classes(self, classes) -> None:
        """Refuse other classes than the fitted ones; None stands for these."""
        classes, known = plain_classes(classes), self._head.classes
        if classes is not None and not _same_classes(classes, known):
            raise ValueError(
                f"classes={_told(classes)} is not the same as on the last call to "
                f"partial_fit or fit_chunks, was: {_told(known)}"
            )

    def _check_summary(self, summary, shape) -> None:
        present = summary.totals[0] > 0
        if not shape and present.sum() < 2:
            label = summary.labels[0][present.argmax()]
            raise ValueError(
                f"{type(self).__name__} needs samples of at least 2 classes in the "
                f"data, but the data contains only one class: {label}"
            )


class Classifier(ClassifierMixin, Labelled):
    """Base of the classifiers."""

    def _encode_target(self, y, former, given):
        if former is not None:
            classes = former["_head"].classes
            if (y.ndim == 2) != former["_head"].several:
                raise ValueError(
                    f"y has shape {y.shape}, but the fitted estimator has "
                    f"{'several labels' if y.ndim == 1 else 'one label'} per row"
                )
        else:
            classes = find_classes(y) if given is None else given_classes(given, y)
        return classes, codes_of(classes, y)

    def _encode_held_out(self, y, classes):
        return codes_of(classes, y)

    def _class_factors(self, classes, shape, summary):
        wish = self.class_weight
        if isinstance(wish, list) and not shape:
            raise ValueError(
                f"The 'class_weight' parameter of {type(self).__name__} can be a list "
                f"only for y with several outputs. Got {wish!r} instead."
            )
        counts = summary and summary.counts_of(outputs_of(classes, bool(shape)))
        return class_factors(wish, classes, bool(shape), counts)

    def _fit_head(self, classes, shape, summary, former, partial, order):
        if former is not None:
            return self._former_head(former)
        several = bool(shape)
        head = make_classifier_head(classes, self.loss, several=several, order=order)
        # Rows that are still to come count as one of each class.
        counts = summary.counts_of(outputs_of(classes, several))
        head.fit(counts, prior=1.0 if partial else 0.0)
        return head

    @available_if(_has_one_decision)
    @elsewhere.prediction
    def decision_function(self, X) -> np.ndarray:
        """The network's numbers before they become probabilities.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) for two classes, else (n_samples, n_classes)
            Float64. Two classes: positive means ``classes_[1]``, the log-odds where
            the loss is log_loss. Several labels per row: positive means having the
            label. Loss "ordinal" of three or more classes: the logarithms of their
            probabilities.
        """
        return self._values("predict", X, "decision_function")

    @elsewhere.prediction
    def predict(self, X) -> np.ndarray:
        """The most likely class of each row, or of each of its outputs.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs), as y was
        """
        return self._values("predict", X, "predict", "labels")

    @available_if(has_probabilities)
    @elsewhere.prediction
    def predict_proba(self, X) -> np.ndarray:
        """The probability of each class.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Float64, in the order of ``classes_``. Several labels per row: of having
            each. Several outputs of several classes: a list with an array for each.
        """
        return self._values("predict_proba", X, "predict_proba", "arrange")

    @available_if(has_probabilities)
    @elsewhere.prediction
    def predict_log_proba(self, X) -> np.ndarray:
        """The logarithms of the probabilities, exact where those underflow.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes), or a list of these
        """
        return self._values("predict", X, "predict_log_proba", "log_proba")

    @elsewhere.prediction
    def score(self, X, y, sample_weight=None) -> float:
        """The accuracy: the share of rows that are right in all of their labels.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), optional

        Returns
        -------
        float
        """
        head = self.__dict__.get("_head")
        if head is None or not head.several:
            if sample_weight is None and _are_plain_labels(y, head):
                # scikit-learn's checks of y would take longer than the prediction.
                predicted = self.predict(X)
                if type(predicted) is np.ndarray and len(predicted) == len(y):
                    return np.count_nonzero(predicted == y) / len(y)
            y = present_target(to_numpy(y), "y", regression=False)
            return super().score(X, y, sample_weight)
        predicted = to_numpy(self.predict(X))
        y = y.toarray() if issparse(y) else np.asarray(to_numpy(y))
        if y.shape != predicted.shape:
            raise ValueError(f"y has shape {y.shape}, needed is {predicted.shape}")
        right = (predicted == y).all(axis=1)
        weights = validation.check_weights(sample_weight, right)
        return float(np.average(right, weights=weights))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        ordered = isinstance(self.loss, Ordinal) or self.loss == "ordinal"
        tags.classifier_tags.multi_label = not ordered
        tags.target_tags.multi_output = not ordered
        return tags


def _are_plain_labels(y, head) -> bool:
    """Whether y is an array of labels of the fitted type."""
    if type(y) is not np.ndarray or head is None or y.ndim != 1:
        return False
    return y.dtype == head.classes.dtype and y.dtype.kind in "iubU"


def _told(classes) -> str:
    several = isinstance(classes, list) and any(np.ndim(part) for part in classes)
    if several:
        return f"[{', '.join(map(listed, classes))}]"
    return listed(classes)


def _same_classes(given, classes) -> bool:
    if not isinstance(classes, list):
        return np.array_equal(np.unique(given), classes)
    return len(given) == len(classes) and all(
        np.array_equal(np.unique(g), c) for g, c in zip(given, classes)
    )
