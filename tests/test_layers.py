"""Layers: values, names, modes, sharing, and what they refuse."""

import math
import pickle

import numpy as np
import pytest
from networks import B, Built, evaluate
from scipy import special

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


# Sharing and names


def test_training_and_inference_share_variables():
    built = Built(lambda x: slim.fully_connected(x, 3, scope="fc1"))
    trained, _ = built.train(X)
    np.testing.assert_array_equal(trained, built.predict(X))


def test_two_layers_of_one_scope_are_refused(x):
    slim.fully_connected(x, 3, scope="fc1")
    with pytest.raises(ValueError, match=r"scope 'fc1' holds a variable 'weights'"):
        slim.fully_connected(x, 3, scope="fc1")


def test_reuse_shares_the_variables():
    def net(x):
        first = slim.linear(x, 3, scope="fc1")
        return first + slim.linear(x, 3, scope="fc1", reuse=True)

    built = Built(net)
    assert names(built) == ["fc1/weights", "fc1/biases"]
    np.testing.assert_allclose(built.predict(X), 2 * X @ built.params["fc1/weights"])
    _, grads = built.train(X, np.ones((7, 3)))
    np.testing.assert_allclose(
        grads["fc1/weights"], 2 * X.T @ np.ones((7, 3)), atol=1e-12
    )


def test_a_scope_that_reuses_shares_layers_of_default_names():
    def tower(x, reuse):
        with slim.variable_scope("tower", reuse=reuse):
            return slim.linear(slim.relu(x, 4), 3)

    built = Built(lambda x: tower(x, None) + tower(x, True))
    assert names(built)[::2] == [
        "tower/fully_connected/weights",
        "tower/fully_connected_1/weights",
    ]


def test_reuse_of_what_is_not_there_is_refused(x):
    with pytest.raises(ValueError, match=r"'fc1/weights'.*reuse=True, but holds no"):
        slim.fully_connected(x, 3, scope="fc1", reuse=True)


def test_reuse_with_another_shape_is_refused(x):
    slim.fully_connected(x, 3, scope="fc1")
    with pytest.raises(ValueError, match=r"f64\[5,3\] in this model.*f64\[5,4\]"):
        slim.fully_connected(x, 4, scope="fc1", reuse=True)


def test_a_network_that_differs_between_modes_is_refused():
    model = Model("f64")
    with model.function("grad", training=True):
        slim.linear(ops.input_("X", (B, 5), "f64"), 3, scope="a")
    with model.function("predict"):
        with pytest.raises(ValueError, match="in this model, but this layer needs"):
            slim.linear(ops.input_("X", (B, 5), "f64"), 4, scope="a")


def test_scopes_nest_and_can_be_entered_again(x):
    with slim.variable_scope("a") as a:
        assert a.original_name_scope == "a/"
        with slim.variable_scope(None, "b") as b:
            assert b.name == "a/b"
        with slim.variable_scope(None, "b") as b:
            assert b.name == "a/b_1"
        made = slim.variable("v", [2])
    with slim.variable_scope("c"), slim.variable_scope(a, reuse=True) as again:
        assert again.name == "a"
        assert slim.variable("v") is made
        assert (slim.get_variable_scope().name) == "a"
    with slim.variable_scope("a") as once_more:
        once_more.reuse_variables()
        assert slim.variable("v", [2]) is made
    with pytest.raises(ValueError, match="needs a name or a default_name"):
        with slim.variable_scope(None):
            pass


def test_a_scope_ends_after_an_error(x):
    with pytest.raises(ZeroDivisionError), slim.variable_scope("a"):
        raise ZeroDivisionError
    assert slim.get_variable_scope().name == ""
    assert slim.linear(x, 2).name == "fully_connected/add"


