"""Slim: layers, losses and what belongs to them, as functions from tensor to tensor.

Names, positional order and defaults are TF-Slim's::

    import slimlearn.layers as slim

    with slim.arg_scope([slim.fully_connected],
                        weights_regularizer=slim.l2_regularizer(1e-4)):
        net = slim.stack(x, slim.fully_connected, [64, 32], scope="fc")
        net = slim.dropout(net, 0.9)
        logits = slim.linear(net, 10, scope="logits")
"""

import importlib
from typing import TYPE_CHECKING

from slimlearn.backend.graph import name_scope
from slimlearn.layers import (
    activation,
    elsewhere,
    initializers,
    losses,
    per_example,
    regularizers,
    utils,
)
from slimlearn.layers.attention import (
    multi_head_attention,
    positional_encoding,
    transformer_encoder,
)
from slimlearn.layers.augmentation import (
    cutout,
    mixup,
    random_brightness,
    random_contrast,
    random_crop,
    random_flip,
    random_shift,
)
from slimlearn.layers.beams import beam_search
from slimlearn.layers.cells import (
    gru_cell,
    lstm_cell,
    simple_rnn_cell,
    stacked_cells,
)
from slimlearn.layers.combine import repeat, stack
from slimlearn.layers.convolution import (
    conv1d,
    conv2d,
    conv2d_in_plane,
    conv2d_transpose,
    conv3d,
    conv3d_transpose,
    convolution,
    convolution1d,
    convolution2d,
    convolution2d_in_plane,
    convolution2d_transpose,
    convolution3d,
    convolution3d_transpose,
    separable_conv2d,
    separable_convolution2d,
)
from slimlearn.layers.embedding import embedding, one_hot_encoding
from slimlearn.layers.ensembles import batch_ensemble
from slimlearn.layers.feature_columns import (
    input_from_feature_columns,
    input_layer,
    linear_model,
    weighted_sum_from_feature_columns,
)
from slimlearn.layers.fully_connected import (
    bias_add,
    elu,
    flatten,
    fully_connected,
    glu,
    linear,
    maxout,
    relu,
    relu6,
    scale_gradient,
    softmax,
)
from slimlearn.layers.group_normalization import group_norm, instance_norm
from slimlearn.layers.image_features import (
    images_to_sequence,
    sequence_to_images,
    spatial_softmax,
)
from slimlearn.layers.initializers import (
    constant_initializer,
    he_initializer,
    identity_initializer,
    lecun_initializer,
    ones_initializer,
    orthogonal_initializer,
    random_normal_initializer,
    random_uniform_initializer,
    truncated_normal_initializer,
    variance_scaling_initializer,
    xavier_initializer,
    zeros_initializer,
)
from slimlearn.layers.local_response import local_response_normalization
from slimlearn.layers.names import get_variable_scope, variable_scope
from slimlearn.layers.normalization import batch_norm, layer_norm, unit_norm
from slimlearn.layers.numbers import periodic_embedding, piecewise_linear
from slimlearn.layers.parametric import parametric_activation, prelu, scale
from slimlearn.layers.placing import device
from slimlearn.layers.pooling import (
    avg_pool1d,
    avg_pool2d,
    avg_pool3d,
    global_pool,
    max_pool1d,
    max_pool2d,
    max_pool3d,
    pool,
)
from slimlearn.layers.queries import (
    filter_variables,
    get_model_variables,
    get_trainable_variables,
    get_unique_variable,
    get_variable_full_name,
    get_variables,
    get_variables_by_name,
    get_variables_by_suffix,
)
from slimlearn.layers.recomputing import recompute
from slimlearn.layers.recurrent import bidirectional, gru, lstm, rnn, simple_rnn
from slimlearn.layers.regularization import dropout
from slimlearn.layers.regularizers import (
    apply_regularization,
    l1_l2_regularizer,
    l1_regularizer,
    l2_regularizer,
    sum_regularizer,
)
from slimlearn.layers.resizing import (
    depth_to_space,
    pad,
    resize,
    space_to_depth,
)
from slimlearn.layers.scope import (
    add_arg_scope,
    arg_scope,
    arg_scope_func_key,
    arg_scoped_arguments,
    current_arg_scope,
    has_arg_scope,
)
from slimlearn.layers.sequence import sequence_length, sequence_mask, sequence_pool
from slimlearn.layers.variables import model_variable, variable

