"""LayerTransformer: what a network's layer computes, as features for other models."""

from __future__ import annotations

from copy import deepcopy
from math import prod
from typing import TYPE_CHECKING

import numpy as np
from sklearn import get_config
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    MetaEstimatorMixin,
    TransformerMixin,
    clone,
    is_classifier,
)
from sklearn.frozen import FrozenEstimator
from sklearn.utils import get_tags
from sklearn.utils.metadata_routing import (
    MetadataRouter,
    MethodMapping,
    process_routing,
)
from sklearn.utils.validation import check_is_fitted

from slimlearn.estimators import validation
from slimlearn.estimators.arrays import check_origin, home_of, to_numpy
from slimlearn.estimators.compat import HasMethods, VisualBlock, available_if
from slimlearn.estimators.diagram import Linked
from slimlearn.estimators.exports import Exportable
from slimlearn.estimators.onnx import ToONNX
from slimlearn.estimators.saving.doors import Saveable
from slimlearn.estimators.tensors import kept_types
from slimlearn.estimators.visible import Visible

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["LayerTransformer"]


def _can_fit_partially(transformer) -> bool:
    """Whether partial_fit means something; raises AttributeError with the reason."""
    if isinstance(transformer.estimator, FrozenEstimator):
        raise AttributeError("LayerTransformer has no partial_fit: its net is frozen")
    return hasattr(transformer.estimator, "partial_fit")


