"""The ready-made image networks: sizes as published, shapes, names, estimators."""

import pickle

import numpy as np
import pytest

from slimlearn import ConvNetClassifier
from slimlearn import layers as slim
from slimlearn.backend import ops, reference
from slimlearn.backend.graph import Model
from slimlearn.backend.shape import B, product
from slimlearn.layers.nets import alexnet, cifarnet, lenet, nets_factory, vgg

# Trainable parameters with 1000 classes and three channels.
PUBLISHED = {
    # the variables of TF-Slim's alexnet_v2 added up
    "alexnet_v2": 50_303_912,
    # torchvision's vgg11, vgg16, vgg19; the paper's table 2: 133, 138, 144 million
    "vgg_a": 132_863_336,
    "vgg_16": 138_357_544,
    "vgg_19": 143_667_240,
    # the paper's fast model: 145 million
    "overfeat": 145_704_424,
}


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


@pytest.mark.parametrize("name", nets_factory.networks_map)
def test_every_network_returns_logits_and_end_points(name):
    network = nets_factory.get_network_fn(name, 5)
    model, net, end_points = build(
        lambda x, _: network(x), network.default_image_size, channels=1
    )
    assert net.shape == (B, 5)
    assert net in end_points.values()
    scopes = {p.name.partition("/")[0] for p in model.parameters}
    assert len(scopes) == 1
    _, features, _ = build(
        lambda x, _: network(x, num_classes=None), network.default_image_size
    )
    assert features.shape[-1] > 5


@pytest.mark.parametrize("name", nets_factory.networks_map)
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


@pytest.mark.parametrize("name", nets_factory.networks_map)
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


@pytest.mark.parametrize("network", [lenet.lenet, cifarnet.cifarnet])
@pytest.mark.parametrize("classes", [2, 3])
def test_a_classifier_of_a_network(network, classes):
    size = network.default_image_size
    images = np.random.default_rng(0).random((8, size, size, 1), np.float32)
    y = np.arange(8) % classes
    by_name = nets_factory.get_network_fn(network.__name__)
    for net in (network, by_name):
        clf = ConvNetClassifier(net=net, max_iter=1, batch_size=4, random_state=0)
        proba = clf.fit(images, y).predict_proba(images)
        assert proba.shape == (8, classes)
        np.testing.assert_allclose(proba.sum(axis=1), 1, rtol=1e-5)
        again = pickle.loads(pickle.dumps(clf))
        np.testing.assert_array_equal(again.predict_proba(images), proba)


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
