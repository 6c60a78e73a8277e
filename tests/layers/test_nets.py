"""The ready-made image networks: sizes as published, shapes, names, estimators."""

import inspect
import pickle

import numpy as np
import pytest

from slimlearn import ConvNetClassifier
from slimlearn import layers as slim
from slimlearn.backend import ops, reference
from slimlearn.backend.graph import Model
from slimlearn.backend.shape import B, product
from slimlearn.layers.nets import (
    alexnet,
    cifarnet,
    lenet,
    mobilenet_v1,
    mobilenet_v2,
    nets_factory,
    resnet_utils,
    resnet_v1,
    resnet_v2,
    vgg,
)

# Trainable parameters with 1000 classes and three channels.
PUBLISHED = {
    # the variables of TF-Slim's alexnet_v2 added up
    "alexnet_v2": 50_303_912,
    # the paper's fast model: 145 million
    "overfeat": 145_704_424,
    # torchvision's vgg11, vgg16, vgg19; the paper's table 2: 133, 138, 144 million
    "vgg_a": 132_863_336,
    "vgg_16": 138_357_544,
    "vgg_19": 143_667_240,
    # torchvision's resnet18 to resnet152, timm's resnet200
    "resnet_v1_18": 11_689_512,
    "resnet_v1_34": 21_797_672,
    "resnet_v1_50": 25_557_032,
    "resnet_v1_101": 44_549_160,
    "resnet_v1_152": 60_192_808,
    "resnet_v1_200": 64_673_832,
    # version 1 above without its batch norms, with those before each convolution, the
    # last one and biases where no norm follows; timm's resnetv2: 11.69, 21.80 million
    "resnet_v2_18": 11_689_512 - 9_600 + 2 * (1_472 + 1_920 + 512) + 2_880,
    "resnet_v2_34": 21_797_672 - 17_024 + 2 * (3_328 + 3_776 + 512) + 4_736,
    # trainable parameters of Keras's ResNet50V2, ResNet101V2, ResNet152V2
    "resnet_v2_50": 25_568_360,
    "resnet_v2_101": 44_577_896,
    "resnet_v2_152": 60_236_904,
    # the version 1 above, 1,024 more for each unit of block 3 beyond the 50 layers' six
    # and 512 for each of block 2 beyond four, as between those of 50, 101 and 152
    "resnet_v2_200": 64_673_832 + 11_328 + 30 * 1_024 + 20 * 512,
    # trainable parameters of Keras's MobileNet; the paper: 4.2, 2.6, 1.3, 0.5 million
    "mobilenet_v1": 4_231_976,
    "mobilenet_v1_075": 2_585_560,
    "mobilenet_v1_050": 1_331_592,
    "mobilenet_v1_025": 470_072,
    # torchvision's mobilenet_v2; the paper: 3.4 million
    "mobilenet_v2": 3_504_872,
}
# Those for small images, of ten classes, with their channels.
SMALL = {
    # the network of TensorFlow's tutorial on MNIST
    "lenet": (1, 3_274_634),
    # the variables of TF-Slim's cifarnet added up
    "cifarnet": (3, 1_756_426),
}
# Millions as TF-Slim's table of MobileNets has them, without the batch norms'.
MILLIONS = {
    "mobilenet_v2_035": 1.66,
    "mobilenet_v2_050": 1.95,
    "mobilenet_v2_140": 6.06,
}
# One of each family.
FAMILIES = [
    "lenet",
    "cifarnet",
    "alexnet_v2",
    "overfeat",
    "vgg_a",
    "resnet_v1_18",
    "resnet_v2_18",
    "resnet_v2_50",
    "mobilenet_v1_025",
    "mobilenet_v2_035",
]


def build(network, size, classes=5, channels=3, training=False):
    """Return the model, the output and the end points of a network; nothing runs."""
    model = Model("f32")
    with model.function("f", training=training) as graph:
        x = ops.input_("x", (B, size, size, channels), "f32")
        net, end_points = network(x, classes)
        graph.return_(net)
    return model, net, end_points


def count(model):
    return sum(product(p.shape) for p in model.parameters if p.trainable)


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_are_as_many_as_published(name):
    network = nets_factory.get_network_fn(name)
    model, net, _ = build(
        lambda x, n: network(x, num_classes=n), network.default_image_size, 1000
    )
    assert net.shape == (B, 1000)
    assert count(model) == PUBLISHED[name]