def test_variables_are_found_by_scope_name_and_suffix(graph, x):
    with slim.variable_scope("tower"):
        slim.linear(x, 3, scope="a", variables_collections=["mine"])
        slim.linear(x, 3, scope="b", trainable=False)
    slim.batch_norm(x, scope="bn", variables_collections={"beta": ["mine"]})
    own = slim.variable("own", [1])

    def found(variables):
        return [v.name for v in variables]

    assert found(slim.get_variables("tower/a")) == ["tower/a/weights", "tower/a/biases"]
    assert found(slim.get_variables(suffix="weights")) == [
        "tower/a/weights",
        "tower/b/weights",
    ]
    assert own in slim.get_variables()
    assert own not in slim.get_model_variables()
    assert found(slim.get_model_variables("bn")) == [
        "bn/beta",
        "bn/moving_mean",
        "bn/moving_variance",
        "bn/moving_weight",
    ]
    assert found(slim.get_trainable_variables("tower|bn")) == [
        "tower/a/weights",
        "tower/a/biases",
        "bn/beta",
    ]
    assert found(slim.get_variables_by_name("a/weights")) == ["tower/a/weights"]
    assert found(slim.get_variables_by_name("weights", scope="tower/b")) == [
        "tower/b/weights"
    ]
    assert found(slim.get_variables_by_suffix("ights")) == [
        "tower/a/weights",
        "tower/b/weights",
    ]
    assert found(graph.model.collection("mine")) == [
        "tower/a/weights",
        "tower/a/biases",
        "bn/beta",
    ]
    unique = slim.get_unique_variable("tower/a/biases")
    assert slim.get_variable_full_name(unique) == "tower/a/biases"
    with pytest.raises(ValueError, match="no variable is called 'a': there are tower"):
        slim.get_unique_variable("a")


def test_variables_are_filtered_by_patterns(x):
    slim.linear(x, 3, scope="conv1")
    slim.linear(x, 3, scope="logits")

    def found(*arguments, **keywords):
        variables = slim.get_variables()
        return [
            v.name for v in slim.filter_variables(variables, *arguments, **keywords)
        ]

    assert found(["conv"], ["biases"]) == ["conv1/weights"]
    assert found(None, ["logits"]) == ["conv1/weights", "conv1/biases"]
    assert found([]) == []
    assert found(["weights"], reg_search=False) == []


def test_a_variable_starts_at_its_number_and_has_its_penalty(graph):
    made = slim.model_variable(
        "a", [2], initializer=0.5, regularizer=slim.l2_regularizer(0.1)
    )
    assert made.initializer == slim.constant_initializer(0.5)
    assert slim.regularizers.coefficients(made) == (0.0, 0.1)
    with pytest.raises(ValueError, match="is new: give it a shape"):
        slim.variable("b")
    with pytest.raises(ValueError, match="are f64, not f32"):
        slim.variable("b", [1], dtype="f32")


def test_arg_scope_sets_arguments_of_variables(graph):
    with slim.arg_scope([slim.model_variable], trainable=False):
        assert not slim.model_variable("a", [2]).trainable


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


# batch_norm


def moments(x, weights=None):
    mean = np.average(x, axis=0, weights=weights)
    return mean, np.average((x - mean) ** 2, axis=0, weights=weights)


@pytest.mark.parametrize("precision", ["f32", "f64"])
def test_batch_norm_uses_the_batch_in_training(precision):
    built = Built(lambda x: slim.batch_norm(x, scale=True, scope="bn"), (5,), precision)
    built.params["bn/gamma"][...] = 2.0
    built.params["bn/beta"][...] = 1.0
    mean, variance = moments(X)
    out, _ = built.train(X)
    wanted = 2 * (X - mean) / np.sqrt(variance + 0.001) + 1
    np.testing.assert_allclose(out, wanted, rtol=2e-5 if precision == "f32" else 1e-12)


def test_batch_norm_averages_are_free_of_bias():
    built = Built(lambda x: slim.batch_norm(x, decay=0.9, scope="bn"))
    batches = [rng.normal(3.0, 2.0, size=(7, 5)) for _ in range(4)]
    built.train(batches[0])
    np.testing.assert_allclose(built.states["bn/moving_mean"], moments(batches[0])[0])
    for batch in batches[1:]:
        built.train(batch)
    shares = 0.9 ** np.arange(3, -1, -1.0)
    shares /= shares.sum()
    means, variances = np.array([moments(b) for b in batches]).transpose(1, 0, 2)
    np.testing.assert_allclose(built.states["bn/moving_mean"], shares @ means)
    np.testing.assert_allclose(built.states["bn/moving_variance"], shares @ variances)
    wanted = (X - shares @ means) / np.sqrt(shares @ variances + 0.001)
    np.testing.assert_allclose(built.predict(X), wanted)


def test_batch_norm_weights_its_moments_by_the_rows():
    weights = np.array([1.0, 2, 0.5, 3, 1, 1, 4])
    built = Built(lambda x: slim.batch_norm(x, scope="bn"), weighted=True)
    built.train(X, weights=weights)
    mean, variance = moments(X, weights)
    np.testing.assert_allclose(built.states["bn/moving_mean"], mean)
    np.testing.assert_allclose(built.states["bn/moving_variance"], variance)


