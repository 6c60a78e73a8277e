"""Layers on images beside convolutions: values as NumPy has them, refusals."""

import functools

import numpy as np
import pytest
from scipy import ndimage, special
from support.networks import initial

from slimlearn import ConvNetClassifier
from slimlearn import layers as slim
from slimlearn.backend import engine, ops, reference
from slimlearn.backend.graph import Model
from slimlearn.backend.program import Program
from slimlearn.backend.shape import B
from slimlearn.layers.initializers import build_init

rng = np.random.default_rng(0)


def run(function, x, **given):
    """Return the parameters by name and what a layer gives for `x`, in Python."""
    model = Model("f64")
    with model.function("f") as graph:
        graph.return_(function(ops.input_("x", (B, *x.shape[1:]), "f64")))
    params = {
        p.name: np.asarray(given.get(p.name.split("/")[-1], np.ones(p.shape)), float)
        for p in model.parameters
    }
    states = {s.name: np.full(s.shape, 0.5) for s in model.states}
    (y,) = reference.run(model, "f", {"x": x}, params, states).returns
    return params, y


def normalized(x, axes, epsilon=1e-6):
    mean, variance = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    return (x - mean) / np.sqrt(variance + epsilon)


@pytest.mark.parametrize("groups", [1, 2, 3, 6])
@pytest.mark.parametrize("space", [(4, 5), (1, 7), (3, 1)])
def test_group_norm(groups, space):
    x = rng.normal(3, 2, (3, *space, 6))
    beta, gamma = rng.normal(size=(2, 6))
    params, y = run(lambda x: slim.group_norm(x, groups), x, beta=beta, gamma=gamma)
    assert sorted(params) == ["GroupNorm/beta", "GroupNorm/gamma"]
    split = x.reshape(3, *space, groups, 6 // groups)
    want = normalized(split, (1, 2, 4)).reshape(x.shape) * gamma + beta
    np.testing.assert_allclose(y, want, rtol=1e-9, atol=1e-12)


def test_group_norm_of_other_axes():
    x = rng.normal(size=(3, 4, 5, 6))
    beta, gamma = rng.normal(size=(2, 4))
    _, y = run(lambda x: slim.group_norm(x, 2, -3, (-2, -1)), x, beta=beta, gamma=gamma)
    want = normalized(x.reshape(3, 2, 2, 5, 6), (2, 3, 4)).reshape(x.shape)
    want = want * gamma[:, None, None] + beta[:, None, None]
    np.testing.assert_allclose(y, want, rtol=1e-9, atol=1e-12)
    x = rng.normal(size=(3, 6))
    params, y = run(
        lambda x: slim.group_norm(x, 2, -1, (), center=False, scale=False), x
    )
    assert not params
    want = normalized(x.reshape(3, 2, 3), 2).reshape(x.shape)
    np.testing.assert_allclose(y, want, rtol=1e-9)


@pytest.mark.parametrize("shape", [(7, 2), (4, 5, 3), (2, 3, 4, 2)])
def test_instance_norm(shape):
    x = rng.normal(3, 2, (3, *shape))
    space = tuple(range(1, len(shape)))
    beta, gamma = rng.normal(size=(2, shape[-1]))
    params, y = run(slim.instance_norm, x, beta=beta, gamma=gamma)
    assert sorted(params) == ["InstanceNorm/beta", "InstanceNorm/gamma"]
    want = normalized(x, space) * gamma + beta
    np.testing.assert_allclose(y, want, rtol=1e-9, atol=1e-12)


def first(x):
    return np.moveaxis(x, -1, 1)


@pytest.mark.parametrize(
    "layer",
    [
        lambda x, f: slim.instance_norm(x, data_format=f),
        lambda x, f: slim.batch_norm(x, data_format=f, is_training=True),
        lambda x, f: slim.batch_norm(x, data_format=f, is_training=False),
        lambda x, f: slim.bias_add(x, data_format=f),
        lambda x, f: slim.resize(x, (3, 7), data_format=f),
        lambda x, f: slim.space_to_depth(x, 2, data_format=f),
        lambda x, f: slim.depth_to_space(x, 2, data_format=f),
    ],
)
def test_channels_first(layer):
    x = rng.normal(size=(3, 4, 6, 8))
    _, last = run(lambda x: layer(x, "NHWC"), x)
    _, y = run(lambda x: layer(x, "NCHW"), first(x))
    np.testing.assert_allclose(y, first(last))


NORMS = {
    "told by params": (
        slim.instance_norm,
        {"normalizer_params": {"data_format": "NCHW"}},
    ),
    "told by nobody": (slim.instance_norm, {}),
    "told by a scope": (slim.instance_norm, {}),
    "batch_norm": (slim.batch_norm, {"normalizer_params": {"data_format": "NCHW"}}),
    "bias_add": (slim.bias_add, {}),
    "group_norm": (
        lambda x: slim.group_norm(x, 2),
        {"normalizer_fn": slim.group_norm, "normalizer_params": {"groups": 2}},
    ),
    "group_norm's axes": (
        lambda x: slim.group_norm(x, 2),
        {
            "normalizer_fn": slim.group_norm,
            "normalizer_params": {
                "groups": 2,
                "channels_axis": -3,
                "reduction_axes": (-2, -1),
            },
        },
    ),
    "a function": (
        slim.instance_norm,
        {"normalizer_fn": lambda x: slim.instance_norm(x, data_format="NCHW")},
    ),
    "a partial": (
        slim.instance_norm,
        {"normalizer_fn": functools.partial(slim.instance_norm, data_format="NCHW")},
    ),
}


@pytest.mark.parametrize(
    "layer",
    [
        lambda x, **given: slim.conv2d(x, 4, 3, **given),
        lambda x, **given: slim.separable_conv2d(x, 4, 3, **given),
        lambda x, **given: slim.conv2d_transpose(x, 4, 3, 2, **given),
    ],
    ids=["conv2d", "separable_conv2d", "conv2d_transpose"],
)
@pytest.mark.parametrize("norm", NORMS)
def test_normalizers_of_channels_first(layer, norm):
    """A normalizer has the numbers as the layer returns them, as in TensorFlow."""
    plain, given = NORMS[norm]
    given = {"normalizer_fn": plain, **given, "data_format": "NCHW"}
    x = rng.normal(size=(3, 4, 6, 3))
    params, _ = run(lambda x: layer(x, normalizer_fn=plain), x)
    weights = {n.split("/")[-1]: rng.normal(size=p.shape) for n, p in params.items()}
    _, last = run(lambda x: layer(x, normalizer_fn=plain), x, **weights)
    scoped = [slim.instance_norm] if norm == "told by a scope" else []
    with slim.arg_scope(scoped, data_format="NCHW"):
        _, y = run(lambda x: layer(x, **given), first(x), **weights)
    np.testing.assert_allclose(y, first(last), atol=1e-12)


@pytest.mark.parametrize("mode", ["CONSTANT", "REFLECT", "SYMMETRIC"])
@pytest.mark.parametrize(
    "paddings",
    [
        [(0, 0), (1, 2), (3, 0), (0, 0)],
        [[0, 0], [0, 3], [4, 4], [1, 1]],
        [(0, 0)] * 4,
    ],
)
def test_pad(mode, paddings):
    x = rng.normal(size=(2, 4, 5, 3))
    value = 1.5 if mode == "CONSTANT" else 0
    _, y = run(lambda x: slim.pad(x, paddings, mode, value), x)
    given = {"constant_values": value} if mode == "CONSTANT" else {}
    np.testing.assert_array_equal(y, np.pad(x, paddings, mode.lower(), **given))
    if mode == "CONSTANT":
        _, y = run(lambda x: slim.pad(x, paddings), x)
        np.testing.assert_array_equal(y, np.pad(x, paddings))


def places(source, target, corners):
    """Where the centres of `target` pixels lie among those of `source`."""
    if corners:
        return np.linspace(0, source - 1, target) if target > 1 else np.zeros(1)
    return (np.arange(target) + 0.5) * source / target - 0.5


SIZES = [(5, 7), (1, 1), (4, 6), (8, 12), (13, 3), (2, 5)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("corners", [False, True])
def test_resize_bilinear(size, corners):
    x = rng.normal(size=(2, 4, 6, 3))
    _, y = run(lambda x: slim.resize(x, size, align_corners=corners), x)
    at = np.meshgrid(
        *(places(s, t, corners) for s, t in zip((4, 6), size, strict=True)),
        indexing="ij",
    )
    want = np.empty(y.shape)
    for b in range(2):
        for c in range(3):
            want[b, ..., c] = ndimage.map_coordinates(
                x[b, ..., c], at, order=1, mode="nearest"
            )
    np.testing.assert_allclose(y, want, atol=1e-12)


@pytest.mark.parametrize("size", SIZES)
def test_resize_nearest(size):
    x = rng.normal(size=(2, 4, 6, 3))
    _, y = run(lambda x: slim.resize(x, size, "nearest"), x)
    rows, columns = (
        np.floor((np.arange(t) + 0.5) * s / t).astype(int)
        for s, t in zip((4, 6), size, strict=True)
    )
    np.testing.assert_array_equal(y, x[:, rows][:, :, columns])


def test_resize_to_the_same_size_is_the_image():
    x = rng.normal(size=(2, 4, 6, 3))
    for method in ("bilinear", "nearest"):
        _, y = run(lambda x, m=method: slim.resize(x, (4, 6), m), x)
        np.testing.assert_array_equal(y, x)
    _, y = run(lambda x: slim.resize(x, 9), x)
    assert y.shape == (2, 9, 9, 3)


@pytest.mark.parametrize("block", [1, 2, 3])
def test_blocks_of_space_are_channels(block):
    x = rng.normal(size=(2, 6, 12, 5))
    _, y = run(lambda x: slim.space_to_depth(x, block), x)
    assert y.shape == (2, 6 // block, 12 // block, 5 * block**2)
    for i in range(block):
        for j in range(block):
            at = (i * block + j) * 5
            np.testing.assert_array_equal(y[..., at : at + 5], x[:, i::block, j::block])
    _, back = run(lambda x: slim.depth_to_space(x, block), y)
    np.testing.assert_array_equal(back, x)


@pytest.mark.parametrize("temperature", [None, 0.3])
@pytest.mark.parametrize("data_format", ["NHWC", "NCHW"])
def test_spatial_softmax(temperature, data_format):
    x = rng.normal(size=(2, 4, 5, 3))
    given = x if data_format == "NHWC" else first(x)
    model = Model("f64")
    with model.function("f") as graph:
        features = ops.input_("x", (B, *given.shape[1:]), "f64")
        graph.return_(
            slim.spatial_softmax(features, temperature, data_format=data_format)
        )
    (parameter,) = model.parameters
    assert parameter.name == "spatial_softmax/temperature"
    assert initial(parameter.initializer, ()) == (temperature or 1.0)
    params = {parameter.name: np.array(0.7)}
    (y,) = reference.run(model, "f", {"x": given}, params).returns
    weights = special.softmax(x / 0.7, axis=(1, 2))
    rows, columns = np.linspace(-1, 1, 4), np.linspace(-1, 1, 5)
    i = (weights * rows[:, None, None]).sum((1, 2))
    j = (weights * columns[:, None]).sum((1, 2))
    np.testing.assert_allclose(y, np.stack([i, j], -1).reshape(2, 6), atol=1e-12)


@pytest.mark.parametrize("shape", [(2, 4, 5, 3), (1, 1, 6, 2)])
def test_images_are_sequences_of_pixels(shape):
    x = rng.normal(size=shape)
    n, height, width, depth = shape
    want = x.transpose(2, 0, 1, 3).reshape(width, n * height, depth)
    _, y = run(slim.images_to_sequence, x)
    np.testing.assert_array_equal(y, want)
    _, y = run(lambda x: slim.images_to_sequence(x, "NCHW"), first(x))
    np.testing.assert_array_equal(y, want)

    def there_and_back(x, **given):
        return slim.sequence_to_images(slim.images_to_sequence(x), height, **given)

    _, y = run(there_and_back, x)
    np.testing.assert_array_equal(y, x)
    _, y = run(lambda x: there_and_back(x, output_data_format="channels_first"), x)
    np.testing.assert_array_equal(y, first(x))


def test_layers_take_arg_scopes_and_give_end_points():
    def net(x):
        with slim.arg_scope(
            [slim.resize, slim.pad, slim.group_norm], outputs_collections="ends"
        ):
            x = slim.resize(x, 4, scope="small")
            x = slim.group_norm(slim.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)]), 2)
        assert list(slim.utils.convert_collection_to_dict("ends")) == [
            "small",
            "Pad",
            "GroupNorm",
        ]
        return x

    run(net, rng.normal(size=(2, 6, 6, 4)))