@pytest.mark.parametrize("name", SMALL)
def test_parameters_of_nets_for_small_images(name):
    network, (channels, want) = nets_factory.get_network_fn(name), SMALL[name]
    model, *_ = build(
        lambda x, n: network(x, num_classes=n),
        network.default_image_size,
        10,
        channels,
    )
    assert count(model) == want


@pytest.mark.parametrize("name", MILLIONS)
def test_parameters_are_as_many_millions_as_published(name):
    network = nets_factory.get_network_fn(name)
    model, *_ = build(
        lambda x, n: network(x, num_classes=n), network.default_image_size, 1000
    )
    normed = sum(product(p.shape) for p in model.parameters if "BatchNorm" in p.name)
    assert round((count(model) - normed) / 1e6, 2) == MILLIONS[name]


def test_the_parameters_of_all_networks_are_counted():
    inception = {name for name in nets_factory.networks_map if "inception" in name}
    counted = {*PUBLISHED, *SMALL, *MILLIONS}
    # Those of Inception have a file of tests of their own.
    assert counted | inception == nets_factory.networks_map.keys()


@pytest.mark.parametrize("name", nets_factory.networks_map)
def test_every_network_returns_logits_and_end_points(name):
    network = nets_factory.get_network_fn(name, 5)
    model, net, end_points = build(
        lambda x, _: network(x), network.default_image_size, channels=1
    )
    assert net.shape == (B, 5)
    assert net in end_points.values()
    assert len({p.name.partition("/")[0] for p in model.parameters}) == 1


@pytest.mark.parametrize(
    ("name", "want"),
    [
        ("lenet", (1024,)),
        ("cifarnet", (192,)),
        ("alexnet_v2", (1, 1, 4096)),
        ("resnet_v1_18", (1, 1, 512)),
        ("resnet_v2_18", (1, 1, 512)),
        ("resnet_v2_50", (1, 1, 2048)),
        ("mobilenet_v1_025", (1, 1, 256)),
        ("mobilenet_v2_035", (1, 1, 1280)),
    ],
)
def test_features_without_classes(name, want):
    network = nets_factory.get_network_fn(name)
    _, net, _ = build(lambda x, _: network(x), network.default_image_size)
    assert net.shape[1:] == want


@pytest.mark.parametrize("name", FAMILIES)
def test_training_is_as_the_function_is_built(name):
    network = nets_factory.get_network_fn(name, 5)
    size = network.default_image_size

    def kinds(training, **given):
        model, *_ = build(lambda x, _: network(x, **given), size, training=training)
        graph = model.functions["f"]
        return {node.op for node in graph.nodes} & {"dropout"}, bool(graph.sets)

    assert kinds(True) == kinds(False, is_training=True)
    assert kinds(False) == kinds(True, is_training=False) == (set(), False)
    assert kinds(True) != kinds(False)


def test_shapes_of_end_points():
    with slim.arg_scope(vgg.vgg_arg_scope()):
        _, net, ends = build(vgg.vgg_16, 224)
    assert {name.removeprefix("vgg_16/"): t.shape[1:] for name, t in ends.items()} == {
        "conv1/conv1_1": (224, 224, 64),
        "conv1/conv1_2": (224, 224, 64),
        "pool1": (112, 112, 64),
        "conv2/conv2_1": (112, 112, 128),
        "conv2/conv2_2": (112, 112, 128),
        "pool2": (56, 56, 128),
        **{f"conv3/conv3_{i}": (56, 56, 256) for i in (1, 2, 3)},
        "pool3": (28, 28, 256),
        **{f"conv4/conv4_{i}": (28, 28, 512) for i in (1, 2, 3)},
        "pool4": (14, 14, 512),
        **{f"conv5/conv5_{i}": (14, 14, 512) for i in (1, 2, 3)},
        "pool5": (7, 7, 512),
        "fc6": (1, 1, 4096),
        "fc7": (1, 1, 4096),
        "fc8": (5,),
    }
    assert ends["vgg_16/fc8"] is net
    with slim.arg_scope(alexnet.alexnet_v2_arg_scope()):
        _, _, ends = build(alexnet.alexnet_v2, 224)
    assert [t.shape[1:] for t in list(ends.values())[:9]] == [
        (54, 54, 64),
        (26, 26, 64),
        (26, 26, 192),
        (12, 12, 192),
        (12, 12, 384),
        (12, 12, 384),
        (12, 12, 256),
        (5, 5, 256),
        (1, 1, 4096),
    ]


