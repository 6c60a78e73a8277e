"""What the Inception nets share: rows of their tables, last layers, the arg scope.

A net is a table from end point to row. A row is a function ``(net, scope, depth) ->
net`` made by `conv`, `max_pool`, `avg_pool`, `mixed` or `fork`; ``depth`` turns a
number of filters into the one that the net's `depth_multiplier` leaves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from slimlearn import layers as slim
from slimlearn.backend import ops
from slimlearn.backend.graph import Tensor
from slimlearn.layers.annotations import Activation, Padding
from slimlearn.layers.nets import head

Row = Callable[[Tensor, str, Callable[[int], int]], Tensor]


def conv(
    filters: int,
    kernel: int | Sequence[int],
    stride: int = 1,
    padding: Padding = "SAME",
    stddev: float | None = None,
) -> Row:
    """Return the row of a convolution; `stddev` draws its weights."""
    drawn = {} if stddev is None else {"weights_initializer": trunc_normal(stddev)}

    def row(net, scope, depth):
        return slim.conv2d(
            net,
            depth(filters),
            kernel,
            stride=stride,
            padding=padding,
            scope=scope,
            **drawn,
        )

    return row


def trunc_normal(stddev: float) -> Callable:
    """Return the initializer by which the nets draw weights around 0."""
    return slim.truncated_normal_initializer(0.0, stddev)


def max_pool(kernel: int, stride: int = 1, padding: Padding = "SAME") -> Row:
    """Return the row of a max pooling."""
    return _pool(slim.max_pool2d, kernel, stride, padding)


def avg_pool(kernel: int, stride: int = 1, padding: Padding = "SAME") -> Row:
    """Return the row of an average pooling."""
    return _pool(slim.avg_pool2d, kernel, stride, padding)


def _pool(layer, kernel, stride, padding) -> Row:
    def row(net, scope, depth):
        return layer(net, kernel, stride=stride, padding=padding, scope=scope)

    return row


def mixed(*branches: Mapping[str, Row]) -> Row:
    """Return the row of a module: branches side by side, their channels joined.

    A branch is a table from scope to row, whose layers follow one another.
    """

    def row(net, scope, depth):
        with slim.variable_scope(scope):
            return joined(net, branches, depth)

    return row


def joined(
    net: Tensor, branches: Sequence[Mapping[str, Row]], depth: Callable[[int], int]
) -> Tensor:
    """Return the channels of all branches, each in a scope ``Branch_<i>``."""
    ends = []
    for i, branch in enumerate(branches):
        with slim.variable_scope(f"Branch_{i}"):
            end = net
            for scope, row in branch.items():
                end = row(end, scope, depth)
            ends.append(end)
    return ops.concat(ends, axis=-1)


def fork(**rows: Row) -> Row:
    """Return the row of layers side by side within a branch; its scope is not used."""

    def row(net, scope, depth):
        return ops.concat([of(net, name, depth) for name, of in rows.items()], axis=-1)

    return row


def build(
    where: str,
    table: Mapping[str, Row],
    net: Tensor,
    final_endpoint: str,
    depth: Callable[[int], int] = int,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the net up to an end point, and the end points on the way there."""
    check_endpoint(where, table, final_endpoint)
    end_points = {}
    for name, row in table.items():
        net = end_points[name] = row(net, name, depth)
        if name == final_endpoint:
            break
    return net, end_points


def check_endpoint(where: str, known: Sequence[str], final_endpoint: str) -> None:
    """Refuse an end point that the net does not have."""
    if final_endpoint not in known:
        raise ValueError(
            f"{where}: final_endpoint must be one of {', '.join(known)}; got "
            f"{final_endpoint!r}"
        )


def scaled_depth(
    where: str, min_depth: int, depth_multiplier: float
) -> Callable[[int], int]:
    """Return what turns a full number of filters into the net's own."""
    if not depth_multiplier > 0:
        raise ValueError(
            f"{where}: depth_multiplier must be above 0, got {depth_multiplier!r}"
        )
    return lambda filters: max(int(filters * depth_multiplier), min_depth)


def window(net: Tensor, size: int) -> list[int]:
    """Return a window of this size, or of all of a smaller image."""
    return [min(size, extent) for extent in net.shape[1:3]]


def pooled(
    net: Tensor,
    end_points: dict,
    size: int,
    stride: int,
    scope: str,
    global_pool: bool,
    end_point: str | None = None,
) -> Tensor:
    """Return what the last pooling leaves; with `global_pool` always one pixel.

    Its end point has the name of `scope` if none is given.
    """
    if global_pool:
        net = ops.reduce_mean(net, [1, 2], keepdims=True, name="global_pool")
        end_points["global_pool"] = net
        return net
    kernel = window(net, size)
    net = slim.avg_pool2d(
        net,
        kernel,
        stride=stride,
        padding="VALID",
        scope="{}_{}x{}".format(scope, *kernel),
    )
    end_points[end_point or scope] = net
    return net


