"""The classifiers' side: labels in, classes and probabilities out."""

from __future__ import annotations

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils.metaestimators import available_if

from slimlearn.estimators import validation
from slimlearn.estimators.base import NetworkEstimator, can_fit_partially
from slimlearn.estimators.heads import ClassifierHead, make_classifier_head

__all__ = ["Classifier"]


def _has_probabilities(estimator) -> bool:
    if estimator.loss == "hinge":
        raise AttributeError(
            f"probability estimates are not available for loss={estimator.loss!r}: "
            "use loss='log_loss'"
        )
    return True


class Classifier(ClassifierMixin, NetworkEstimator):
    """Base of the classifiers."""

    @available_if(can_fit_partially)
    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """Train one epoch on some of the rows, going on from the fitted state.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)
        classes : array-like of shape (n_classes,), optional
            All labels that y can have; needed in the first call, unless there was a
            `fit`.
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
        known = classes is None or not fitted
        if not known and not np.array_equal(np.unique(classes), self.classes_):
            raise ValueError(
                f"classes={classes!r} is not the same as on the last call to "
                f"partial_fit, was: {self.classes_!r}"
            )
        data = (X, y, sample_weight, None, None, None)
        return self._fit(1, True, data, partial=True, classes=classes)

    def _encode_target(self, y, former, given):
        validation.check_labels(y)
        if former is not None:
            return former["classes_"], former["_head"].codes(y)
        if given is not None:
            classes = np.unique(given)
            if len(classes) < 2:
                raise ValueError(f"classes needs at least 2 classes, got {given!r}")
            return classes, ClassifierHead(classes, self.loss).codes(y)
        classes, codes = np.unique(y, return_inverse=True)
        return classes, codes

    def _encode_held_out(self, y, classes):
        validation.check_labels(y)
        return ClassifierHead(classes, self.loss).codes(y)

    def _check_target(self, classes, codes) -> None:
        present = len(classes)
        if present > 1:
            present = np.count_nonzero(np.bincount(codes))
        if present < 2:
            label = classes[codes[0]] if len(codes) else classes[0]
            raise ValueError(
                f"{type(self).__name__} needs samples of at least 2 classes in the "
                f"data, but the data contains only one class: {label!r}"
            )

    def _class_weighted(self, weights, codes, classes):
        if self.class_weight is None:
            return weights
        if isinstance(self.class_weight, dict):
            if not any(c in self.class_weight for c in classes.tolist()):
                raise ValueError(
                    f"class_weight names {list(self.class_weight)}, none of which is a "
                    f"class of y: the classes are {classes.tolist()}"
                )
            factors = np.array(
                [float(self.class_weight.get(c, 1.0)) for c in classes.tolist()]
            )
            if not (np.isfinite(factors).all() and factors.min() >= 0):
                raise ValueError(
                    f"class_weight needs finite weights >= 0; got {self.class_weight}"
                )
        else:
            counts = np.bincount(codes, weights=weights, minlength=len(classes))
            present = counts > 0
            factors = np.zeros(len(classes))
            factors[present] = counts.sum() / (present.sum() * counts[present])
        return factors[codes] if weights is None else factors[codes] * weights

    def _fit_head(self, classes, codes, weights, former, partial) -> ClassifierHead:
        if former is not None:
            return self._former_head(former)
        head = make_classifier_head(classes, self.loss)
        # Rows that are still to come count as one of each class.
        head.fit(codes, weights, prior=1.0 if partial else 0.0)
        return head

    def decision_function(self, X) -> np.ndarray:
        """The network's numbers before they become probabilities.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) for two classes, else (n_samples, n_classes)
            Float64. Two classes: positive means ``classes_[1]``, the log-odds where
            the loss is log_loss.
        """
        return self._values("predict", X)

    def predict(self, X) -> np.ndarray:
        """The most likely class of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        raw = self._values("predict", X)
        return self.classes_[self._head.decide(raw)]

    @available_if(_has_probabilities)
    def predict_proba(self, X) -> np.ndarray:
        """The probability of each class.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Float64, in the order of ``classes_``.
        """
        return self._values("predict_proba", X)

    @available_if(_has_probabilities)
    def predict_log_proba(self, X) -> np.ndarray:
        """The logarithms of the probabilities, exact where those underflow.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
        """
        raw = self._values("predict", X)
        return self._head.log_proba(raw)
