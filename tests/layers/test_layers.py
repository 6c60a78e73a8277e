"""Layers: their values, the names of their ops, and what they refuse."""

import numpy as np
import pytest
from scipy import special
from support.networks import B, Built, evaluate

from slimlearn import layers as slim
from slimlearn.backend import ops
from slimlearn.backend.graph import Model
from slimlearn.layers import activation

rng = np.random.default_rng(0)
X = rng.normal(size=(7, 5))


def names(built):
    return [p.name for p in built.model.parameters]


def values(built, function="grad"):
    return [n.results[0].name for n in built.model.functions[function].nodes]


@pytest.fixture
def graph():
    """A function in which layers may be built by hand."""
    model = Model("f64")
    with model.function("predict") as made:
        yield made


@pytest.fixture
def x(graph):
    return ops.input_("X", (B, 5), "f64")


# fully_connected


def test_fully_connected_is_relu_of_xw_plus_b():
    built = Built(lambda x: slim.fully_connected(x, 3, scope="fc1"))
    built.params["fc1/biases"][...] = [1.0, -1.0, 0.5]
    w, b = built.params["fc1/weights"], built.params["fc1/biases"]
    np.testing.assert_allclose(built.predict(X), np.maximum(X @ w + b, 0))
    assert names(built) == ["fc1/weights", "fc1/biases"]


def test_fully_connected_names_its_ops_after_its_scope():
    built = Built(lambda x: slim.fully_connected(x, 3, scope="fc1"))
    assert values(built, "predict") == ["X", "fc1/matmul", "fc1/add", "fc1/relu"]


def test_fully_connected_acts_on_the_last_axis():
    built = Built(lambda x: slim.linear(x, 3), shape=(4, 5))
    x = rng.normal(size=(2, 4, 5))
    np.testing.assert_allclose(
        built.predict(x), x @ built.params["fully_connected/weights"]
    )


def test_default_scopes_are_numbered():
    built = Built(lambda x: slim.linear(slim.relu(slim.elu(x, 4), 3), 2))
    assert names(built)[::2] == [
        "fully_connected/weights",
        "fully_connected_1/weights",
        "fully_connected_2/weights",
    ]


def test_without_biases_initializer_there_are_no_biases():
    built = Built(lambda x: slim.fully_connected(x, 3, biases_initializer=None))
    assert names(built) == ["fully_connected/weights"]


def test_a_normalizer_stands_for_the_biases():
    def net(x):
        return slim.fully_connected(
            x, 3, normalizer_fn=slim.batch_norm, normalizer_params={"scale": True}
        )

    assert names(Built(net)) == [
        "fully_connected/weights",
        "fully_connected/BatchNorm/beta",
        "fully_connected/BatchNorm/gamma",
    ]


def test_the_partials_differ_by_their_activation():
    for layer, function in [
        (slim.relu, lambda z: np.maximum(z, 0)),
        (slim.relu6, lambda z: np.clip(z, 0, 6)),
        (slim.elu, lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0)))),
        (slim.linear, lambda z: z),
    ]:
        built = Built(lambda x, layer=layer: layer(x, 3, scope="a"))
        np.testing.assert_allclose(
            built.predict(X), function(X @ built.params["a/weights"])
        )


def test_an_activation_may_be_named():
    built = Built(lambda x: slim.fully_connected(x, 3, "tanh", scope="a"))
    np.testing.assert_allclose(built.predict(X), np.tanh(X @ built.params["a/weights"]))
    with pytest.raises(ValueError, match="'sigmoidd'; did you mean 'sigmoid'"):
        Built(lambda x: slim.fully_connected(x, 3, "sigmoidd"))


@pytest.mark.parametrize("units", [0, -1, 2.0, "3", True, None])
def test_a_wrong_number_of_units_is_refused(x, units):
    with pytest.raises(ValueError, match="num_outputs must be a whole number"):
        slim.fully_connected(x, units)


def test_inputs_that_do_not_fit_are_refused(graph, x):
    with pytest.raises(TypeError, match="inputs must be a tensor of the network"):
        slim.fully_connected(X, 3)
    with pytest.raises(ValueError, match="at least 2 dimensions"):
        slim.fully_connected(ops.reduce_sum(x, [1]), 3)
    with pytest.raises(TypeError, match="must be f32 or f64"):
        slim.fully_connected(ops.cast(x, "i32"), 3)


