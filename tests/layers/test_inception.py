"""The Inception nets: published sizes, end points, names; graphs only, but for one."""

import inspect
import math

import numpy as np
import pytest

from slimlearn import layers as slim
from slimlearn.backend import ops, reference
from slimlearn.backend.graph import Model
from slimlearn.backend.shape import B
from slimlearn.layers.nets import (
    inception_resnet_v2,
    inception_v1,
    inception_v2,
    inception_v3,
    inception_v4,
)

NETS = {
    "inception_v1": inception_v1,
    "inception_v2": inception_v2,
    "inception_v3": inception_v3,
    "inception_v4": inception_v4,
    "inception_resnet_v2": inception_resnet_v2,
}
SIZES = {"inception_v1": 224, "inception_v2": 224}


def parts(name):
    """The base, the net with its classifier, the arg scope."""
    module = NETS[name]
    ends = ("_base", "", "_arg_scope")
    return tuple(getattr(module, name + end) for end in ends)


def build(function, shape, scope=None, dtype="f32"):
    """Return the model of a network on images, its output and end points."""
    model = Model(dtype)
    with model.function("f") as graph, slim.arg_scope(scope or {}):
        net, end_points = function(ops.input_("x", (B, *shape), dtype))
        graph.return_(net)
    return model, net, end_points


def count(model, averages=False):
    kept = [s for s in model.states if not s.name.endswith("moving_weight")]
    found = [*model.parameters, *(kept if averages else [])]
    return sum(math.prod(variable.shape) for variable in found)


@pytest.mark.parametrize(
    ("name", "want"),
    [
        # inception_v{1,2,3}_test.py of TF-Slim, testModelHasExpectedNumberOfParameters
        ("inception_v1", 5607184),
        ("inception_v2", 10173112),
        ("inception_v3", 21802784),
    ],
)
def test_bases_have_as_many_parameters_as_tf_slims(name, want):
    base, _, arg_scope = parts(name)
    model, *_ = build(base, (224, 224, 3), arg_scope())
    assert count(model, averages=True) == want


@pytest.mark.parametrize(
    ("name", "scale", "trained", "want"),
    [
        # Keras's model.summary() of InceptionV3 and InceptionResNetV2: trainable, total
        ("inception_v3", False, 23817352, 23851784),
        ("inception_resnet_v2", False, 55813192, 55873736),
        # pytorchcv's own test of inceptionv4, whose batch norms have gammas
        ("inception_v4", True, 42679816, None),
    ],
)
def test_nets_have_as_many_parameters_as_published(name, scale, trained, want):
    _, net, arg_scope = parts(name)
    scope = arg_scope(batch_norm_scale=True) if scale else arg_scope()
    model, *_ = build(
        lambda x: net(x, 1000, create_aux_logits=False), (299, 299, 3), scope
    )
    assert count(model) == trained
    assert want is None or count(model, averages=True) == want


