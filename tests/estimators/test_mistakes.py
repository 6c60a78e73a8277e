"""What people write by mistake in a network function, and what they are told."""

import math
import re

import numpy as np
import pytest

from slimlearn import layers
from slimlearn.backend import engine, ops
from slimlearn.backend.graph import Model
from slimlearn.backend.shape import B
from slimlearn.layers import fully_connected as fc


def _assign(x):
    x[:, 0] = 0


def _branch_on_rows(x):
    return fc(x, 8 if x.shape[0] > 100 else 4)


# message: network, where x is f32[B,6]
VALUES = {
    "%greater has no truth value while the network is being built: use ops.where": (
        lambda x: fc(x, 8) if x > 0 else fc(x, 4)
    ),
    "== and != do not compare the elements of %X: use ops.equal(a, 0)": (
        lambda x: fc(x, 8) if x == 0 else fc(x, 4)
    ),
    "%X cannot be iterated": lambda x: sum(fc(row, 3) for row in x),
    "%X has no length: its shape is (B, 6)": lambda x: fc(x, len(x)),
    "%X cannot be changed: make a new tensor": _assign,
    "%X has no value while the network is being built": lambda x: math.exp(x),
    "np.tanh cannot compute with %X": lambda x: np.tanh(x),
    "np.add cannot compute with %X": lambda x: np.ones(6, np.float32) + x,
    "%X is no array and has no value": lambda x: x - np.asarray(x),
    "the dimension B has no number while the network is being built": _branch_on_rows,
    "the dimension B has no number": lambda x: [x for _ in range(x.shape[0])],
    "[add add] needs a tensor or a number, got ndarray of shape (6,): write": (
        lambda x: x + np.ones(6)
    ),
    "[add add] needs a tensor or a number, got 'a' of type str": lambda x: x + "a",
    "got B of type Dim: write its size as ops.extent": lambda x: x / x.shape[0],
    "[concat concat] needs a tensor of the network being built, got 1.0": (
        lambda x: ops.concat([x, 1.0])
    ),
    "[concat concat] needs a list of tensors": lambda x: ops.concat(x, x),
    "[matmul matmul] needs a tensor of the network being built, got 3": (
        lambda x: ops.matmul(x, 3)
    ),
    "[softmax softmax] needs a tensor": lambda x: ops.softmax(1),
    "[cast cast] no type is called 'float16'; there are f32, f64": (
        lambda x: ops.cast(x, "float16")
    ),
    "[cast cast] needs a tensor": lambda x: ops.cast(1, "f32"),
    "[reshape reshape] a shape is a sequence of whole numbers": (
        lambda x: ops.reshape(x, 6.0)
    ),
    "got [-1, 3.0, 2]": lambda x: ops.reshape(x, (-1, 3.0, 2)),
    "%X: an index is a whole number, a slice, a list of whole numbers": (
        lambda x: x[:, 1.5]
    ),
    "got 'age': tensors by name are what inputs= of the estimator gives": (
        lambda x: x["age"]
    ),
    "... or None, got <Tensor %greater : bool[B,6]>: ops.gather": lambda x: x[x > 0],
    "[mul mul] 0.5 is no whole number": lambda x: ops.cast(x, "i32") * 0.5,
    "embedding: inputs must be a tensor": lambda x: layers.embedding("cat", 10, 4),
    "fully_connected: inputs must be f32 or f64, %cast is i32[B,6]: cast it": (
        lambda x: fc(ops.cast(x, "i32"), 3)
    ),
    "fully_connected takes no argument 'activation'; did you mean 'activation_fn'": (
        lambda x: fc(x, 8, activation="relu")
    ),
    "regularizer must be a function such as l2_regularizer(1e-4), or None; got 0.1": (
        lambda x: fc(x, 8, weights_regularizer=0.1)
    ),
    "initializer must be a function such as xavier_initializer(), or None; got 'he'": (
        lambda x: fc(x, 8, weights_initializer="he")
    ),
    "normalizer_fn must be a function such as batch_norm, or None; got True": (
        lambda x: fc(x, 8, normalizer_fn=True)
    ),
}
SHAPES = {
    "fully_connected: inputs must have at least 2 dimensions, %reshape is f32[6*B]": (
        lambda x: fc(ops.reshape(x, (-1,)), 3)
    ),
    "the last dimension of inputs must be a number, %reshape is f32[3,2*B]: keep the": (
        lambda x: fc(ops.reshape(x, (3, -1)), 3)
    ),
    "[concat concat] operands differ beside axis 0: a is f32[B,3], b is f32[B,4]": (
        lambda x: ops.concat([fc(x, 3), fc(x, 4)], 0)
    ),
    "[concat concat] operands differ in type or rank: a is f32[B,6], b is f32[B]": (
        lambda x: ops.concat([x, x[:, 0]])
    ),
    "[reshape reshape] element counts differ: a is f32[B,6], the result f32[40,6]": (
        lambda x: ops.reshape(x, (40, 6))
    ),
    "cannot work out [-1, 4]: the 6*B elements of f32[B,6] do not divide by 4": (
        lambda x: ops.reshape(x, (-1, 4))
    ),
    "cannot work out 2 dimensions of [-1, -1]": lambda x: ops.reshape(x, (-1, -1)),
    "[reduce_mean mean] axis 2 is out of range: a is f32[B,6]": (
        lambda x: ops.reduce_mean(x, 2, name="mean")
    ),
    "[add add] shapes do not broadcast: a is f32[B,3], b is f32[B,4]": (
        lambda x: fc(x, 3) + fc(x, 4)
    ),
    "[mul mul] operands differ in type: a is f32[B,6], b is i32[B,6]: cast one": (
        lambda x: x * ops.cast(x, "i32")
    ),
    "no activation is called 'rellu'; did you mean 'relu'": lambda x: fc(x, 8, "rellu"),
    "num_outputs must be a whole number of at least 1, got -8": lambda x: fc(x, -8),
    "keep_prob, the probability of keeping, must be above 0": (
        lambda x: layers.dropout(x, 0)
    ),
    "at most 1, got 2": lambda x: layers.dropout(x, 2),
    "two layers of one name: scope 'a'": (
        lambda x: fc(fc(x, 6, scope="a"), 6, scope="a")
    ),
    "a name consists of letters, digits": lambda x: fc(x, 3, scope="my layer"),
    "[gather gather] ids is f32[B,6], needs i32 or i64": lambda x: ops.gather(x, x),
}