def classify(
    where: str,
    net: Tensor,
    end_points: dict,
    num_classes: int,
    prediction_fn: Callable,
    spatial_squeeze: bool,
    scope: str,
) -> Tensor:
    """Return the logits of a pooled net, a product at each pixel that is left."""
    logits = slim.conv2d(
        net, num_classes, 1, activation_fn=None, normalizer_fn=None, scope=scope
    )
    if spatial_squeeze:
        logits = head.squeeze(logits, where)
    end_points["Logits"] = logits
    end_points["Predictions"] = prediction_fn(logits, scope="Predictions")
    return logits


def dense_aux_logits(net: Tensor, num_classes: int, wide: str, last: str) -> Tensor:
    """Return the logits of a second classifier, whose last layers have these names."""
    with slim.variable_scope("AuxLogits"):
        net = slim.avg_pool2d(net, 5, stride=3, padding="VALID", scope="AvgPool_1a_5x5")
        net = conv(128, 1)(net, "Conv2d_1b_1x1", int)
        net = conv(768, net.shape[1:3], padding="VALID")(net, wide, int)
        return slim.fully_connected(
            slim.flatten(net), num_classes, activation_fn=None, scope=last
        )


def dense_classifier(
    net: Tensor, end_points: dict, num_classes: int | None, dropout_keep_prob: float
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return logits of an image's mean pixel, or that pixel, and the end points."""
    with slim.variable_scope("Logits"):
        net = slim.global_pool(net, keepdims=True, scope="AvgPool_1a")
        end_points["global_pool"] = net
        if not num_classes:
            return net, end_points
        net = slim.dropout(net, keep_prob=dropout_keep_prob, scope="Dropout_1b")
        net = slim.flatten(net, scope="PreLogitsFlatten")
        end_points["PreLogitsFlatten"] = net
        logits = slim.fully_connected(
            net, num_classes, activation_fn=None, scope="Logits"
        )
        end_points["Logits"] = logits
        end_points["Predictions"] = slim.softmax(logits, scope="Predictions")
        return logits, end_points


def in_mode(is_training: bool | None):
    """Return the scope in which layers build as told; None: as the function is."""
    return slim.arg_scope([slim.batch_norm, slim.dropout], is_training=is_training)


def inception_arg_scope(
    weight_decay: float = 0.00004,
    use_batch_norm: bool = True,
    batch_norm_decay: float = 0.9997,
    batch_norm_epsilon: float = 0.001,
    activation_fn: Activation | None = slim.activation.relu,
    batch_norm_updates_collections: str | None = None,
    batch_norm_scale: bool = False,
    batch_norm_var_collection: str | None = None,
) -> dict:
    """Return the arg scope of the Inception nets.

    Parameters
    ----------
    weight_decay : float, default=0.00004
        Of the weights of convolutions and fully connected layers.
    use_batch_norm : bool, default=True
        Normalize behind each convolution, without biases.
    batch_norm_decay : float, default=0.9997
    batch_norm_epsilon : float, default=0.001
    activation_fn : callable, str or None, default=relu
        Of the convolutions.
    batch_norm_updates_collections : str, optional
        Accepted for TF-Slim's sake, without effect.
    batch_norm_scale : bool, default=False
        Train a ``gamma`` too.
    batch_norm_var_collection : str, optional
        A list in which the moving averages are put.

    Returns
    -------
    dict
        For ``with arg_scope(…):``.
    """
    kept = [batch_norm_var_collection] if batch_norm_var_collection else None
    params = {
        "decay": batch_norm_decay,
        "epsilon": batch_norm_epsilon,
        "updates_collections": batch_norm_updates_collections,
        "scale": batch_norm_scale,
        "variables_collections": {"moving_mean": kept, "moving_variance": kept},
    }
    with (
        slim.arg_scope(
            [slim.conv2d, slim.fully_connected],
            weights_regularizer=slim.l2_regularizer(weight_decay),
        ),
        slim.arg_scope(
            [slim.conv2d],
            weights_initializer=slim.variance_scaling_initializer(),
            activation_fn=activation_fn,
            normalizer_fn=slim.batch_norm if use_batch_norm else None,
            normalizer_params=params if use_batch_norm else {},
        ) as scope,
    ):
        return scope
