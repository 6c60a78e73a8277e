"""Layers by the names of other libraries: the error says what they are called here."""

import importlib

import pytest

from slimlearn import layers
from slimlearn.layers import elsewhere

NAMES = {
    "Dense": "fully_connected is it here",
    "dense": "fully_connected is it here",
    "Linear": "it is called linear here",
    "Conv2D": "it is called conv2d here",
    "ConvTranspose3d": "it is called conv3d_transpose here",
    "BatchNorm2d": "it is called batch_norm here",
    "MaxPooling2D": "it is called max_pool2d here",
    "AveragePooling1D": "it is called avg_pool1d here",
    "GlobalAveragePooling2D": "it is called global_pool here",
    "LSTMCell": "it is called lstm_cell here",
    "MultiHeadAttention": "it is called multi_head_attention here",
    "Sequential": "a network is a function of tensors",
    "fully_conected": "did you mean fully_connected",
}


@pytest.mark.parametrize("name", NAMES)
def test_the_error_says_what_it_is_called(name):
    with pytest.raises(AttributeError, match=f"no attribute '{name}': {NAMES[name]}"):
        getattr(layers, name)


def test_what_nobody_knows_has_no_advice():
    for name in ("qwertz", "_private", "__wrapped__"):
        with pytest.raises(AttributeError, match=f"no attribute '{name}'$"):
            getattr(layers, name)


def test_what_the_table_names_is_there():
    for value in elsewhere._NAMES.values():
        sized = (value + size for size in ("", "1d", "2d", "3d"))
        assert " " in value or any(name in layers.__all__ for name in sized)


def test_the_two_read_when_first_asked_for():
    for name in ("nets", "tf"):
        module = importlib.import_module(f"slimlearn.layers.{name}")
        assert getattr(layers, name) is module