def test_integer_weights_of_batch_norm_are_repeated_rows():
    weights = np.array([1, 2, 1, 3, 1, 1, 2])
    net = Built(lambda x: slim.batch_norm(slim.linear(x, 3), scope="bn"), weighted=True)
    direction = rng.normal(size=(7, 3))
    out, grads = net.train(X, direction * weights[:, None], weights)
    again = np.repeat(np.arange(7), weights)
    repeated, more = net.train(X[again], direction[again], np.ones(len(again)))
    np.testing.assert_allclose(out[again], repeated)
    for name, gradient in grads.items():
        np.testing.assert_allclose(gradient, more[name], atol=1e-12)


def test_batch_norm_takes_weights_of_its_own_and_many_axes():
    def net(x):
        weights = ops.slice_(x, 2, 0, 1)
        weights = ops.reshape(ops.slice_(weights, 1, 0, 1), (B,))
        return slim.batch_norm(x, batch_weights=ops.exp(weights), scope="bn")

    x = rng.normal(size=(6, 3, 4))
    built = Built(net, (3, 4))
    built.train(x)
    weights = np.repeat(np.exp(x[:, 0, 0]), 3)
    mean, variance = moments(x.reshape(18, 4), weights)
    np.testing.assert_allclose(built.states["bn/moving_mean"], mean)
    np.testing.assert_allclose(built.states["bn/moving_variance"], variance)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_gradient_of_batch_norm_is_that_of_finite_differences(weighted):
    def net(x):
        return slim.batch_norm(slim.linear(x, 3, scope="fc"), scale=True, scope="bn")

    built = Built(net, weighted=weighted)
    built.params["bn/gamma"][...] = [0.5, 1.5, -2.0]
    weights = np.array([1.0, 2, 0.5, 3, 1, 1, 4]) if weighted else None
    direction = rng.normal(size=(7, 3))
    _, grads = built.train(X, direction, weights)
    for name in ("fc/weights", "bn/gamma", "bn/beta"):
        array = built.params[name]
        for index in np.ndindex(array.shape):
            old = array[index]
            step = []
            for move in (1e-6, -1e-6):
                array[index] = old + move
                step.append((built.train(X, direction, weights)[0] * direction).sum())
            array[index] = old
            slope = (step[0] - step[1]) / 2e-6
            assert math.isclose(grads[name][index], slope, rel_tol=1e-5, abs_tol=1e-6)


def test_batch_norm_used_twice_moves_its_averages_twice():
    def net(x):
        first = slim.batch_norm(x, decay=0.5, scope="bn")
        return first + slim.batch_norm(x * 2.0, decay=0.5, scope="bn", reuse=True)

    built = Built(net)
    built.train(X)
    mean = X.mean(axis=0)
    np.testing.assert_allclose(
        built.states["bn/moving_mean"], (0.25 * mean + 0.5 * 2 * mean) / 0.75
    )


def test_batch_norm_before_training_changes_little():
    built = Built(slim.batch_norm)
    np.testing.assert_allclose(built.predict(X), X / np.sqrt(1.001))


def test_inference_of_batch_norm_leaves_the_averages():
    built = Built(lambda x: slim.batch_norm(x, scope="bn"))
    assert built.model.functions["predict"].sets == {}
    assert sorted(built.model.functions["grad"].sets) == [
        "bn/moving_mean",
        "bn/moving_variance",
        "bn/moving_weight",
    ]


def test_batch_norm_is_few_ops():
    built = Built(lambda x: slim.batch_norm(x, scale=True, scope="bn"))
    assert len(built.model.functions["predict"].nodes) <= 8


def test_batch_norm_refuses_what_it_does_not_offer(x):
    with pytest.raises(ValueError, match="data_format='NCHW'"):
        slim.batch_norm(x, data_format="NCHW")
    with pytest.raises(ValueError, match="renorm and adjustment"):
        slim.batch_norm(x, renorm=True)
    with pytest.raises(ValueError, match="decay must be"):
        slim.batch_norm(x, decay=1.0)
    with pytest.raises(ValueError, match="batch_weights must have the shape"):
        slim.batch_norm(x, batch_weights=x, is_training=True)


def test_parameters_of_batch_norm_take_initializers_and_regularizers(graph, x):
    slim.batch_norm(
        x,
        scale=True,
        scope="bn",
        param_initializers={"gamma": slim.constant_initializer(3.0)},
        param_regularizers={"beta": slim.l1_regularizer(0.2)},
    )
    parameters = graph.model.parameters
    assert parameters["bn/gamma"].initializer == slim.constant_initializer(3.0)
    assert slim.regularizers.coefficients(parameters["bn/beta"]) == (0.2, 0.0)


