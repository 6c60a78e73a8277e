"""Losses of classes: on logits."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from slimlearn.backend import ops
from slimlearn.backend.graph import Tensor
from slimlearn.estimators.losses.base import Loss, hyper
from slimlearn.layers import per_example

__all__ = ["ClassifierLoss", "Focal", "Hinge", "LogLoss", "Ordinal"]


_SMOOTHING = "log_loss/label_smoothing"


class ClassifierLoss(Loss):
    """Base of the losses of classes.

    Attributes
    ----------
    probabilistic : bool
        Whether the logits mean probabilities.
    """

    probabilistic = True

    @property
    def trained(self) -> ClassifierLoss:
        """What weights are trained on, where that is not the loss that is reported."""
        return self

    def binary(self, raw: Tensor, y: Tensor) -> Tensor:
        """The loss of logits of y = 1, for y of 0 and 1, element by element."""
        raise NotImplementedError

    def multiclass(self, raw: Tensor, y: Tensor) -> Tensor:
        """The loss [B] of logits [B, k] for class numbers [B]."""
        raise NotImplementedError


class LogLoss(ClassifierLoss):
    """The cross-entropy.

    Parameters
    ----------
    label_smoothing : float, default=0.0
        The part of a row's label that is spread over all classes evenly while weights
        are trained, in [0, 1). Losses that are reported, of training and validation,
        are those of the labels as they are.

    References
    ----------
    Szegedy, Vanhoucke, Ioffe, Shlens and Wojna, "Rethinking the inception
    architecture for computer vision", 2016.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from slimlearn import DNNClassifier, LogLoss
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = DNNClassifier((16,), loss=LogLoss(label_smoothing=0.1), random_state=0)
    >>> print(f"{clf.fit(X, y).score(X, y):.1f}")
    1.0
    """

    name = "log_loss"

    def __init__(self, label_smoothing: float = 0.0):
        self.label_smoothing = label_smoothing

    def check(self):
        self._require("label_smoothing", "a number in [0, 1)", lambda v: 0 <= v < 1)

    def structure(self):
        return (*super().structure(), self.label_smoothing > 0)

    def hypers(self):
        smoothing = float(self.label_smoothing)
        return {_SMOOTHING: smoothing} if smoothing else {}

    def binary(self, raw, y):
        return per_example.sigmoid_cross_entropy(raw, y)

    def multiclass(self, raw, y):
        return per_example.sparse_softmax_cross_entropy(raw, y)

    @property
    def trained(self):
        return _Smoothed() if self.label_smoothing else self


class _Smoothed(ClassifierLoss):
    """The cross-entropy with labels of which a part is spread over all classes."""

    def binary(self, raw, y):
        half = per_example.as_float(y, raw) - 0.5
        # Linear in the label: what it moves towards 1/2 costs or saves z times that.
        loss = per_example.sigmoid_cross_entropy(raw, y)
        return loss + raw * half * hyper(_SMOOTHING, raw)

    def multiclass(self, raw, y):
        loss = per_example.sparse_softmax_cross_entropy(raw, y)
        even = ops.neg(ops.reduce_mean(ops.log_softmax(raw), [1]))
        return loss + (even - loss) * hyper(_SMOOTHING, raw)


class Hinge(ClassifierLoss):
    """Margins."""

    name = "hinge"
    probabilistic = False

    def binary(self, raw, y):
        return per_example.hinge(raw, y)

    def multiclass(self, raw, y):
        return per_example.multiclass_hinge(raw, y)


class Focal(ClassifierLoss):
    """The cross-entropy times (1 - p) ** gamma, p the probability of the right class.

    Rows that are already right count less, so that rare and hard ones lead. The
    probabilities lie closer to 1/2 than those of the cross-entropy.

    Parameters
    ----------
    gamma : float >= 0, default=2.0
        0 is the cross-entropy.

    References
    ----------
    Lin, Goyal, Girshick, He and Dollár, "Focal loss for dense object detection", 2017.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from slimlearn import DNNClassifier, Focal
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> clf = DNNClassifier((16,), loss=Focal(gamma=1.0), random_state=0)
    >>> clf = make_pipeline(StandardScaler(), clf)
    >>> print(f"{clf.fit(X, y).score(X, y):.2f}")
    0.99
    """

    name = "focal"

    def __init__(self, gamma: float = 2.0):
        self.gamma = gamma

    def check(self):
        self._require("gamma", "a number >= 0", lambda v: 0 <= v < math.inf)

    def hypers(self):
        return {"focal/gamma": float(self.gamma)}

    def binary(self, raw, y):
        return per_example.focal(raw, y, hyper("focal/gamma", raw))

    def multiclass(self, raw, y):
        return per_example.multiclass_focal(raw, y, hyper("focal/gamma", raw))


class Ordinal(LogLoss):
    """The log loss of classes in order: one number per row, and a threshold between
    each two neighbours (the proportional-odds model).

    Parameters
    ----------
    order : sequence or array of labels, or None, default=None
        The labels from the lowest to the highest, such as
        ``y.cat.categories``. None takes the order of an ordered categorical, or of
        numbers.

    References
    ----------
    McCullagh, "Regression models for ordinal data", 1980.

    Examples
    --------
    >>> import numpy as np
    >>> from slimlearn import LinearClassifier, Ordinal
    >>> X = np.linspace(-1, 1, 60).reshape(-1, 1)
    >>> y = np.repeat(["poor", "fair", "good"], 20)
    >>> loss = Ordinal(order=["poor", "fair", "good"])
    >>> clf = LinearClassifier(loss=loss, l2_regularization=1e-3)
    >>> print(f"{clf.fit(X, y).score(X, y):.1f}")
    1.0
    >>> clf.predict([[-0.9], [0.0], [0.9]]).tolist()
    ['poor', 'fair', 'good']
    """

    name = "ordinal"
    label_smoothing = 0.0

    def __init__(self, order: Sequence | np.ndarray | None = None):
        self.order = order

    def check(self):
        labels = self.labels
        if labels is not None and len(set(labels)) < len(labels):
            raise ValueError(
                f"The 'order' parameter of Ordinal names a label twice: {self.order!r}"
            )

    @property
    def labels(self) -> list | None:
        """The order as a list, of whatever library it came from."""
        order = self.order
        if order is None:
            return None
        if hasattr(order, "tolist") and getattr(order, "ndim", 1) == 1:
            return order.tolist()
        if isinstance(order, (str, bytes)) or not isinstance(order, Sequence):
            raise ValueError(
                "The 'order' parameter of Ordinal must be a list of labels from the "
                f"lowest to the highest, or None. Got {order!r} instead."
            )
        return list(order)
