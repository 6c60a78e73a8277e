"""Convolutional and pooling layers: shapes, names, values, refusals."""

import numpy as np
import pytest
from scipy import signal

from slimlearn import layers as slim
from slimlearn.backend import ops, reference
from slimlearn.backend.graph import Model
from slimlearn.backend.shape import B


def build(function, shape, seed=0):
    """Return the model of a network on images, and what it gives for random ones."""
    model = Model("f64")
    with model.function("f") as graph:
        graph.return_(function(ops.input_("x", (B, *shape), "f64")))
    rng = np.random.default_rng(seed)
    params = {p.name: rng.standard_normal(p.shape) for p in model.parameters}
    x = rng.standard_normal((3, *shape))
    state = {s.name: np.ones(s.shape) for s in model.states}
    (y,) = reference.run(model, "f", {"x": x}, params, state).returns
    return model, params, x, y


def test_a_convolution_is_scipys_correlation():
    model, params, x, y = build(
        lambda x: slim.conv2d(x, 4, (3, 2), padding="VALID", activation_fn=None),
        (6, 5, 2),
    )
    assert [p.name for p in model.parameters] == ["Conv/weights", "Conv/biases"]
    w, b = params["Conv/weights"], params["Conv/biases"]
    assert w.shape == (3, 2, 2, 4)
    for n in range(4):
        maps = [
            sum(signal.correlate(i[..., c], w[..., c, n], "valid") for c in (0, 1))
            for i in x
        ]
        np.testing.assert_allclose(y[..., n], np.array(maps) + b[n])


@pytest.mark.parametrize(
    ("layer", "shape", "want"),
    [
        (lambda x: slim.conv1d(x, 5, 3, stride=2), (9, 2), (5, 5)),
        (lambda x: slim.conv2d(x, 5, 3), (8, 6, 2), (8, 6, 5)),
        (
            lambda x: slim.conv2d(x, 6, [3, 1], [2, 1], rate=[1, 2]),
            (7, 6, 2),
            (4, 6, 6),
        ),
        (
            lambda x: slim.conv2d(x, 6, 3, padding=((1, 0), (0, 2))),
            (5, 5, 1),
            (4, 5, 6),
        ),
        (lambda x: slim.conv2d(x, 6, 3, groups=2), (5, 5, 4), (5, 5, 6)),
        (lambda x: slim.conv3d(x, 4, 2, 2), (4, 5, 6, 1), (2, 3, 3, 4)),
        (lambda x: slim.convolution(x, 4, 1), (4, 5, 3), (4, 5, 4)),
        (lambda x: slim.conv2d_in_plane(x, 3, 2), (6, 6, 5), (3, 3, 5)),
        (lambda x: slim.separable_conv2d(x, 7, 3), (6, 6, 5), (6, 6, 7)),
        (lambda x: slim.separable_conv2d(x, None, 3, 2), (6, 6, 5), (6, 6, 10)),
        (lambda x: slim.conv2d_transpose(x, 3, 3, 2), (4, 5, 2), (8, 10, 3)),
        (lambda x: slim.conv2d_transpose(x, 3, 3, 2, "VALID"), (4, 5, 2), (9, 11, 3)),
        (lambda x: slim.conv3d_transpose(x, 3, 2, 2), (2, 3, 4, 2), (4, 6, 8, 3)),
        (lambda x: slim.max_pool1d(x, 2), (9, 3), (4, 3)),
        (lambda x: slim.max_pool2d(x, 2), (8, 7, 3), (4, 3, 3)),
        (lambda x: slim.max_pool2d(x, 3, 2, "SAME"), (8, 7, 3), (4, 4, 3)),
        (lambda x: slim.avg_pool2d(x, [2, 3], 1), (5, 5, 3), (4, 3, 3)),
        (lambda x: slim.max_pool3d(x, 2), (4, 4, 4, 1), (2, 2, 2, 1)),
        (lambda x: slim.pool(x, 2, "MAX", dilation_rate=2), (5, 5, 1), (3, 3, 1)),
        (lambda x: slim.global_pool(x), (5, 4, 3), (3,)),
        (lambda x: slim.global_pool(x, "MAX", keepdims=True), (5, 4, 3), (1, 1, 3)),
    ],
)
def test_shapes(layer, shape, want):
    *_, y = build(layer, shape)
    assert y.shape == (3, *want)


@pytest.mark.parametrize(
    "layer",
    [
        lambda x, f: slim.conv2d(x, 4, 3, 2, data_format=f),
        lambda x, f: slim.separable_conv2d(x, 4, 3, data_format=f),
        lambda x, f: slim.conv2d_transpose(x, 4, 3, 2, data_format=f),
        lambda x, f: slim.max_pool2d(x, 2, data_format=f),
    ],
)
def test_channels_first_is_channels_last_turned(layer):
    _, params, x, last = build(lambda x: layer(x, "NHWC"), (6, 8, 3))
    model = Model("f64")
    with model.function("f") as graph:
        graph.return_(layer(ops.input_("x", (B, 3, 6, 8), "f64"), "NCHW"))
    x = x.transpose(0, 3, 1, 2)
    (first,) = reference.run(model, "f", {"x": x}, params).returns
    np.testing.assert_array_equal(first.transpose(0, 2, 3, 1), last)


