"""LayerTransformer: a layer's values as features, as scikit-learn has transformers."""

import doctest
import pickle

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.utils import get_tags

import slimlearn.estimators.layer_transformer
from slimlearn import (
    Autoencoder,
    DNNClassifier,
    DNNRegressor,
    LayerTransformer,
    LinearClassifier,
    NetworkClassifier,
    layers,
    network,
)
from slimlearn.backend import ops

X, Y = load_iris(return_X_y=True)
X = (X - X.mean(axis=0)) / X.std(axis=0)
NET = DNNClassifier((6, 5), max_iter=3, random_state=0)


@network
def grid(x, num_classes):
    net = layers.fully_connected(x, 6, scope="fc")
    cells = ops.reshape(net, (net.shape[0], 3, 2))
    return layers.linear(net, num_classes, scope="out"), {"cells": cells}


def test_example_in_the_docstring():
    result = doctest.testmod(slimlearn.estimators.layer_transformer)
    assert result.attempted and not result.failed


def test_transform_gives_the_activations_of_a_clone():
    transformer = LayerTransformer(NET, "fc1").fit(X, Y)
    assert not hasattr(NET, "program_")
    expected = clone(NET).fit(X, Y).activations(X, "fc1")
    np.testing.assert_array_equal(transformer.transform(X), expected)
    np.testing.assert_array_equal(transformer.fit_transform(X, Y), expected)
    again = pickle.loads(pickle.dumps(transformer))
    np.testing.assert_array_equal(again.transform(X), expected)
    assert transformer.n_features_in_ == 4
    assert list(transformer.get_feature_names_out())[:2] == [
        "layertransformer0",
        "layertransformer1",
    ]


def test_values_of_several_dimensions_are_rows():
    net = NetworkClassifier(grid(), max_iter=2, random_state=0)
    transformer = LayerTransformer(net, "cells").fit(X, Y)
    cells = transformer.estimator_.activations(X, "cells")
    np.testing.assert_array_equal(transformer.transform(X), cells.reshape(150, 6))
    binary = LayerTransformer(NET, "logits").fit(X, Y > 0)
    assert binary.transform(X).shape == (150, 1)
    assert len(binary.get_feature_names_out()) == 1


def test_a_network_that_needs_no_y():
    net = Autoencoder((5, 3), max_iter=3, random_state=0)
    transformer = LayerTransformer(net, "code").fit(X)
    np.testing.assert_array_equal(transformer.transform(X), net.fit_transform(X))
    assert transformer.partial_fit(X).estimator_.n_iter_ == 4


def test_a_frozen_network_is_not_trained():
    clf = clone(NET).fit(X, Y)
    transformer = LayerTransformer(FrozenEstimator(clf)).fit(X[:20])
    np.testing.assert_array_equal(transformer.transform(X), clf.activations(X))
    np.testing.assert_array_equal(
        clone(transformer).fit(X).transform(X), clf.activations(X)
    )
    assert not hasattr(transformer, "partial_fit")
    with pytest.raises(NotFittedError):
        LayerTransformer(FrozenEstimator(clone(NET))).fit(X, Y)


def test_in_a_pipeline_and_a_search():
    model = make_pipeline(
        StandardScaler(), LayerTransformer(NET), KNeighborsClassifier()
    )
    space = {
        "layertransformer__layer": ["fc1", "fc2"],
        "layertransformer__estimator__hidden_units": [(4, 3), (5, 4)],
    }
    search = GridSearchCV(model, space, cv=2, n_jobs=2, error_score="raise")
    search.fit(X, Y)
    assert search.best_estimator_[:-1].transform(X).shape[1] in (3, 4, 5)


def test_frames_come_out_with_names_and_index():
    frame = pd.DataFrame(X, columns=list("abcd"), index=np.arange(150) * 2)
    transformer = LayerTransformer(NET).set_output(transform="pandas").fit(frame, Y)
    out = transformer.transform(frame)
    assert list(out.columns) == [f"layertransformer{i}" for i in range(5)]
    assert list(out.index) == list(frame.index)
    assert list(transformer.feature_names_in_) == list("abcd")


def test_parameters_of_fit_reach_the_network():
    weights = (Y != 2).astype(float)
    options = {"X_val": X, "y_val": Y, "sample_weight": weights}
    transformer = LayerTransformer(NET).fit(X, Y, **options)
    assert transformer.estimator_.validation_loss_curve_
    expected = clone(NET).fit(X, Y, **options).activations(X)
    np.testing.assert_array_equal(transformer.transform(X), expected)
    with sklearn.config_context(enable_metadata_routing=True):
        asking = clone(NET).set_fit_request(sample_weight=True, X_val=True, y_val=True)
        model = make_pipeline(MinMaxScaler(), LayerTransformer(asking))
        model.fit(X, Y, **options)
        assert model[-1].estimator_.validation_loss_curve_
        refusing = clone(NET).set_fit_request(sample_weight=False)
        with pytest.raises(TypeError, match="sample_weight"):
            LayerTransformer(refusing).fit(X, Y, sample_weight=weights)


def test_partial_fit_goes_on():
    transformer = LayerTransformer(NET).partial_fit(X[:60], Y[:60], classes=[0, 1, 2])
    assert len(transformer.estimator_.classes_) == 3
    first = transformer.transform(X)
    transformer.partial_fit(X[60:], Y[60:])
    assert transformer.estimator_.n_iter_ == 2
    assert not np.array_equal(transformer.transform(X), first)
    for absent in (
        LinearClassifier(),
        DNNClassifier(early_stopping=True),
    ):
        assert not hasattr(LayerTransformer(absent), "partial_fit")


def test_a_layer_that_is_missing_is_told_by_fit():
    transformer = LayerTransformer(NET).fit(X, Y)
    before = transformer.transform(X)
    with pytest.raises(ValueError, match=r"no layer 'fc9'.*fc1, fc2"):
        transformer.set_params(layer="fc9").fit(X, Y)
    # Until it is fitted again, what was fitted is what is transformed.
    for later in ("fc9", "fc1", None):
        same = transformer.set_params(layer=later).transform(X)
        np.testing.assert_array_equal(same, before)
    with pytest.raises(ValueError, match="no layer before its last"):
        LayerTransformer(LinearClassifier()).fit(X, Y)
    with pytest.raises(ValueError, match="'activations'"):
        LayerTransformer(KNeighborsClassifier()).fit(X, Y)


@pytest.mark.parametrize("net", [NET, DNNRegressor()], ids=["classes", "numbers"])
def test_tags_are_those_of_the_network(net):
    tags, inner = get_tags(LayerTransformer(net)), get_tags(net)
    assert tags.estimator_type is None and tags.transformer_tags
    assert tags.target_tags == inner.target_tags
    assert tags.input_tags == inner.input_tags