# Other normalizations


def test_layer_norm_normalizes_each_row():
    built = Built(lambda x: slim.layer_norm(x, scope="ln"))
    assert names(built) == ["ln/beta", "ln/gamma"]
    built.params["ln/gamma"][...] = 3.0
    wanted = X - X.mean(axis=1, keepdims=True)
    wanted *= 3 / X.std(axis=1, keepdims=True)
    np.testing.assert_allclose(built.predict(X), wanted)


def test_layer_norm_over_the_last_axis_of_many():
    built = Built(
        lambda x: slim.layer_norm(x, begin_norm_axis=-1, activation_fn="tanh"), (4, 3)
    )
    x = rng.normal(size=(2, 4, 3))
    wanted = (x - x.mean(2, keepdims=True)) / x.std(2, keepdims=True)
    np.testing.assert_allclose(built.predict(x), np.tanh(wanted))


def test_layer_norm_refuses_axes_that_are_not_there(x):
    with pytest.raises(ValueError, match="begin_norm_axis=2 is no axis"):
        slim.layer_norm(x, begin_norm_axis=2)
    with pytest.raises(ValueError, match="begin_params_axis=0 makes parameters"):
        slim.layer_norm(x, begin_params_axis=0)


def test_unit_norm_brings_rows_to_length_one():
    out = evaluate(lambda x: slim.unit_norm(x, 1), x=X)
    np.testing.assert_allclose(out, X / np.sqrt((X**2).sum(1, keepdims=True) + 1e-7))


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


# Activations


REFERENCES = {
    "linear": lambda z: z,
    "relu": lambda z: np.maximum(z, 0),
    "relu6": lambda z: np.clip(z, 0, 6),
    "leaky_relu": lambda z: np.where(z > 0, z, 0.2 * z),
    "elu": lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0))),
    "selu": lambda z: (
        1.0507009873554805
        * np.where(z > 0, z, 1.6732632423543772 * np.expm1(np.minimum(z, 0)))
    ),
    "gelu": lambda z: z * special.ndtr(z),
    "silu": lambda z: z * special.expit(z),
    "swish": lambda z: z * special.expit(z),
    "mish": lambda z: z * np.tanh(np.logaddexp(z, 0)),
    "softplus": lambda z: np.logaddexp(z, 0),
    "softsign": lambda z: z / (1 + abs(z)),
    "tanh": np.tanh,
    "sigmoid": special.expit,
    "hard_sigmoid": lambda z: np.clip(z + 3, 0, 6) / 6,
    "hard_tanh": lambda z: np.clip(z, -1, 1),
    "hard_swish": lambda z: z * np.clip(z + 3, 0, 6) / 6,
}


def test_every_activation_is_tested():
    assert set(REFERENCES) | {"get"} == set(activation.__all__)