V3_HEAD = {
    "Conv2d_1a_3x3": (149, 149, 32),
    "Conv2d_2a_3x3": (147, 147, 32),
    "Conv2d_2b_3x3": (147, 147, 64),
    "MaxPool_3a_3x3": (73, 73, 64),
    "Conv2d_3b_1x1": (73, 73, 80),
    "Conv2d_4a_3x3": (71, 71, 192),
    "MaxPool_5a_3x3": (35, 35, 192),
}
V1_HEAD = {
    "Conv2d_1a_7x7": (112, 112, 64),
    "MaxPool_2a_3x3": (56, 56, 64),
    "Conv2d_2b_1x1": (56, 56, 64),
    "Conv2d_2c_3x3": (56, 56, 192),
    "MaxPool_3a_3x3": (28, 28, 192),
}
# As the tests of the same networks in TF-Slim and TensorFlow's model garden say.
SHAPES = {
    "inception_v1": {
        **V1_HEAD,
        "Mixed_3b": (28, 28, 256),
        "Mixed_3c": (28, 28, 480),
        "MaxPool_4a_3x3": (14, 14, 480),
        "Mixed_4b": (14, 14, 512),
        "Mixed_4c": (14, 14, 512),
        "Mixed_4d": (14, 14, 512),
        "Mixed_4e": (14, 14, 528),
        "Mixed_4f": (14, 14, 832),
        "MaxPool_5a_2x2": (7, 7, 832),
        "Mixed_5b": (7, 7, 832),
        "Mixed_5c": (7, 7, 1024),
    },
    "inception_v2": {
        **V1_HEAD,
        "Mixed_3b": (28, 28, 256),
        "Mixed_3c": (28, 28, 320),
        **{f"Mixed_4{letter}": (14, 14, 576) for letter in "abcde"},
        **{f"Mixed_5{letter}": (7, 7, 1024) for letter in "abc"},
    },
    "inception_v3": {
        **V3_HEAD,
        "Mixed_5b": (35, 35, 256),
        "Mixed_5c": (35, 35, 288),
        "Mixed_5d": (35, 35, 288),
        **{f"Mixed_6{letter}": (17, 17, 768) for letter in "abcde"},
        "Mixed_7a": (8, 8, 1280),
        "Mixed_7b": (8, 8, 2048),
        "Mixed_7c": (8, 8, 2048),
    },
    "inception_v4": {
        "Conv2d_1a_3x3": (149, 149, 32),
        "Conv2d_2a_3x3": (147, 147, 32),
        "Conv2d_2b_3x3": (147, 147, 64),
        "Mixed_3a": (73, 73, 160),
        "Mixed_4a": (71, 71, 192),
        **{f"Mixed_5{letter}": (35, 35, 384) for letter in "abcde"},
        **{f"Mixed_6{letter}": (17, 17, 1024) for letter in "abcdefgh"},
        **{f"Mixed_7{letter}": (8, 8, 1536) for letter in "abcd"},
    },
    "inception_resnet_v2": {
        **V3_HEAD,
        "Mixed_5b": (35, 35, 320),
        "Mixed_6a": (17, 17, 1088),
        "PreAuxLogits": (17, 17, 1088),
        "Mixed_7a": (8, 8, 2080),
        "Conv2d_7b_1x1": (8, 8, 1536),
    },
}
TAILS = {
    "inception_v1": {"AvgPool_0a_7x7": (1, 1, 1024)},
    "inception_v2": {"AvgPool_1a": (1, 1, 1024)},
    "inception_v3": {
        "AuxLogits": (7,),
        "AvgPool_1a": (1, 1, 2048),
        "PreLogits": (1, 1, 2048),
    },
    "inception_v4": {
        "AuxLogits": (7,),
        "global_pool": (1, 1, 1536),
        "PreLogitsFlatten": (1536,),
    },
    "inception_resnet_v2": {
        "AuxLogits": (7,),
        "global_pool": (1, 1, 1536),
        "PreLogitsFlatten": (1536,),
    },
}


@pytest.mark.parametrize("name", NETS)
def test_end_points_at_the_default_size(name):
    _, net, _ = parts(name)
    size = net.default_image_size
    assert size == SIZES.get(name, 299)
    _, logits, end_points = build(lambda x: net(x, 7), (size, size, 3))
    tail = {"Logits": (7,), "Predictions": (7,)}
    want = SHAPES[name] | TAILS[name] | tail
    assert {key: end.shape[1:] for key, end in end_points.items()} == want
    assert logits is end_points["Logits"]