@pytest.mark.parametrize(
    ("name", "places"), [("alexnet_v2", 4), ("overfeat", 3), ("vgg_a", 3)]
)
def test_larger_images(name, places):
    network = nets_factory.get_network_fn(name, 5)
    text = f"are a map of {places}×{places}: .*spatial_squeeze=False"
    with pytest.raises(ValueError, match=text):
        build(lambda x, _: network(x), 300)
    _, net, _ = build(lambda x, _: network(x, spatial_squeeze=False), 300)
    assert net.shape == (B, places, places, 5)
    _, net, ends = build(lambda x, _: network(x, global_pool=True), 300)
    assert net.shape == (B, 5)
    assert ends["global_pool"].shape == (B, 1, 1, 4096)


def test_images_that_are_too_small():
    with pytest.raises(ValueError, match="does not fit"):
        build(vgg.vgg_16, 64)


@pytest.mark.parametrize("name", FAMILIES)
def test_weight_decay_is_that_of_the_scope(name):
    def decays(weight_decay):
        network = nets_factory.get_network_fn(name, 5, weight_decay)
        model, *_ = build(lambda x, _: network(x), network.default_image_size)
        return {
            p.regularizer.l2
            for p in model.parameters
            if p.regularizer is not None and p.regularizer.l2
        }

    assert decays(0.25) == {0.25}
    assert decays(0.0) == set()


IMAGES = np.random.default_rng(0).random((8, 32, 32, 1), np.float32)


def fitted(net, size, classes=3):
    """A classifier of a network after two steps, and what it says to images."""
    images, y = IMAGES[:, :size, :size], np.arange(8) % classes
    clf = ConvNetClassifier(net=net, max_iter=1, batch_size=4, random_state=0)
    proba = clf.fit(images, y).predict_proba(images)
    assert proba.shape == (8, classes)
    np.testing.assert_allclose(proba.sum(axis=1), 1, rtol=1e-5)
    return clf, images, proba


@pytest.mark.parametrize("network", [lenet.lenet, cifarnet.cifarnet])
@pytest.mark.parametrize("classes", [2, 3])
def test_a_classifier_of_a_network(network, classes):
    for net in (network, nets_factory.get_network_fn(network.__name__)):
        clf, images, proba = fitted(net, network.default_image_size, classes)
        again = pickle.loads(pickle.dumps(clf))
        np.testing.assert_array_equal(again.predict_proba(images), proba)


def tiny_resnet_v1(x, num_classes, output_stride=None):
    blocks = [
        resnet_v1.resnet_v1_block("block1", base_depth=2, num_units=2, stride=2),
        resnet_v1.resnet_v1_basic_block("block2", 8, num_units=2, stride=2),
        resnet_v1.resnet_v1_basic_block("block3", 4, num_units=1, stride=1),
    ]
    with slim.arg_scope(resnet_v1.resnet_arg_scope()):
        return resnet_v1.resnet_v1(x, blocks, num_classes, output_stride=output_stride)


def tiny_resnet_v2(x, num_classes, output_stride=None):
    blocks = [
        resnet_v2.resnet_v2_block("block1", base_depth=2, num_units=2, stride=2),
        resnet_v2.resnet_v2_basic_block("block2", 8, num_units=2, stride=2),
        resnet_v2.resnet_v2_block("block3", base_depth=3, num_units=1, stride=1),
    ]
    with slim.arg_scope(resnet_v2.resnet_arg_scope()):
        return resnet_v2.resnet_v2(x, blocks, num_classes, output_stride=output_stride)


def tiny_mobilenet_v1(x, num_classes):
    defs = mobilenet_v1.MOBILENETV1_CONV_DEFS[:3]
    with slim.arg_scope(mobilenet_v1.mobilenet_v1_arg_scope()):
        return mobilenet_v1.mobilenet_v1(
            x, num_classes, conv_defs=defs, depth_multiplier=0.2
        )


def tiny_mobilenet_v2(x, num_classes):
    defs = mobilenet_v2.V2_DEF[:4]
    with slim.arg_scope(mobilenet_v2.training_scope()):
        return mobilenet_v2.mobilenet_v2(
            x, num_classes, conv_defs=defs, depth_multiplier=0.2
        )


@pytest.mark.parametrize(
    "network", [tiny_resnet_v1, tiny_resnet_v2, tiny_mobilenet_v1, tiny_mobilenet_v2]
)
def test_parts_of_large_networks_train(network):
    size = 28 if network is tiny_mobilenet_v1 else 20
    fitted(network, size)