def test_one_pixel_wide_filters_are_a_product():
    model, *_ = build(lambda x: slim.conv2d(x, 4, 1), (5, 6, 3))
    assert "matmul" in {node.op for node in model.functions["f"].nodes}


def test_separable_is_depthwise_then_pointwise():
    model, params, x, y = build(
        lambda x: slim.separable_conv2d(
            x, 4, 3, 2, padding="VALID", activation_fn=None
        ),
        (5, 6, 3),
    )
    assert [p.name.rsplit("/")[-1] for p in model.parameters] == [
        "depthwise_weights",
        "pointwise_weights",
        "biases",
    ]
    depth, point, bias = params.values()
    assert depth.shape == (3, 3, 3, 2)
    maps = [
        [signal.correlate(i[..., c], depth[..., c, m], "valid") for i in x]
        for c in range(3)
        for m in range(2)
    ]
    want = np.moveaxis(np.array(maps), 0, -1) @ point[0, 0] + bias
    np.testing.assert_allclose(y, want)


def test_padding_counts_in_no_mean():
    *_, x, y = build(lambda x: slim.avg_pool2d(x, 3, 1, "SAME"), (4, 4, 1))
    np.testing.assert_allclose(y[:, 0, 0], x[:, :2, :2].mean((1, 2)))
    np.testing.assert_allclose(y[:, 1, 1], x[:, :3, :3].mean((1, 2)))


def test_slims_scopes_and_arg_scope():
    def net(x):
        with slim.arg_scope(
            [slim.conv2d, slim.fully_connected], normalizer_fn=slim.batch_norm
        ):
            x = slim.repeat(x, 2, slim.conv2d, 4, [3, 3], scope="conv1")
            x = slim.max_pool2d(x, [2, 2], scope="pool1")
            return slim.fully_connected(slim.flatten(x), 3, scope="fc")

    model, *_ = build(net, (4, 4, 1))
    assert [p.name for p in model.parameters] == [
        "conv1/conv1_1/weights",
        "conv1/conv1_1/BatchNorm/beta",
        "conv1/conv1_2/weights",
        "conv1/conv1_2/BatchNorm/beta",
        "fc/weights",
        "fc/BatchNorm/beta",
    ]


@pytest.mark.parametrize(
    ("layer", "shape", "text"),
    [
        (lambda x: slim.conv2d(x, 4, 3), (9,), r"2 spatial axes, %x is f64\[B,9\]"),
        (lambda x: slim.conv2d(x, 4, 3), (9, 9, 2, 1), "2 spatial axes"),
        (lambda x: slim.conv2d(x, 0, 3), (9, 9, 1), "num_outputs must be a whole"),
        (lambda x: slim.conv2d(x, 4, 3, 0), (9, 9, 1), "stride must be a whole"),
        (lambda x: slim.conv2d(x, 4, (3,)), (9, 9, 1), "a number for each of 2"),
        (lambda x: slim.conv2d(x, 4, 3, padding="FULL"), (9, 9, 1), "'SAME', 'VALID'"),
        (lambda x: slim.conv2d(x, 4, 5, padding="VALID"), (4, 9, 1), "does not fit"),
        (lambda x: slim.conv2d(x, 4, 3, groups=2), (9, 9, 3), "must divide"),
        (lambda x: slim.conv2d(x, 4, 3, data_format="HWC"), (9, 9, 3), "one of NWC"),
        (lambda x: slim.conv2d_transpose(x, 4, 3, 2, "X"), (9, 9, 3), "'SAME' or"),
        (lambda x: slim.max_pool2d(x, 3), (2, 9, 1), "does not fit"),
        (lambda x: slim.pool(x, 3, "SUM"), (9, 9, 1), "'MAX' or 'AVG'"),
        (lambda x: slim.global_pool(x, "SUM"), (9, 9, 1), "'MAX' or 'AVG'"),
        (lambda x: slim.separable_conv2d(x, 4, 3), (9, 1), "2 spatial axes"),
    ],
)
def test_refusals(layer, shape, text):
    with pytest.raises((ValueError, TypeError), match=text):
        build(layer, shape)


def test_a_scope_used_twice_keeps_its_shape():
    def net(x):
        slim.conv2d(x, 4, 3, scope="conv")
        return slim.conv2d(x, 5, 3, scope="conv", reuse=True)

    with pytest.raises(ValueError, match="conv/weights"):
        build(net, (4, 4, 1))