if TYPE_CHECKING:
    from slimlearn.layers import nets as nets
    from slimlearn.layers import tf as tf

__all__ = [
    "activation",
    "add_arg_scope",
    "apply_regularization",
    "arg_scope",
    "arg_scope_func_key",
    "arg_scoped_arguments",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "batch_ensemble",
    "batch_norm",
    "beam_search",
    "bias_add",
    "bidirectional",
    "constant_initializer",
    "conv1d",
    "conv2d",
    "conv2d_in_plane",
    "conv2d_transpose",
    "conv3d",
    "conv3d_transpose",
    "convolution",
    "convolution1d",
    "convolution2d",
    "convolution2d_in_plane",
    "convolution2d_transpose",
    "convolution3d",
    "convolution3d_transpose",
    "current_arg_scope",
    "cutout",
    "depth_to_space",
    "device",
    "dropout",
    "elu",
    "embedding",
    "filter_variables",
    "flatten",
    "fully_connected",
    "get_model_variables",
    "get_trainable_variables",
    "get_unique_variable",
    "get_variable_full_name",
    "get_variable_scope",
    "get_variables",
    "get_variables_by_name",
    "get_variables_by_suffix",
    "global_pool",
    "glu",
    "group_norm",
    "gru",
    "gru_cell",
    "has_arg_scope",
    "he_initializer",
    "identity_initializer",
    "images_to_sequence",
    "initializers",
    "input_from_feature_columns",
    "input_layer",
    "instance_norm",
    "l1_l2_regularizer",
    "l1_regularizer",
    "l2_regularizer",
    "layer_norm",
    "lecun_initializer",
    "linear",
    "linear_model",
    "local_response_normalization",
    "losses",
    "lstm",
    "lstm_cell",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "maxout",
    "mixup",
    "model_variable",
    "multi_head_attention",
    "name_scope",
    "one_hot_encoding",
    "ones_initializer",
    "orthogonal_initializer",
    "pad",
    "parametric_activation",
    "per_example",
    "periodic_embedding",
    "piecewise_linear",
    "pool",
    "positional_encoding",
    "prelu",
    "random_brightness",
    "random_contrast",
    "random_crop",
    "random_flip",
    "random_normal_initializer",
    "random_shift",
    "random_uniform_initializer",
    "recompute",
    "regularizers",
    "relu",
    "relu6",
    "repeat",
    "resize",
    "rnn",
    "scale",
    "scale_gradient",
    "separable_conv2d",
    "separable_convolution2d",
    "sequence_length",
    "sequence_mask",
    "sequence_pool",
    "sequence_to_images",
    "simple_rnn",
    "simple_rnn_cell",
    "softmax",
    "space_to_depth",
    "spatial_softmax",
    "stack",
    "stacked_cells",
    "sum_regularizer",
    "transformer_encoder",
    "truncated_normal_initializer",
    "unit_norm",
    "utils",
    "variable",
    "variable_scope",
    "variance_scaling_initializer",
    "weighted_sum_from_feature_columns",
    "xavier_initializer",
    "zeros_initializer",
]


if not TYPE_CHECKING:  # a checker knows the two, and refuses what is misspelt

    def __getattr__(name: str):
        if name in ("nets", "tf"):  # read when first asked for
            return importlib.import_module(f"slimlearn.layers.{name}")
        why = "" if name.startswith("_") else elsewhere.advice(name, __all__)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}{why}")


def __dir__() -> list[str]:
    return __all__