class LayerTransformer(
    Saveable,
    Exportable,
    ToONNX,
    Visible,
    Linked,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    MetaEstimatorMixin,
    BaseEstimator,
):
    """A transformer that trains a network and gives the values of one of its layers.

    Parameters
    ----------
    estimator : estimator of slimlearn
        A classifier, a regressor or an autoencoder; a clone of it is fitted. One that
        is fitted already is used as it is inside
        `sklearn.frozen.FrozenEstimator`.
    layer : str or None, default=None
        As in `activations`: a layer, one of its values, or an end point of the network
        function. None is what the last layer with weights reads.

    Attributes
    ----------
    estimator_ : estimator
        The fitted network.
    n_features_in_ : int
        Columns of X.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns, where X had names.

    See Also
    --------
    Autoencoder : Features that need no y.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from slimlearn import DNNClassifier, LayerTransformer
    >>> X, y = load_digits(return_X_y=True)
    >>> net = DNNClassifier((100, 32), max_iter=20, random_state=0)
    >>> model = make_pipeline(
    ...     StandardScaler(), LayerTransformer(net), KNeighborsClassifier()
    ... )
    >>> print(f"{model.fit(X[:1000], y[:1000]).score(X[1000:], y[1000:]):.2f}")
    0.94
    >>> model[:-1].transform(X).shape
    (1797, 32)
    """

    _parameter_constraints = {  # noqa: RUF012
        "estimator": [HasMethods(["fit", "activations"])],
        "layer": [str, None],
    }

    def __init__(self, estimator: BaseEstimator, layer: str | None = None):
        self.estimator = estimator
        self.layer = layer

    def fit(self, X, y=None, **fit_params) -> Self:
        """Fit a clone of the estimator.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            As the estimator takes it.
        **fit_params
            For the estimator's fit, such as ``sample_weight``, ``X_val`` and ``y_val``;
            with ``enable_metadata_routing`` those that it requests.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If the fitted network has no such layer.
        """
        validation.check_parameters(self)
        estimator = clone(self.estimator)
        estimator.fit(X, y, **self._routed("fit", fit_params))
        return self._publish(estimator)

    @available_if(_can_fit_partially)
    def partial_fit(self, X, y=None, **fit_params) -> Self:
        """Train the estimator for one epoch on some of the rows.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        **fit_params
            For the estimator's partial_fit. ``classes`` are by default the labels in
            the first call's y.

        Returns
        -------
        self
        """
        validation.check_parameters(self)
        params = self._routed("partial_fit", fit_params)
        estimator = self.__dict__.get("estimator_")
        if estimator is None:
            estimator = clone(self.estimator)
            if is_classifier(estimator) and np.ndim(to_numpy(y)) == 1:
                params = {"classes": np.unique(to_numpy(y)), **params}
        estimator.partial_fit(X, y, **params)
        return self._publish(estimator)

    def _routed(self, method: str, params: dict) -> dict:
        if not get_config()["enable_metadata_routing"]:
            return params
        return process_routing(self, method, **params).estimator[method]

    def _publish(self, estimator):
        estimator.tensor_of(self.layer)
        self.estimator_, self._layer = estimator, self.layer
        return self

    def transform(self, X) -> np.ndarray:
        """Give the layer's values.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_features_out)
            In the type that the network computes in; values of several dimensions in a
            row, the last one fastest.
        """
        check_is_fitted(self)
        home = home_of(X)
        check_origin(self.estimator_, home, "transform", type(self).__name__)
        values = self.estimator_.activations(X, self._layer)
        shape = values.shape[0], self._n_features_out
        if prod(values.shape[1:]) != shape[1]:
            # Of images of another size.
            raise ValueError(
                f"the layer has {prod(values.shape[1:])} numbers for each row of X, "
                f"and {shape[1]} of the fit: give images of the fit's size, or choose "
                "a layer behind the pooling over space"
            )
        return values.reshape(shape) if home is None else home.xp.reshape(values, shape)

    @property
    def _n_features_out(self) -> int:
        return prod(self.estimator_.tensor_of(self._layer).shape[1:])

    @property
    def n_features_in_(self) -> int:
        """Columns of X."""
        return self._fitted().n_features_in_

    @property
    def feature_names_in_(self) -> np.ndarray:
        """Names of the columns, where X had names."""
        return self._fitted().feature_names_in_

    def _onnx_inputs(self, writer):
        return self.estimator_._onnx_inputs(writer)

    def _onnx_sources(self, writer, names, kinds):
        return self.estimator_._onnx_sources(writer, names, kinds)

    def _write_onnx(self, writer, sources, raw=False):
        from slimlearn.estimators.onnx.layers import features_of

        return [features_of(writer, self.estimator_, self._layer, sources)]

    def _exported(self, name):
        from slimlearn.estimators.exports.networks import exported_layer

        who = f"{type(self).__name__} of a {type(self.estimator_).__name__}"
        return exported_layer(self.estimator_, self._layer, name, who)

    def _export_sources(self, X):
        return self.estimator_._export_sources(X)

    def _export_columns(self, source, x):
        return self.estimator_._export_columns(source, x)

    def _sizes(self, length):
        return self.estimator_._sizes(length)

    def _fitted(self):
        try:
            return self.__dict__["estimator_"]
        except KeyError:
            raise AttributeError(f"{type(self).__name__} is not fitted") from None

    def _sk_visual_block_(self):
        estimator = self.__dict__.get("estimator_", self.estimator)
        return VisualBlock(
            "parallel",
            [estimator],
            names=[f"estimator: {type(estimator).__name__}"],
            name_details=[str(estimator)],
        )

    def get_metadata_routing(self) -> MetadataRouter:
        """What of the parameters of fit goes where.

        Returns
        -------
        MetadataRouter
        """
        mapping = MethodMapping()
        for method in ("fit", "partial_fit"):
            mapping.add(caller=method, callee=method)
        return MetadataRouter(owner=type(self).__name__).add(
            estimator=self.estimator, method_mapping=mapping
        )

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        inner = get_tags(self.estimator)
        tags.input_tags = deepcopy(inner.input_tags)
        tags.target_tags = deepcopy(inner.target_tags)
        tags.array_api_support = inner.array_api_support
        precision = getattr(self.estimator, "precision", "auto")
        tags.transformer_tags.preserves_dtype = kept_types(precision)
        return tags