@pytest.mark.parametrize("name", REFERENCES)
def test_activations_have_their_values_and_stay_finite(name):
    z = np.concatenate([np.linspace(-8, 8, 81), [-700.0, 700.0, -1e4, 1e4]])
    out = evaluate(activation.get(name), x=z)
    np.testing.assert_allclose(out, REFERENCES[name](z), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", REFERENCES)
def test_activations_have_their_slopes(name):
    function = activation.get(name)
    built = Built(lambda x: function(slim.bias_add(x, scope="b")), shape=(85,))
    z = np.concatenate([np.linspace(-8.05, 7.95, 81), [-700.0, 700.0, -1e4, 1e4]])
    _, grads = built.train(z[None], np.ones((1, 85)))
    slope = (REFERENCES[name](z + 1e-6) - REFERENCES[name](z - 1e-6)) / 2e-6
    np.testing.assert_allclose(grads["b/biases"], slope, rtol=1e-4, atol=1e-5)


def test_gelu_may_be_approximate():
    z = np.linspace(-4, 4, 33)
    out = evaluate(lambda x: activation.gelu(x, approximate=True), x=z)
    np.testing.assert_allclose(out, z * special.ndtr(z), atol=1e-3)


def test_an_activation_is_got_by_name_function_or_none():
    assert activation.get("tanh") is activation.tanh
    assert activation.get(None) is activation.linear
    assert activation.get(math.sin) is math.sin
    with pytest.raises(ValueError, match="no activation is called 'rleu'"):
        activation.get("rleu")
    with pytest.raises(ValueError, match="alpha must be from 0 to 1"):
        evaluate(lambda x: activation.leaky_relu(x, 2.0), x=X)


# End points


def test_layers_collect_their_outputs_by_name(graph, x):
    with slim.arg_scope([slim.fully_connected], outputs_collections=["end_points"]):
        net = slim.stack(x, slim.fully_connected, [4, 3], scope="fc")
    other = slim.utils.collect_named_outputs("end_points", "again/", net * 2.0)
    graph.collection("end_points").append(x)
    found = slim.utils.convert_collection_to_dict("end_points", clear_collection=True)
    assert list(found) == ["fc/fc_1", "fc/fc_2", "again", "X"]
    assert list(found.values())[1:] == [net, other, x]
    assert slim.utils.convert_collection_to_dict("end_points") == {}


# Slim's own model code


def mlp_arg_scope(weight_decay=0.0005, is_training=True):
    """As TF-Slim's `vgg_arg_scope` does it."""
    batch_norm_params = {"is_training": is_training, "decay": 0.9, "scale": True}
    with slim.arg_scope(
        [slim.fully_connected],
        activation_fn=activation.relu,
        weights_regularizer=slim.l2_regularizer(weight_decay),
        weights_initializer=slim.variance_scaling_initializer(),
        biases_initializer=slim.zeros_initializer(),
        normalizer_fn=slim.batch_norm,
        normalizer_params=batch_norm_params,
    ):
        with slim.arg_scope([slim.dropout], is_training=is_training) as arg_sc:
            return arg_sc


def mlp(inputs, num_classes=3, is_training=True, dropout_keep_prob=0.5, scope="mlp"):
    """As TF-Slim's nets are written."""
    with slim.variable_scope(scope, "mlp", [inputs]) as sc:
        end_points_collection = sc.original_name_scope + "_end_points"
        with slim.arg_scope(
            [slim.fully_connected], outputs_collections=end_points_collection
        ):
            net = slim.flatten(inputs)
            net = slim.repeat(net, 2, slim.fully_connected, 16, scope="fc1")
            net = slim.stack(net, slim.fully_connected, [12, 8], scope="fc2")
            net = slim.dropout(net, dropout_keep_prob, scope="dropout3")
            net = slim.fully_connected(
                net,
                num_classes,
                activation_fn=None,
                normalizer_fn=None,
                scope="fc4",
            )
            end_points = slim.utils.convert_collection_to_dict(end_points_collection)
            end_points["predictions"] = slim.softmax(net, scope="predictions")
            return net, end_points


def test_slim_code_runs_after_changing_its_import():
    model = Model("f32")
    losses = {}
    for function, training in (("grad", True), ("predict", False)):
        with model.function(function, training=training) as graph:
            images = ops.input_("X", (B, 2, 3), "f32")
            labels = ops.input_("y", (B,), "i32")
            with slim.arg_scope(mlp_arg_scope(is_training=training)):
                logits, end_points = mlp(images, is_training=training)
            one_hot_labels = slim.one_hot_encoding(labels, 3)
            slim.losses.softmax_cross_entropy(logits, one_hot_labels, weights=0.5)
            slim.losses.add_loss(ops.reduce_mean(ops.square(logits)) * 0.01)
            total_loss = slim.losses.get_total_loss()
            graph.return_(logits, total_loss)
            losses[function] = [loss.name for loss in slim.losses.get_losses()]
    assert list(end_points) == [
        "mlp/fc1/fc1_1",
        "mlp/fc1/fc1_2",
        "mlp/fc2/fc2_1",
        "mlp/fc2/fc2_2",
        "mlp/fc4",
        "predictions",
    ]
    assert [v.name for v in model.parameters if v.name.startswith("mlp/fc1/fc1_1")] == [
        "mlp/fc1/fc1_1/weights",
        "mlp/fc1/fc1_1/BatchNorm/beta",
        "mlp/fc1/fc1_1/BatchNorm/gamma",
    ]
    assert "mlp/fc4/biases" in model.parameters
    assert "mlp/dropout3/keep_prob" in model.hypers
    assert losses["grad"] == losses["predict"]
    assert slim.regularizers.coefficients(model.parameters["mlp/fc4/weights"]) == (
        0.0,
        0.0005,
    )
    assert len(model.functions["predict"].collection("losses")) == 2


def test_initializers_and_regularizers_pickle():
    for value in (
        slim.xavier_initializer(seed=3),
        slim.orthogonal_initializer(),
        slim.constant_initializer([1.0, 2.0]),
        slim.l1_l2_regularizer(0.1, 0.2),
    ):
        assert pickle.loads(pickle.dumps(value)) == value