def _build(network):
    with Model().function("predict"):
        return network(ops.input_("X", (B, 6)))


@pytest.mark.parametrize("message", VALUES)
def test_a_wrong_kind_of_value_is_a_type_error(message):
    with pytest.raises(TypeError, match=re.escape(message)):
        _build(VALUES[message])


@pytest.mark.parametrize("message", SHAPES)
def test_a_wrong_value_is_a_value_error(message):
    with pytest.raises(ValueError, match=re.escape(message)):
        _build(SHAPES[message])


HALF = "\ud800"  # of a surrogate pair, which no text can hold


@pytest.mark.parametrize(
    "network",
    [
        lambda x: fc(x, 3, scope=HALF),
        lambda x: ops.relu(x, name=HALF),
        lambda x: ops.relu(x, name="café"),
        lambda x: layers.dropout(x, 0.5, scope=f"a/{HALF}"),
    ],
    ids=["layer", "op", "accent", "scope"],
)
def test_names_are_plain(network):
    with pytest.raises(ValueError, match="a name consists of letters, digits"):
        _build(network)


def test_half_characters_in_a_program():
    model = Model()
    with model.function("predict") as graph:
        graph.return_(ops.input_(HALF, (B, 3)))
    with pytest.raises(
        ValueError, match=r"the program's text has '\\ud800' at 44, half"
    ):
        engine.compile(str(model))


def test_values_of_another_network():
    kept = []

    def keep(x):
        kept[:] = x, layers.model_variable("scale", (6,))
        return x * kept[1]

    _build(keep)
    for network in (
        lambda x: fc(kept[0], 3),
        lambda x: x + kept[0],
        lambda x: x * kept[1],
        lambda x: ops.concat([x, kept[0]], 1),
    ):
        with pytest.raises(ValueError, match="belongs to another network, or to an ea"):
            _build(network)
    with pytest.raises(RuntimeError, match="no function is being built"):
        fc(kept[0], 3)
    model = Model()
    with model.function("predict") as graph:
        with pytest.raises(ValueError, match="return: %X belongs to another network"):
            graph.return_(kept[0])


def test_rows_cannot_be_selected():
    with pytest.raises(IndexError, match=r"3 cannot select from the dimension B"):
        _build(lambda x: x[3])
    with pytest.raises(IndexError, match="6 selects nothing of a dimension of 6"):
        _build(lambda x: x[:, 6])


def test_an_error_names_the_value_in_its_scope():
    def network(x):
        with layers.variable_scope("tower"):
            return ops.matmul(x, x, name="product")

    with pytest.raises(ValueError, match=r"^\[matmul tower/product\] inner"):
        _build(network)


def test_scalars_of_numpy_and_conditions_are_no_mistakes():
    def network(x):
        y = np.float32(2) * x - np.float64(1) / (np.int64(1) + x)
        inside = (y > 0) & ~(y > 1) | (np.float32(3) < x)
        return ops.select(inside, y, 0.0)

    made = _build(network)
    assert made.type == ("f32", (B, 6))
    assert made in [made]
    assert made != "X"