@pytest.mark.parametrize("name", NETS)
def test_a_net_may_end_at_any_end_point(name):
    base, *_ = parts(name)
    size = SIZES.get(name, 299)
    known = list(SHAPES[name])
    for end in (known[0], known[len(known) // 2], known[-2]):
        _, net, end_points = build(lambda x, e=end: base(x, e), (size, size, 3))
        assert list(end_points) == known[: known.index(end) + 1]
        assert net is end_points[end]
        assert net.shape[1:] == SHAPES[name][end]


@pytest.mark.parametrize("name", NETS)
def test_an_unknown_end_point_is_refused(name):
    base, *_ = parts(name)
    with pytest.raises(ValueError, match=rf"{name}_base: .*Conv2d_1a.*got 'Mixed_9z'"):
        build(lambda x: base(x, "Mixed_9z"), (96, 96, 3))


@pytest.mark.parametrize("name", NETS)
def test_without_classes_the_features_are_returned(name):
    _, net, _ = parts(name)
    size = SIZES.get(name, 299)
    model, features, end_points = build(lambda x: net(x, None), (size, size, 3))
    assert features.shape[1:] == next(s for s in TAILS[name].values() if len(s) == 3)
    assert not {"Logits", "Predictions", "AuxLogits"} & set(end_points)
    assert not [p.name for p in model.parameters if "Logits" in p.name]


@pytest.mark.parametrize("name", NETS)
def test_a_second_call_shares_the_variables(name):
    _, net, arg_scope = parts(name)
    size = SIZES.get(name, 299)

    def twice(x):
        net(x, 7)
        return net(x, 7, reuse=True)

    once, *_ = build(lambda x: net(x, 7), (size, size, 3), arg_scope())
    both, *_ = build(twice, (size, size, 3), arg_scope())
    assert [p.name for p in both.parameters] == [p.name for p in once.parameters]


@pytest.mark.parametrize(
    ("name", "some"),
    [
        (
            "inception_v1",
            [
                "InceptionV1/Conv2d_1a_7x7/weights",
                "InceptionV1/Conv2d_1a_7x7/BatchNorm/beta",
                "InceptionV1/Mixed_4f/Branch_2/Conv2d_0b_3x3/weights",
                "InceptionV1/Mixed_5b/Branch_2/Conv2d_0a_3x3/weights",
                "InceptionV1/Logits/Conv2d_0c_1x1/biases",
            ],
        ),
        (
            "inception_v2",
            [
                "InceptionV2/Conv2d_1a_7x7/depthwise_weights",
                "InceptionV2/Conv2d_1a_7x7/biases",
                "InceptionV2/Mixed_4a/Branch_1/Conv2d_1a_3x3/weights",
            ],
        ),
        (
            "inception_v3",
            [
                "InceptionV3/Mixed_5c/Branch_1/Conv_1_0c_5x5/weights",
                "InceptionV3/Mixed_6a/Branch_0/Conv2d_1a_1x1/weights",
                "InceptionV3/Mixed_7b/Branch_1/Conv2d_0b_3x1/weights",
                "InceptionV3/Mixed_7c/Branch_1/Conv2d_0c_3x1/weights",
                "InceptionV3/AuxLogits/Conv2d_2a_5x5/weights",
                "InceptionV3/AuxLogits/Conv2d_2b_1x1/biases",
            ],
        ),
        (
            "inception_v4",
            [
                "InceptionV4/Mixed_7d/Branch_2/Conv2d_0e_3x1/weights",
                "InceptionV4/AuxLogits/Conv2d_2a/weights",
                "InceptionV4/AuxLogits/Aux_logits/weights",
                "InceptionV4/Logits/Logits/biases",
            ],
        ),
        (
            "inception_resnet_v2",
            [
                "InceptionResnetV2/Mixed_5b/Branch_0/Conv2d_1x1/weights",
                "InceptionResnetV2/Repeat/block35_10/Conv2d_1x1/biases",
                "InceptionResnetV2/Repeat_1/block17_20/Branch_1/Conv2d_0c_7x1/weights",
                "InceptionResnetV2/Repeat_2/block8_9/Branch_0/Conv2d_1x1/weights",
                "InceptionResnetV2/Block8/Branch_1/Conv2d_0b_1x3/weights",
                "InceptionResnetV2/AuxLogits/Conv2d_2a_5x5/weights",
                "InceptionResnetV2/AuxLogits/Logits/weights",
            ],
        ),
    ],
)
def test_variables_are_called_as_in_tf_slims_checkpoints(name, some):
    _, net, arg_scope = parts(name)
    size = SIZES.get(name, 299)
    model, *_ = build(lambda x: net(x, 7), (size, size, 3), arg_scope())
    assert set(some) <= {p.name for p in model.parameters}


@pytest.mark.parametrize("name", ["inception_v2", "inception_v3"])
def test_a_multiplier_scales_filters_down_to_a_least_number(name):
    base, net, _ = parts(name)
    size = SIZES.get(name, 299)
    _, _, full = build(base, (size, size, 3))
    _, _, half = build(lambda x: base(x, depth_multiplier=0.5), (size, size, 3))
    for key, end in full.items():
        assert half[key].shape[-1] * 2 == end.shape[-1]
    _, _, least = build(
        lambda x: base(x, min_depth=24, depth_multiplier=0.01), (size, size, 3)
    )
    assert least["Conv2d_2b_" + ("1x1" if size == 224 else "3x3")].shape[-1] == 24
    for wrong in (0, -1.0, math.nan):
        with pytest.raises(ValueError, match="depth_multiplier must be above 0"):
            build(lambda x, w=wrong: net(x, 7, depth_multiplier=w), (size, size, 3))


def test_output_stride_and_aligned_maps_of_inception_resnet():
    base = inception_resnet_v2.inception_resnet_v2_base
    ends = ("MaxPool_5a_3x3", "Mixed_6a", "PreAuxLogits")

    def sizes(**options):
        _, _, found = build(lambda x: base(x, "PreAuxLogits", **options), (299, 299, 3))
        return [found[end].shape[1] for end in ends]

    assert sizes() == [35, 17, 17]
    assert sizes(align_feature_maps=True) == [38, 19, 19]
    assert sizes(output_stride=8) == [35, 33, 33]
    with pytest.raises(ValueError, match="output_stride must be 8 or 16, got 4"):
        sizes(output_stride=4)
    with pytest.raises(ValueError, match="goes up to final_endpoint='PreAuxLogits'"):
        build(lambda x: base(x, output_stride=8), (299, 299, 3))


def test_larger_images_leave_a_map_of_logits():
    _, net, _ = parts("inception_v1")
    shape = (300, 260, 3)
    with pytest.raises(ValueError, match=r"map of 4×3.*spatial_squeeze=False"):
        build(lambda x: net(x, 7), shape)
    _, logits, _ = build(lambda x: net(x, 7, spatial_squeeze=False), shape)
    assert logits.shape[1:] == (4, 3, 7)
    _, logits, ends = build(lambda x: net(x, 7, global_pool=True), shape)
    assert logits.shape[1:] == (7,)
    assert ends["global_pool"].shape[1:] == (1, 1, 1024)


@pytest.mark.parametrize(("use", "word"), [(True, "BatchNorm/beta"), (False, "biases")])
def test_the_arg_scope_normalizes_and_penalizes(use, word):
    scope = inception_v1.inception_v1_arg_scope(0.5, use)
    model, *_ = build(inception_v1.inception_v1_base, (64, 64, 3), scope)
    assert f"InceptionV1/Mixed_3b/Branch_0/Conv2d_0a_1x1/{word}" in {
        p.name for p in model.parameters
    }


NET = "inputs num_classes is_training dropout_keep_prob"
SCALED = "min_depth depth_multiplier"
# Positional order is TF-Slim's; what came later stands behind it.
SIGNATURES = {
    "inception_v1": (
        "inputs final_endpoint scope",
        f"{NET} prediction_fn spatial_squeeze reuse scope global_pool",
    ),
    "inception_v2": (
        f"inputs final_endpoint {SCALED} scope",
        f"{NET} {SCALED} prediction_fn spatial_squeeze reuse scope global_pool",
    ),
    "inception_v3": (
        f"inputs final_endpoint {SCALED} scope",
        f"{NET} {SCALED} prediction_fn spatial_squeeze reuse create_aux_logits scope "
        "global_pool",
    ),
    "inception_v4": (
        "inputs final_endpoint scope",
        f"{NET} reuse scope create_aux_logits",
    ),
    "inception_resnet_v2": (
        "inputs final_endpoint output_stride align_feature_maps scope activation_fn",
        f"{NET} reuse scope create_aux_logits activation_fn",
    ),
}


@pytest.mark.parametrize("name", NETS)
def test_arguments_stand_in_tf_slims_order(name):
    found = tuple(
        " ".join(inspect.signature(function).parameters) for function in parts(name)[:2]
    )
    assert found == SIGNATURES[name]


def test_a_narrow_net_gives_probabilities():
    def net(x):
        with slim.arg_scope(inception_v3.inception_v3_arg_scope()):
            _, ends = inception_v3.inception_v3(
                x, 5, min_depth=6, depth_multiplier=0.02, create_aux_logits=False
            )
        return ends["Predictions"], ends

    model, *_ = build(net, (79, 83, 3), dtype="f64")
    rng = np.random.default_rng(0)
    params = {
        p.name: rng.standard_normal(p.shape) / math.prod(p.shape[:-1]) ** 0.5
        for p in model.parameters
    }
    state = {
        s.name: np.full(s.shape, float("variance" in s.name)) for s in model.states
    }
    x = rng.standard_normal((3, 79, 83, 3))
    (y,) = reference.run(model, "f", {"x": x}, params, state).returns
    np.testing.assert_allclose(y.sum(1), 1)
    assert len(np.unique(y[:, 0])) == 3
