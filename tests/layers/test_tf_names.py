"""What network files take from TensorFlow itself: `layers.tf`."""

import numpy as np
import pytest
from support import slim_style
from support.networks import B

from slimlearn import ConvNetClassifier
from slimlearn import layers as slim
from slimlearn.backend import ops, reference
from slimlearn.backend.graph import Model
from slimlearn.layers import tf

rng = np.random.default_rng(0)
X = rng.normal(size=(4, 6, 5, 3))


def computed(build, x=X):
    """What `build` makes of `x`, an array for each tensor."""
    model = Model("f64")
    with model.function("predict") as graph:
        made = build(ops.input_("X", (B, *x.shape[1:]), "f64"))
        graph.return_(*(made if isinstance(made, (list, tuple)) else [made]))
    return list(reference.run(model, "predict", {"X": x}, {}).returns)


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize(
    ("build", "want"),
    [
        (lambda x: tf.concat([x, x], 3), np.concatenate([X, X], 3)),
        (lambda x: tf.concat(axis=2, values=[x, x]), np.concatenate([X, X], 2)),
        (lambda x: tf.split(x, 3, axis=3), np.split(X, 3, 3)),
        (lambda x: tf.split(x, [1, 4], axis=2), np.split(X, [1], 2)),
        (lambda x: tf.stack([x, x], axis=1), np.stack([X, X], 1)),
        (lambda x: tf.squeeze(tf.expand_dims(x, axis=1), [1]), X),
        (lambda x: tf.squeeze(tf.expand_dims(x, 2), squeeze_dims=[2]), X),
        (lambda x: tf.transpose(x, perm=[0, 2, 1, 3]), X.transpose(0, 2, 1, 3)),
        (lambda x: tf.reshape(x, [-1, 90]), X.reshape(-1, 90)),
        (lambda x: tf.identity(x, name="same"), X),
        (lambda x: tf.add_n([x, x, x], name="sum"), 3 * X),
        (lambda x: tf.add_n([x]), X),
        (lambda x: tf.to_float(tf.cast(x * 0, tf.int32)), 0 * X),
        (
            lambda x: tf.pad(x, [[0, 0], [1, 0], [0, 2], [0, 0]], name="around"),
            np.pad(X, [(0, 0), (1, 0), (0, 2), (0, 0)]),
        ),
        (
            lambda x: tf.pad(x, [[0, 0], [1, 1], [0, 0], [0, 0]], "REFLECT"),
            np.pad(X, [(0, 0), (1, 1), (0, 0), (0, 0)], "reflect"),
        ),
        (
            lambda x: tf.pad(x, [[0, 0], [1, 1], [0, 0], [0, 0]], constant_values=3),
            np.pad(X, [(0, 0), (1, 1), (0, 0), (0, 0)], constant_values=3),
        ),
        (
            lambda x: tf.reduce_mean(x, [1, 2], keep_dims=True, name="pool"),
            X.mean((1, 2), keepdims=True),
        ),
        (lambda x: tf.reduce_mean(input_tensor=x, axis=[1, 2]), X.mean((1, 2))),
        (lambda x: tf.reduce_max(x, reduction_indices=[3]), X.max(3)),
        (lambda x: tf.reduce_min(x, 3, keepdims=True), X.min(3, keepdims=True)),
        (lambda x: tf.reduce_sum(x, axis=1), X.sum(1)),
        (lambda x: tf.argmax(x, axis=3), X.argmax(3)),
        (lambda x: tf.clip_by_value(x, -0.5, 1.0), X.clip(-0.5, 1)),
        (lambda x: tf.nn.relu6(x * 9), np.clip(9 * X, 0, 6)),
        (lambda x: tf.nn.softmax(x), softmax(X)),
        (lambda x: tf.nn.bias_add(x, tf.ones([3])), X + 1),
        (
            lambda x: tf.nn.l2_normalize(x, dim=3),
            X / np.linalg.norm(X, axis=3, keepdims=True),
        ),
        (
            lambda x: tf.nn.moments(x, [1, 2], keep_dims=True),
            [X.mean((1, 2), keepdims=True), X.var((1, 2), keepdims=True)],
        ),
        (
            lambda x: tf.nn.max_pool(x, [1, 2, 5, 1], [1, 2, 1, 1], "VALID"),
            X.reshape(4, 3, 2, 5, 3).max((2, 3))[:, :, None],
        ),
        (
            lambda x: tf.nn.avg_pool(x, [1, 2, 5, 1], [1, 2, 1, 1], "VALID"),
            X.reshape(4, 3, 2, 5, 3).mean((2, 3))[:, :, None],
        ),
        (
            lambda x: tf.nn.conv2d(x, tf.ones([1, 1, 3, 2]), [1, 2, 1, 1], "SAME"),
            np.repeat(X[:, ::2].sum(3, keepdims=True), 2, 3),
        ),
        (
            lambda x: tf.nn.lrn(x, 0, bias=2.0, alpha=0.5, beta=1.0, name="lrn"),
            X / (2 + 0.5 * X**2),
        ),
        (
            lambda x: tf.image.resize_nearest_neighbor(x, [12, 10]),
            X.repeat(2, 1).repeat(2, 2),
        ),
    ],
)
def test_functions_have_tensorflows_arguments(build, want):
    found = computed(build)
    want = want if isinstance(want, (list, tuple)) else [want]
    assert len(found) == len(want)
    for one, other in zip(found, want):
        np.testing.assert_allclose(one, other, atol=1e-12)