@pytest.mark.parametrize(
    "layer",
    [
        lambda x: slim.group_norm(x, 2),
        slim.instance_norm,
        lambda x: slim.resize(x, (7, 3)),
        lambda x: slim.resize(x, (7, 3), "nearest"),
        lambda x: slim.pad(x, [(0, 0), (2, 1), (0, 2), (0, 0)], "REFLECT"),
        lambda x: slim.space_to_depth(x, 2),
        lambda x: slim.depth_to_space(x, 2),
        slim.spatial_softmax,
        lambda x: slim.sequence_to_images(slim.images_to_sequence(x), 4),
    ],
)
def test_the_kernels_agree_with_python(layer):
    x = rng.normal(size=(3, 4, 6, 8))
    _, want = run(layer, x, beta=np.zeros(8))
    model = Model("f64")
    with model.function("f") as graph:
        graph.return_(layer(ops.input_("x", (B, *x.shape[1:]), "f64")))
    build_init(model)
    program = Program(model=model).initialize(0)
    (got,) = engine.compile(program.text).run("f", {"x": x}, program)
    np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("layer", "shape", "text"),
    [
        (lambda x: slim.group_norm(x, 4), (4, 4, 6), "groups=4 must divide the 6"),
        (lambda x: slim.group_norm(x, 0), (4, 4, 6), "groups must be a whole"),
        (lambda x: slim.group_norm(x, 2), (6,), "reduction_axes=-3 is no axis"),
        (lambda x: slim.group_norm(x, 2, -2), (4, 4, 6), "must be different axes"),
        (lambda x: slim.group_norm(x, 2, -1, (0,)), (4, 6), "behind the batch"),
        (lambda x: slim.group_norm(x, 6), (1, 1, 6), "one number to normalize"),
        (slim.instance_norm, (1, 1, 6), "one number to normalize"),
        (slim.instance_norm, (6,), "spatial axes"),
        (lambda x: slim.pad(x, [(0, 0)]), (4, 3), "1 pairs"),
        (lambda x: slim.pad(x, [(0, 0)], "REFLECT"), (4, 3), "1 pairs"),
        (lambda x: slim.pad(x, [1, 2, 3], "REFLECT"), (4, 3), "pair of whole numbers"),
        (lambda x: slim.pad(x, [(0, 0), (-1, 0), (0, 0)]), (4, 3), "must be >= 0"),
        (lambda x: slim.pad(x, [(0, 0), (1, -1)], "REFLECT"), (4,), "must be >= 0"),
        (lambda x: slim.pad(x, [], "EDGE"), (4, 3), "'REFLECT' or 'SYMMETRIC'"),
        (
            lambda x: slim.pad(x, [(0, 0), (4, 0), (0, 0)], "REFLECT"),
            (4, 3),
            "at most the size - 1",
        ),
        (
            lambda x: slim.pad(x, [(0, 0), (5, 0), (0, 0)], "SYMMETRIC"),
            (4, 3),
            "mirror more than the axis 1",
        ),
        (lambda x: slim.resize(x, 4, "cubic"), (4, 4, 1), "'bilinear' or 'nearest'"),
        (lambda x: slim.resize(x, (4, 0)), (4, 4, 1), "size must be a whole number"),
        (lambda x: slim.resize(x, 4), (4, 4), "2 spatial axes"),
        (lambda x: slim.space_to_depth(x, 3), (6, 4, 1), "must divide height and"),
        (lambda x: slim.depth_to_space(x, 2), (4, 4, 6), "2² must divide"),
        (lambda x: slim.spatial_softmax(x, 0), (4, 4, 6), "must be above 0"),
        (lambda x: slim.images_to_sequence(x, "HWC"), (4, 4, 6), "data_format must be"),
        (lambda x: slim.sequence_to_images(x, 2), (4, 4, 6), "must be .width, height"),
        (
            lambda x: slim.sequence_to_images(x, 2, "NHWC"),
            (4, 6),
            "'channels_last' or",
        ),
    ],
)
def test_refusals(layer, shape, text):
    with pytest.raises((ValueError, TypeError), match=text):
        run(layer, np.ones((2, *shape)))


HALVES = {"groups": 2}


def features(x, num_classes=3):
    """Layers of this file one behind the other."""
    x = slim.conv2d(x, 8, 3, normalizer_fn=slim.group_norm, normalizer_params=HALVES)
    x = slim.instance_norm(slim.space_to_depth(x, 2))
    x = slim.sequence_to_images(slim.images_to_sequence(x), 3)
    x = slim.pad(slim.resize(x, 4), [(0, 0), (1, 1), (1, 1), (0, 0)], "REFLECT")
    places = slim.spatial_softmax(slim.depth_to_space(x, 2))
    return slim.linear(places, num_classes)


def test_a_classifier_learns_through_them_row_by_row():
    images = rng.integers(0, 50, (48, 6, 6)).astype(np.uint8)
    y = np.arange(48) % 3
    for label in range(3):  # a bright row for each class
        images[y == label, 2 * label] += 150
    net = ConvNetClassifier(features, max_iter=40, batch_size=8, random_state=0)
    net.fit(images, y)
    assert net.score(images, y) > 0.9
    together = net.predict_proba(images)
    for rows in (slice(0, 1), slice(5, 12)):
        np.testing.assert_array_equal(net.predict_proba(images[rows]), together[rows])
