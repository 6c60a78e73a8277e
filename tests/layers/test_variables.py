"""Variables: scopes, sharing between modes and layers, and finding them."""

import numpy as np
import pytest
from support.networks import B, Built

from slimlearn import layers as slim
from slimlearn.backend import ops
from slimlearn.backend.graph import Model

rng = np.random.default_rng(0)
X = rng.normal(size=(7, 5))


def names(built):
    return [p.name for p in built.model.parameters]


@pytest.fixture
def graph():
    """A function in which layers may be built by hand."""
    model = Model("f64")
    with model.function("predict") as made:
        yield made


@pytest.fixture
def x(graph):
    return ops.input_("X", (B, 5), "f64")


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