def test_bilinear_images_keep_their_corners():
    (found,) = computed(lambda x: tf.image.resize_bilinear(x, [11, 9], True))
    np.testing.assert_allclose(found[:, ::2, ::2], X, atol=1e-12)


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda x: tf.add_n([]), "at least one tensor"),
        (lambda x: tf.split(x, [1, 1], axis=3), r"\[1, 1\] add up to 2"),
        (lambda x: tf.nn.max_pool(x, [2, 2], [1, 1, 1, 1], "SAME"), "ksize must be"),
        (
            lambda x: tf.nn.conv2d(x, tf.ones([1, 1, 3, 2]), [1, 1, 1, 2], "SAME"),
            "strides must be",
        ),
    ],
)
def test_what_cannot_be_is_refused(build, words):
    with pytest.raises(ValueError, match=words):
        computed(build)


def test_lists_of_a_network():
    model = Model("f64")
    with model.function("grad", training=True):
        x = ops.input_("X", (B, 5), "f64")
        with tf.variable_scope("tower"):
            made = tf.get_variable("w", [5], initializer=tf.ones_initializer())
        with slim.arg_scope([slim.batch_norm], updates_collections="update_ops"):
            net = slim.fully_connected(x * made, 3, normalizer_fn=slim.batch_norm)
        tf.add_to_collection(tf.GraphKeys.WEIGHTS, net)
        trainable = tf.get_collection(tf.GraphKeys.TRAINABLE_VARIABLES, "tower")
        assert trainable == [made]
        assert made not in tf.get_collection(tf.GraphKeys.MODEL_VARIABLES)
        assert len(tf.get_collection(tf.GraphKeys.MODEL_VARIABLES)) > 1
        assert tf.get_collection(tf.GraphKeys.WEIGHTS) == [net]
        assert tf.get_collection(tf.GraphKeys.UPDATE_OPS) == []
        with tf.variable_scope("tower", reuse=True) as scope:
            assert tf.get_variable("w") is made
            assert tf.get_variable_scope() is scope


@pytest.mark.parametrize(
    ("shape", "min_rank"), [((B, 3), 4), ((3, B), 1), ((), 1), ((), 0)]
)
def test_last_dimension_needs_a_number(shape, min_rank):
    with pytest.raises(ValueError, match="last_dimension"):
        slim.utils.last_dimension(shape, min_rank)


def built(function, arg_scope=None, size=32):
    """A network function in both forms, with what its first call returned."""
    model = Model("f32")
    for name, training in (("grad", True), ("predict", False)):
        with model.function(name, training=training) as graph:
            images = ops.input_("X", (B, size, size, 1), "f32")
            with slim.arg_scope(arg_scope or {}):
                net, end_points = function(images, 3, is_training=training)
            graph.return_(net)
    return model, net, end_points


def test_a_residual_network_runs_after_changing_its_imports():
    model, net, end_points = built(
        slim_style.small_resnet, slim_style.resnet_arg_scope()
    )
    assert net.shape == (B, 3)
    names = [p.name for p in model.parameters]
    assert "resnet_small/block1/unit_3/bottleneck_v1/conv2/weights" in names
    assert "resnet_small/block1/unit_1/bottleneck_v1/shortcut/BatchNorm/gamma" in names
    assert "resnet_small/block1/unit_2/bottleneck_v1/shortcut/weights" not in names
    assert end_points["resnet_small/block1"].shape == (B, 4, 4, 16)
    assert end_points["resnet_small/block1/unit_2/bottleneck_v1"].shape == (B, 8, 8, 16)
    assert end_points["global_pool"].shape == (B, 1, 1, 16)
    assert {"resnet_small/logits", "predictions", "resnet_small/conv1"} <= {*end_points}
    decays = model.parameters["resnet_small/conv1/weights"]
    assert slim.regularizers.coefficients(decays) == (0.0, 0.0001)


