"""Default arguments by scope."""

import functools
import threading

import pytest

from slimlearn import layers
from slimlearn.layers import (
    add_arg_scope,
    arg_scope,
    arg_scope_func_key,
    arg_scoped_arguments,
    current_arg_scope,
    has_arg_scope,
)


@add_arg_scope
def f(a, b=1, *, c=2):
    return a, b, c


@add_arg_scope
def g(n, m=5):
    return n, m


@add_arg_scope
def anything(x, **kwargs):
    return x, kwargs


def plain(a, b=1):
    return a, b


def test_a_scope_sets_defaults_and_ends_with_its_block():
    with arg_scope([f], b=10, c=20):
        assert f(0) == (0, 10, 20)
    assert f(0) == (0, 1, 2)


def test_one_scope_serves_many_functions():
    @add_arg_scope
    def h(a, b=7):
        return a, b

    with arg_scope((f, h), b=3):
        assert f(0) == (0, 3, 2)
        assert h(0) == (0, 3)
        assert g(0) == (0, 5)


def test_inner_scopes_add_and_win():
    with arg_scope([f], b=10, c=20), arg_scope([f], b=11):
        assert f(0) == (0, 11, 20)


def test_the_caller_beats_the_scope_even_with_none():
    with arg_scope([f], b=10):
        assert f(0, b=3) == (0, 3, 2)
        assert f(0, b=None) == (0, None, 2)


def test_a_positional_argument_beats_the_scope():
    with arg_scope([f], b=10):
        assert f(0, 3) == (0, 3, 2)


def test_a_required_argument_may_come_from_the_scope():
    with arg_scope([g], n=7):
        assert g() == (7, 5)
        assert g(1) == (1, 5)


def test_a_scope_can_be_entered_again_and_replaces_the_one_around_it():
    def scope():
        with arg_scope([f], b=10), arg_scope([g], m=11) as inner:
            return inner

    saved = scope()
    with arg_scope([f], c=99), arg_scope(saved):
        assert f(0) == (0, 10, 2)
        assert g(0) == (0, 11)


def test_a_scope_is_keyed_by_the_function():
    with arg_scope([f], b=10) as scope:
        assert scope[arg_scope_func_key(f)] == {"b": 10}
        assert current_arg_scope() == scope
    assert current_arg_scope() == {}


def test_changing_the_yielded_scope_leaves_outer_scopes_alone():
    with arg_scope([f], b=10):
        with arg_scope([f], c=3) as inner:
            inner.clear()
        assert f(0) == (0, 10, 2)


def test_a_scope_survives_an_error_inside_it():
    with arg_scope([f], b=10):
        with pytest.raises(RuntimeError), arg_scope([f], b=11):
            raise RuntimeError
        assert f(0) == (0, 10, 2)
    assert f(0) == (0, 1, 2)


@pytest.mark.parametrize("wrong", [[plain], [functools.partial(f, b=2)]])
def test_a_refused_function_leaves_the_outer_scope(wrong):
    with arg_scope([f], b=10):
        with pytest.raises(ValueError), arg_scope(wrong, b=11):
            pass
        assert f(0) == (0, 10, 2)


def test_an_undecorated_function_is_refused_by_name():
    with pytest.raises(ValueError, match="plain is not decorated with @add_arg_scope"):
        with arg_scope([plain], b=2):
            pass


def test_a_partial_is_refused_naming_the_function_it_wraps():
    with pytest.raises(ValueError, match=r"partial cannot be scoped.*\(f\)"):
        with arg_scope([functools.partial(f, b=1)], c=2):
            pass


def test_an_unknown_argument_is_refused_when_the_scope_is_entered():
    with pytest.raises(TypeError) as error:
        with arg_scope([layers.fully_connected], weight_regularizer=None):
            pytest.fail("entered")
    text = str(error.value)
    assert "fully_connected takes no argument 'weight_regularizer'" in text
    assert "did you mean 'weights_regularizer'" in text
    assert "biases_initializer" in text


@pytest.mark.parametrize(
    "layer, name, told",
    [
        (layers.conv2d, "filters", "; here that is num_outputs "),
        (layers.conv2d, "dilation_rate", "; here that is rate "),
        (layers.fully_connected, "use_bias", "; here that is biases_initializer=None "),
        (layers.fully_connected, "units", "; here that is num_outputs "),
        (layers.dropout, "rate", "; here that is keep_prob=1 - rate "),
        (layers.dropout, "units", "'units' (dropout takes"),
        (layers.conv2d, "strides", "; did you mean 'stride'? "),
    ],
)
def test_an_argument_by_the_name_of_others(layer, name, told):
    with pytest.raises(TypeError) as error:
        layer(None, **{name: 1})
    assert told in str(error.value)


def test_every_function_of_the_list_must_take_the_argument():
    with pytest.raises(TypeError, match="g takes no argument 'b'"):
        with arg_scope([f, g], b=1):
            pass


def test_a_function_of_any_keyword_takes_any():
    with arg_scope([anything], colour="red"):
        assert anything(1) == (1, {"colour": "red"})


def test_a_dict_takes_no_further_arguments():
    with arg_scope([f], b=1) as scope:
        pass
    with pytest.raises(ValueError, match="takes no further arguments, got c"):
        with arg_scope(scope, c=2):
            pass


@pytest.mark.parametrize("wrong", [f, "f", None, 3])
def test_something_else_than_a_list_is_refused(wrong):
    with pytest.raises(TypeError, match="must be a list or tuple of functions"):
        with arg_scope(wrong, b=2):
            pass


def test_another_thread_does_not_see_the_scope():
    seen = []
    with arg_scope([f], b=10):
        thread = threading.Thread(target=lambda: seen.append(f(0)))
        thread.start()
        thread.join()
    assert seen == [(0, 1, 2)]


def test_what_can_be_asked_of_a_function():
    assert has_arg_scope(f)
    assert not has_arg_scope(plain)
    assert arg_scoped_arguments(f) == ("b", "c")
    assert arg_scoped_arguments(g) == ("m",)
    with pytest.raises(ValueError, match="plain is not decorated"):
        arg_scoped_arguments(plain)


def test_a_decorated_function_keeps_its_name_and_signature():
    assert f.__name__ == "f"
    assert layers.fully_connected.__name__ == "fully_connected"
    assert "num_outputs" in layers.fully_connected.__doc__


def test_scoped_functions_nest():
    @add_arg_scope
    def outer(x, b=1):
        return f(x, b=b)

    with arg_scope([f], c=9), arg_scope([outer], b=4):
        assert outer(0) == (0, 4, 9)