@pytest.mark.parametrize("depth_multiplier", [0.75, 1.0])
def test_names_in_mobilenets(depth_multiplier):
    model, _, ends = build(
        lambda x, n: mobilenet_v1.mobilenet_v1(x, n, depth_multiplier=depth_multiplier),
        32,
    )
    assert list(ends)[-4:] == [
        "Conv2d_13_pointwise",
        "AvgPool_1a",
        "Logits",
        "Predictions",
    ]
    assert ends["Conv2d_11_pointwise"].shape[-1] == 512 * depth_multiplier
    names = {p.name for p in model.parameters}
    assert "MobilenetV1/Conv2d_1_depthwise/depthwise_weights" in names
    assert "MobilenetV1/Logits/Conv2d_1c_1x1/biases" in names
    model, _, ends = build(mobilenet_v2.mobilenet_v2, 32)
    assert list(ends)[:6] == [
        "layer_1",
        "layer_2",
        "layer_2/depthwise_output",
        "layer_2/output",
        "layer_3",
        "layer_3/expansion_output",
    ]
    assert [p.name for p in model.parameters if "expanded_conv_16/p" in p.name] == [
        "MobilenetV2/expanded_conv_16/project/weights",
        "MobilenetV2/expanded_conv_16/project/BatchNorm/beta",
        "MobilenetV2/expanded_conv_16/project/BatchNorm/gamma",
    ]