def test_variables_are_reused_as_the_scope_says():
    model = Model("f32")
    with model.function("predict") as graph:
        images = [ops.input_(name, (B, 16, 16, 1), "f32") for name in "XY"]
        with slim.arg_scope(slim_style.resnet_arg_scope()):
            one, _ = slim_style.small_resnet(images[0], 3, is_training=False)
            count = len(list(model.parameters))
            other, _ = slim_style.small_resnet(images[1], 3, False, reuse=True)
        graph.return_(one, other)
    assert len(list(model.parameters)) == count
    with model.function("again"), slim.arg_scope(slim_style.resnet_arg_scope()):
        images = ops.input_("X", (B, 16, 16, 1), "f32")
        with pytest.raises(ValueError, match="reuse=True"):
            slim_style.inception(images, 3, False, reuse=True)


def test_branches_run_after_changing_their_imports():
    model, net, end_points = built(slim_style.inception, size=8)
    assert net.shape == (B, 3)
    assert end_points["Mixed_3b"].shape == (B, 8, 8, 12)
    names = [p.name for p in model.parameters]
    assert "Inception/Mixed_3b/Branch_1/Conv2d_0c_3x1/weights" in names
    assert "Inception/Conv2d_1a_3x3/depthwise_weights" in names


@pytest.mark.parametrize("style", ["lenet", "small_resnet", "inception"])
def test_such_networks_train(style):
    """The estimator fills in the number of classes and whether it is training."""
    function = getattr(slim_style, style)
    scopes = {"lenet": slim_style.lenet_arg_scope(1e-4)}
    scopes["small_resnet"] = slim_style.resnet_arg_scope()

    def net(images, num_classes, is_training):
        with slim.arg_scope(scopes.get(style, {})):
            return function(images, num_classes, is_training=is_training)

    rows = np.arange(48)
    images = rng.normal(size=(48, 16, 16)).astype(np.float32) * 0.1
    images[rows, :, rows % 3] += 2.0
    clf = ConvNetClassifier(
        net, max_iter=25, batch_size=12, learning_rate=5e-3, random_state=0
    )
    assert clf.fit(images, rows % 3).loss_curve_[-1] < 0.8 * clf.loss_curve_[0]
    point = {"lenet": "Flatten", "small_resnet": "global_pool"}.get(style, "Mixed_3b")
    assert len(clf.activations(images[:2], point)) == 2


# -- older homes and words ------------------------------------------------------------


def test_names_of_tensorflow_1_stand_where_files_look_for_them():
    assert tf.compat.v1 is tf
    assert tf.compat.v1.variable_scope is tf.variable_scope
    for home in (tf.contrib.slim, tf.contrib.layers, tf.contrib.framework):
        assert home is slim
    # What lists all names inside, as the reference does, would walk in circles.
    assert not {"compat", "contrib"} & {*tf.__all__, *dir(tf)}


def test_shapes_answer_as_tensorflows_do():
    model = Model("f64")
    with model.function("predict"):
        x = ops.input_("X", (B, 6, 5, 3), "f64")
        shape = x.get_shape()
        assert shape.rank == shape.ndims == 4
        assert not shape.is_fully_defined()
        assert shape[1:3].is_fully_defined()
        assert shape[1:].num_elements() == 90
        assert shape.num_elements() is None
        shape.assert_has_rank(4)
        shape[1:3].assert_is_fully_defined()
        shape.assert_is_compatible_with([None, 6, None, 3])
        x.set_shape([None, None, 5, 3])
        with pytest.raises(ValueError, match="must have rank 2, not 4"):
            shape.assert_has_rank(2)
        with pytest.raises(ValueError, match="only at run time"):
            shape.assert_is_fully_defined()
        for other in ([None, 6, 5], [None, 7, 5, 3]):
            with pytest.raises(ValueError, match="must be"):
                x.set_shape(other)


def test_operations_are_found_by_name():
    """As the base of Slim's MobileNet v2 looks for its end points."""
    model = Model("f64")
    with model.function("predict"):
        x = ops.input_("X", (B, 6, 5, 3), "f64")
        with tf.variable_scope("layer_1"):
            net = tf.identity(x, name="output")
        found = {t.name: t.outputs[0] for t in net.graph.get_operations()}
    assert found["layer_1/output"] is net