def test_outside_a_network_layers_say_where_they_belong():
    with pytest.raises(RuntimeError, match="layers inside a network function"):
        slim.get_variables()


# repeat and stack


def test_repeat_numbers_its_layers():
    built = Built(lambda x: slim.repeat(x, 2, slim.fully_connected, 4, scope="fc1"))
    assert names(built) == [
        "fc1/fc1_1/weights",
        "fc1/fc1_1/biases",
        "fc1/fc1_2/weights",
        "fc1/fc1_2/biases",
    ]


def test_stack_gives_each_layer_its_arguments():
    built = Built(lambda x: slim.stack(x, slim.fully_connected, [8, 4], scope="fc"))
    shapes = [p.shape for p in built.model.parameters]
    assert shapes == [(5, 8), (8,), (8, 4), (4,)]
    assert names(built)[::2] == ["fc/fc_1/weights", "fc/fc_2/weights"]


def test_without_a_scope_layers_are_called_after_the_function():
    def net(x):
        net = slim.repeat(x, 2, slim.relu, 4)
        net = slim.stack(net, slim.fully_connected, [(3, "tanh"), (2, None)])
        return slim.repeat(net, 1, slim.fully_connected, 4)

    assert names(Built(net))[::2] == [
        "Repeat/fully_connected_1/weights",
        "Repeat/fully_connected_2/weights",
        "Stack/fully_connected_1/weights",
        "Stack/fully_connected_2/weights",
        "Repeat_1/fully_connected_1/weights",
    ]


def test_repeat_and_stack_refuse_what_they_cannot_count(x):
    with pytest.raises(ValueError, match="stack_args must be a list or tuple"):
        slim.stack(x, slim.fully_connected, 64)
    with pytest.raises(ValueError, match="repetitions must be a whole number"):
        slim.repeat(x, 0, slim.fully_connected, 64)


# dropout


def test_dropout_is_nothing_in_inference():
    built = Built(slim.dropout)
    np.testing.assert_array_equal(built.predict(X), X)
    assert values(built, "predict") == ["X"]


def test_dropout_keeps_and_scales_in_training():
    built = Built(lambda x: slim.dropout(x, 0.8, scope="drop"), shape=(100,))
    x = np.ones((200, 100))
    out, _ = built.train(x)
    assert set(np.unique(out)) == {0.0, 1 / 0.8}
    assert abs(out.mean() - 1) < 0.01
    other, _ = built.train(x, step=1)
    assert (out != other).any()
    assert built.hypers() == {"drop/keep_prob": 0.8}


def test_keep_prob_is_no_part_of_the_program():
    texts = [
        str(Built(lambda x, p=p: slim.dropout(x, p, scope="d")).model)
        for p in (0.5, 0.9)
    ]
    assert texts[0] == texts[1]


def test_two_dropouts_of_one_scope_keep_their_own():
    def net(x):
        return slim.dropout(slim.dropout(x, 0.5, scope="d"), 0.9, scope="d")

    built = Built(net)
    assert built.hypers() == {"d/keep_prob": 0.5, "d/keep_prob_1": 0.9}
    streams = [
        node.attributes["stream"]
        for node in built.model.functions["grad"].nodes
        if node.op == "dropout"
    ]
    assert len(set(streams)) == 2


def test_dropout_of_whole_columns():
    built = Built(lambda x: slim.dropout(x, 0.5, noise_shape=[None, 1]))
    out, _ = built.train(np.ones((50, 5)))
    assert (out == out[:, :1]).all()
    assert 0 < (out == 0).mean() < 1


def test_dropout_follows_is_training_where_it_is_told(x):
    assert slim.dropout(x, is_training=False) is x
    assert slim.dropout(x, is_training=True) is not x
    assert slim.dropout(x, 1.0, is_training=True) is x
    with pytest.raises(TypeError, match="is_training must be True, False or None"):
        slim.dropout(x, is_training=1)


def test_the_seed_of_dropout_moves_its_draw():
    def kept(seed):
        out, _ = Built(lambda x: slim.dropout(x, scope="d", seed=seed)).train(X)
        return out == 0

    assert (kept(None) != kept(1)).any()
    np.testing.assert_array_equal(kept(3), kept(3))


def test_dropout_takes_a_tensor(graph, x):
    keep = ops.reduce_max(ops.sigmoid(x))
    assert slim.dropout(x, keep, is_training=True).shape == x.shape


