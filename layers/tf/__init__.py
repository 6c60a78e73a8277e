"""What network files of TF-Slim take from TensorFlow itself, under its names.

Such a file runs after a change of its imports alone::

    from slimlearn import layers as slim
    from slimlearn.layers import tf

    with tf.variable_scope(scope, "Fork", [inputs], reuse=reuse) as sc:
        left = slim.conv2d(inputs, 64, [3, 3], activation_fn=tf.nn.relu6)
        right = tf.pad(inputs, [[0, 0], [0, 0], [0, 0], [0, 64]])
        net = tf.concat(axis=3, values=[left, right])

Functions that differ from those of `layers` and `ops` in their arguments alone stand
here with TensorFlow's; the others are the same ones. The batch has no size while a
network is built, so axis 0 can neither be split nor joined.
"""

from slimlearn.backend.graph import name_scope
from slimlearn.backend.ops import (
    abs,
    add,
    cast,
    constant,
    divide,
    exp,
    identity,
    log,
    matmul,
    maximum,
    minimum,
    multiply,
    ones,
    ones_like,
    pow,
    reshape,
    rsqrt,
    sigmoid,
    sqrt,
    square,
    subtract,
    tanh,
    tile,
    where,
    zeros,
    zeros_like,
)
from slimlearn.layers.initializers import (
    constant_initializer,
    ones_initializer,
    orthogonal_initializer,
    random_normal_initializer,
    random_uniform_initializer,
    truncated_normal_initializer,
    zeros_initializer,
)
from slimlearn.layers.names import get_variable_scope, variable_scope
from slimlearn.layers.tf import compat as compat
from slimlearn.layers.tf import contrib as contrib
from slimlearn.layers.tf import image, nn
from slimlearn.layers.tf.arrays import (
    add_n,
    clip_by_value,
    concat,
    expand_dims,
    pad,
    split,
    squeeze,
    stack,
    to_float,
    transpose,
)
from slimlearn.layers.tf.collections import (
    GraphKeys,
    add_to_collection,
    get_collection,
    get_variable,
)
from slimlearn.layers.tf.reductions import (
    argmax,
    reduce_max,
    reduce_mean,
    reduce_min,
    reduce_sum,
)

float32, float64, int32, int64, uint8 = "f32", "f64", "i32", "i64", "u8"

# `compat` and `contrib` lead back here and to `layers`, so nothing lists them.
__all__ = [
    "GraphKeys", "abs", "add", "add_n", "add_to_collection", "argmax", "cast",
    "clip_by_value", "concat", "constant", "constant_initializer", "divide", "exp",
    "expand_dims", "float32", "float64", "get_collection", "get_variable",
    "get_variable_scope", "identity", "image", "int32", "int64", "log", "matmul",
    "maximum", "minimum", "multiply", "name_scope", "nn", "ones", "ones_initializer",
    "ones_like", "orthogonal_initializer", "pad", "pow", "random_normal_initializer",
    "random_uniform_initializer", "reduce_max", "reduce_mean", "reduce_min",
    "reduce_sum", "reshape", "rsqrt", "sigmoid", "split", "sqrt", "square", "squeeze",
    "stack", "subtract", "tanh", "tile", "to_float", "transpose",
    "truncated_normal_initializer", "uint8", "variable_scope", "where", "zeros",
    "zeros_initializer", "zeros_like",
]  # fmt: skip


def __dir__() -> list[str]:
    return __all__
