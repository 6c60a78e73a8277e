"""The estimators in the shapes in which scikit-learn's checks meet them.

Read by the tests and by ``benchmarks/conformance.py``.
"""

import numpy as np
from sklearn.utils.validation import column_or_1d

from slimlearn import layers
from slimlearn.estimators import (
    Autoencoder,
    ConvNetClassifier,
    ConvNetRegressor,
    DNNClassifier,
    DNNLinearCombinedClassifier,
    DNNLinearCombinedRegressor,
    DNNRegressor,
    LayerTransformer,
    LinearClassifier,
    LinearRegressor,
    NetworkClassifier,
    NetworkRegressor,
    SequenceClassifier,
    SequenceRegressor,
    TabularClassifier,
    TabularEncoder,
    TabularRegressor,
    network,
)
from slimlearn.estimators.arrays import to_numpy
from slimlearn.estimators.losses import Huber


@network
def tower(x, units=(24,)):
    return layers.stack(x, layers.fully_connected, units, scope="fc")


@network
def logits(x, num_outputs, units=(24,)):
    net = layers.stack(x, layers.fully_connected, units, scope="fc")
    return layers.linear(net, num_outputs, scope="out"), {"fc": net}


@network
def normalized(x, units=(24,), is_training=True):
    with layers.arg_scope([layers.batch_norm], is_training=is_training, decay=0.9):
        return layers.fully_connected(x, units[0], normalizer_fn=layers.batch_norm)


@network
def dropped(x, units=(100,), keep_prob=0.9):
    return layers.dropout(layers.stack(x, layers.fully_connected, units), keep_prob)


class TwoTargets(DNNRegressor):
    """Trains on y beside y where a check has one column: all meet several outputs."""

    def fit(self, X, y, sample_weight=None):
        y, self.single_ = _twice(y)
        return super().fit(X, y, sample_weight)

    def partial_fit(self, X, y, sample_weight=None):
        y, self.single_ = _twice(y)
        return super().partial_fit(X, y, sample_weight)

    def predict(self, X):
        predicted = super().predict(X)
        return predicted[:, 0] if self.single_ else predicted


def _twice(y):
    """Return y, and whether it is one column, which then stands there twice."""
    array = np.asarray(to_numpy(y))
    if array.ndim == 1 or (array.ndim == 2 and array.shape[1] == 1):
        array = column_or_1d(array)
        return np.column_stack((array, array)), True
    return y, False


# L-BFGS on a network of many minima turns the last bit of a sum into another path after
# some fifty iterations, so the regressors' weights are compared after thirty.
LBFGS = {"optimizer": "lbfgs", "l2_regularization": 1e-3}
SHORT_LBFGS = LBFGS | {"max_iter": 30}

# By what is not as the defaults have it; each has every estimator that can have it.
SHAPES = {
    "default": [
        DNNClassifier(),
        DNNRegressor(),
        LinearClassifier(),
        LinearRegressor(),
        NetworkClassifier(tower()),
        NetworkRegressor(tower()),
        ConvNetClassifier(),
        ConvNetRegressor(),
        LayerTransformer(DNNClassifier(random_state=0)),
        Autoencoder(),
        TabularEncoder(),
        TabularClassifier(members=2, max_iter=25, hidden_units=(32,)),
        TabularRegressor(members=2, max_iter=25, hidden_units=(32,)),
        DNNLinearCombinedClassifier(),
        DNNLinearCombinedRegressor(),
        SequenceClassifier(),
        SequenceRegressor(),
    ],
    "float64": [
        DNNClassifier((20, 10), precision="float64"),
        DNNRegressor((20, 10), precision="float64"),
        LinearClassifier(precision="float64"),
        LinearRegressor(precision="float64"),
        NetworkClassifier(logits(), precision="float64"),
        NetworkRegressor(logits(), precision="float64"),
        LayerTransformer(DNNRegressor(precision="float64", random_state=0)),
        Autoencoder((20, 10), precision="float64"),
    ],
    "batch norm": [
        DNNClassifier(batch_norm=True),
        DNNRegressor(batch_norm=True),
        NetworkClassifier(normalized()),
        NetworkRegressor(normalized()),
        LayerTransformer(DNNClassifier(batch_norm=True, random_state=0), layer="fc1"),
        Autoencoder((20, 10), batch_norm=True),
    ],
    "dropout": [
        DNNClassifier(dropout=0.1),
        DNNRegressor(dropout=0.1),
        NetworkClassifier(dropped()),
        NetworkRegressor(dropped()),
        Autoencoder((20, 10), dropout=0.1, input_dropout=0.1),
    ],
    "class weight": [
        DNNClassifier(class_weight="balanced"),
        LinearClassifier(class_weight="balanced"),
        NetworkClassifier(tower(), class_weight="balanced"),
    ],
    "L-BFGS": [
        DNNClassifier(**LBFGS),
        DNNRegressor(**SHORT_LBFGS),
        NetworkClassifier(tower(), **LBFGS),
        NetworkRegressor(tower(), **SHORT_LBFGS),
        Autoencoder(**SHORT_LBFGS),
    ],
    "Huber": [
        DNNRegressor(loss=Huber(delta=1.35)),
        LinearRegressor(loss="huber"),
        NetworkRegressor(tower(), loss="huber"),
        Autoencoder(loss="huber"),
    ],
    "several outputs": [
        TwoTargets(),
        TwoTargets(batch_norm=True),
    ],
    "other losses": [
        DNNClassifier(loss="focal"),
        DNNRegressor(loss="absolute_error"),
        DNNRegressor(loss="quantile", quantile=(0.1, 0.5, 0.9)),
        DNNRegressor(loss="gaussian"),
        NetworkRegressor(tower(), loss="gaussian_mixture"),
    ],
    "other optimizers": [
        DNNClassifier(optimizer="sgd"),
        DNNRegressor(loss="huber", optimizer="sgd"),
        LinearClassifier(optimizer="adam", learning_rate=0.05),
        LinearRegressor(optimizer="adam", learning_rate=0.01),
    ],
}

_MASKS = (
    "a dropped unit is drawn for each row: a row of weight 2 has one mask, two equal "
    "rows have two, so the fits agree only in expectation"
)
FALSE_WITH_DROPOUT = {
    "check_sample_weight_equivalence_on_dense_data": _MASKS,
    "check_sample_weight_equivalence_on_sparse_data": _MASKS,
}

_FOLDS = (
    "rows are drawn into folds: two equal rows may be in two, a row of weight 2 is in "
    "one, and dropout draws a mask for each"
)
FALSE_WITH_FOLDS = {"check_sample_weight_equivalence_on_dense_data": _FOLDS}


def false_checks(shape: str, estimator=None) -> dict[str, str]:
    """Return the checks that are mathematically false in a shape, with the reason."""
    if isinstance(estimator, (TabularClassifier, TabularRegressor)):
        return FALSE_WITH_FOLDS
    return FALSE_WITH_DROPOUT if shape == "dropout" else {}