@pytest.mark.parametrize("keep_prob", [0, -0.1, 1.1, None, "a"])
def test_a_wrong_keep_prob_is_refused(x, keep_prob):
    with pytest.raises(ValueError, match="keep_prob, the probability of keeping"):
        slim.dropout(x, keep_prob)


@pytest.mark.parametrize("shape", [[None], [2, 5], [None, 4]])
def test_a_wrong_noise_shape_is_refused(x, shape):
    with pytest.raises(ValueError, match="noise_shape"):
        slim.dropout(x, noise_shape=shape, is_training=True)


# Shapes and lookups


def test_flatten_keeps_rows():
    x = rng.normal(size=(2, 3, 4))
    np.testing.assert_array_equal(evaluate(slim.flatten, x=x), x.reshape(2, 12))


def test_bias_add_adds_one_bias_a_feature():
    built = Built(lambda x: slim.bias_add(x, activation.relu, scope="b"))
    built.params["b/biases"][...] = np.arange(5)
    np.testing.assert_allclose(built.predict(X), np.maximum(X + np.arange(5), 0))


def test_bias_add_is_a_normalizer():
    built = Built(lambda x: slim.linear(x, 3, normalizer_fn=slim.bias_add, scope="fc"))
    assert names(built) == ["fc/weights", "fc/BiasAdd/biases"]


def test_softmax_sums_to_one():
    np.testing.assert_allclose(
        evaluate(slim.softmax, logits=X), special.softmax(X, axis=1)
    )


def test_maxout_takes_the_greatest_of_each_group():
    x = rng.normal(size=(3, 6))
    out = evaluate(lambda x: slim.maxout(x, 2), x=x)
    np.testing.assert_array_equal(out, x.reshape(3, 2, 3).max(axis=2))
    x = rng.normal(size=(3, 4, 5))
    out = evaluate(lambda x: slim.maxout(x, 2, axis=1), x=x)
    np.testing.assert_array_equal(out, x.reshape(3, 2, 2, 5).max(axis=2))


def test_maxout_refuses_a_number_that_does_not_divide(x):
    with pytest.raises(ValueError, match="num_units=2 must divide"):
        slim.maxout(x, 2)


def test_glu_gates_one_half_by_the_other():
    x = rng.normal(size=(3, 6))
    want = x[:, :3] * special.expit(x[:, 3:])
    np.testing.assert_allclose(
        evaluate(slim.glu, inputs=x), want, rtol=1e-12, atol=1e-14
    )
    x = rng.normal(size=(3, 4, 5))
    want = x[:, :2] * special.expit(x[:, 2:])
    out = evaluate(lambda x: slim.glu(x, axis=1), x=x)
    np.testing.assert_allclose(out, want, rtol=1e-12, atol=1e-14)


def test_glu_refuses_an_odd_number_of_features(x):
    with pytest.raises(
        ValueError, match=r"glu: the number of features must be even.*5"
    ):
        slim.glu(x)


def test_embedding_looks_vectors_up():
    def net(x):
        ids = ops.slice_(x, 1, 0, 2)
        return slim.embedding(ids, 10, 3, scope="words")

    built = Built(net)
    x = rng.integers(0, 10, size=(7, 5)).astype(float)
    table = built.params["words/embeddings"]
    assert table.shape == (10, 3)
    np.testing.assert_array_equal(built.predict(x), table[x[:, :2].astype(int)])
    _, grads = built.train(x, np.ones((7, 2, 3)))
    counts = np.bincount(x[:, :2].astype(int).ravel(), minlength=10)
    np.testing.assert_allclose(
        grads["words/embeddings"], np.repeat(counts[:, None], 3, axis=1)
    )


def test_one_hot_encoding():
    labels = np.array([0, 2, 1])
    out = evaluate(lambda y: slim.one_hot_encoding(y, 3, 2.0, -1.0), y=labels)
    np.testing.assert_array_equal(out, np.eye(3)[labels] * 3 - 1)


def test_scale_gradient_leaves_the_value():
    built = Built(lambda x: slim.scale_gradient(slim.linear(x, 3, scope="a"), 0.25))
    np.testing.assert_array_equal(built.predict(X), X @ built.params["a/weights"])
    _, grads = built.train(X, np.ones((7, 3)))
    np.testing.assert_allclose(grads["a/biases"], 7 * 0.25)