@pytest.mark.parametrize("stride", [8, 16, 32])
def test_output_stride_of_mobilenets(stride):
    def final(x, _):
        return mobilenet_v1.mobilenet_v1_base(x, output_stride=stride)

    assert build(final, 64)[1].shape == (B, 64 // stride, 64 // stride, 1024)

    def final(x, _):
        return mobilenet_v2.mobilenet_v2(x, output_stride=stride, base_only=True)

    assert build(final, 64)[1].shape == (B, 64 // stride, 64 // stride, 1280)


def test_a_final_endpoint():
    def final(x, _):
        return mobilenet_v1.mobilenet_v1_base(x, "Conv2d_3_depthwise")

    assert build(final, 32)[1].shape == (B, 8, 8, 128)

    def final(x, _):
        return mobilenet_v2.mobilenet_v2(x, final_endpoint="layer_4", base_only=True)

    assert build(final, 32)[1].shape == (B, 8, 8, 24)


def test_scopes_of_a_resnet():
    with slim.arg_scope(resnet_v1.resnet_arg_scope()):
        model, net, ends = build(resnet_v1.resnet_v1_50, 33)
    first = "resnet_v1_50/block1/unit_1/bottleneck_v1"
    assert [p.name for p in model.parameters][:5] == [
        "resnet_v1_50/conv1/weights",
        "resnet_v1_50/conv1/BatchNorm/beta",
        "resnet_v1_50/conv1/BatchNorm/gamma",
        f"{first}/shortcut/weights",
        f"{first}/shortcut/BatchNorm/beta",
    ]
    sizes = {f"resnet_v1_50/block{i}": n for i, n in enumerate((5, 3, 2, 2), start=1)}
    assert {name: ends[name].shape[1] for name in sizes} == sizes
    assert ends["resnet_v1_50/spatial_squeeze"] is net
    assert ends["predictions"].shape == (B, 5)
    assert f"{first}/conv2" in ends


def values(network, x, seed=0):
    """What a network in f64 gives for `x`, with random parameters."""
    model = Model("f64")
    with model.function("f") as graph:
        net = network(ops.input_("x", (B, *x.shape[1:]), "f64"))
        graph.return_(net)
    rng = np.random.default_rng(seed)
    params = {p.name: rng.standard_normal(p.shape) for p in model.parameters}
    states = {s.name: np.full(s.shape, 0.5) for s in model.states}
    return reference.run(model, "f", {"x": x}, params, states).returns[0]


@pytest.mark.parametrize("size", [8, 9])
@pytest.mark.parametrize("kernel", [3, 4, 7])
@pytest.mark.parametrize(("stride", "rate"), [(1, 1), (2, 1), (3, 1), (2, 2), (1, 2)])
def test_conv2d_same_is_every_so_many_pixels(size, kernel, stride, rate):
    x = np.random.default_rng(0).standard_normal((2, size, size, 3))

    def strided(x):
        return resnet_utils.conv2d_same(x, 4, kernel, stride, rate, scope="conv")

    def whole(x):
        net = slim.conv2d(x, 4, kernel, rate=rate, scope="conv")
        return resnet_utils.subsample(net, stride)

    np.testing.assert_allclose(values(strided, x), values(whole, x), atol=1e-12)


@pytest.mark.parametrize("network", [tiny_resnet_v1, tiny_resnet_v2])
def test_a_dense_map_holds_the_strided_one(network):
    x = np.random.default_rng(0).standard_normal((2, 33, 33, 3))

    def map_of(output_stride):
        def net(x):
            _, ends = network(x, None, output_stride)
            return next(t for n, t in ends.items() if n.endswith("/block3"))

        return values(net, x)

    strided, dense = map_of(16), map_of(4)
    assert strided.shape == map_of(None).shape
    assert dense.shape[1] > 2 * strided.shape[1]
    np.testing.assert_allclose(dense[:, ::4, ::4], strided, rtol=1e-9)


@pytest.mark.parametrize(
    ("network", "text"),
    [
        (lambda x, _: tiny_resnet_v1(x, 5, 6), "output_stride must be a multiple of 4"),
        (lambda x, _: tiny_resnet_v2(x, 5, 12), "output_stride=3; all of them are 4"),
        (
            lambda x, _: mobilenet_v1.mobilenet_v1(x, depth_multiplier=0),
            "depth_multiplier must be above 0",
        ),
        (
            lambda x, _: mobilenet_v2.mobilenet_v2(x, depth_multiplier=-1),
            "depth_multiplier must be above 0",
        ),
        (
            lambda x, _: mobilenet_v1.mobilenet_v1_base(x, output_stride=4),
            "output_stride must be 8, 16 or 32",
        ),
        (
            lambda x, _: mobilenet_v1.mobilenet_v1_base(x, "conv"),
            "no final_endpoint 'conv' .there are Conv2d_0, Conv2d_1_depthwise",
        ),
        (
            lambda x, _: mobilenet_v2.mobilenet_v2(x, final_endpoint="layer_20"),
            "no final_endpoint 'layer_20' .there are layer_1,",
        ),
    ],
)
def test_refusals(network, text):
    with pytest.raises(ValueError, match=text):
        build(network, 32)


def test_networks_are_found_as_in_slim():
    assert slim.nets.vgg is vgg
    assert slim.nets.resnet_v1.resnet_v1_50.__name__ == "resnet_v1_50"
    assert set(nets_factory.arg_scopes_map) == set(nets_factory.networks_map)
    with pytest.raises(AttributeError, match=r"slimlearn\.layers.*'net'"):
        _ = slim.net


@pytest.mark.parametrize("name", nets_factory.networks_map)
def test_networks_pickle_by_name(name):
    network = nets_factory.networks_map[name]
    again = pickle.loads(pickle.dumps(network))
    assert again.default_image_size == network.default_image_size
    fn = pickle.loads(pickle.dumps(nets_factory.get_network_fn(name, 5)))
    assert fn.default_image_size == network.default_image_size
    assert inspect.getdoc(network).count("Parameters") == 1


def test_the_factory_refuses():
    with pytest.raises(ValueError, match=r"no network 'vgg16'; did you mean .*vgg_16"):
        nets_factory.get_network_fn("vgg16")


def response(x, radius, bias, alpha, beta):
    """Local response normalization, channel by channel."""
    y = np.empty_like(x)
    for c in range(x.shape[-1]):
        near = x[..., max(0, c - radius) : c + radius + 1]
        y[..., c] = x[..., c] / (bias + alpha * (near**2).sum(-1)) ** beta
    return y


@pytest.mark.parametrize("channels", [1, 3, 10])
@pytest.mark.parametrize("radius", [0, 2, 4])
def test_local_response_normalization(channels, radius):
    given = {"depth_radius": radius, "bias": 1.5, "alpha": 0.3, "beta": 0.75}
    model = Model("f64")
    with model.function("f") as graph:
        x = ops.input_("x", (B, 2, 3, channels), "f64")
        graph.return_(slim.local_response_normalization(x, **given))
    x = np.random.default_rng(0).standard_normal((4, 2, 3, channels))
    (y,) = reference.run(model, "f", {"x": x}, {}).returns
    np.testing.assert_allclose(y, response(x, radius, 1.5, 0.3, 0.75))


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"depth_radius": -1}, "depth_radius must be a whole number of at least 0"),
        ({"depth_radius": 1.5}, "depth_radius must be a whole"),
        ({"bias": 0}, "bias must be a number above 0"),
        ({"alpha": -1}, "alpha must be a number of at least 0"),
    ],
)
def test_local_response_normalization_refuses(given, text):
    with pytest.raises(ValueError, match=text):
        build(lambda x, _: (slim.local_response_normalization(x, **given), {}), 8)
