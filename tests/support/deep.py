"""Towers of any depth as programs of all functions, and data to train them on.

>>> case = deep.case("normed", depth=80, rows=512, width=256)
>>> losses = case.train(epochs=2)  # native steps; case.oracle() trains with NumPy
"""

from slimlearn import layers
from slimlearn.backend import ops
from slimlearn.backend.autodiff import gradients
from slimlearn.backend.graph import Model
from slimlearn.backend.optimizer import Adam
from slimlearn.backend.shape import B
from slimlearn.layers.initializers import build_init
from support import training_case

CLASSES = 10


def dense(x, depth=5, width=64):
    """`depth` layers of a product, biases and relu."""
    for i in range(depth):
        x = layers.fully_connected(x, width, scope=f"fc{i}")
    return x


def normed(x, depth=5, width=64):
    """`depth` layers of a product, batch norm and relu."""
    for i in range(depth):
        x = layers.fully_connected(
            x, width, normalizer_fn=layers.batch_norm, scope=f"fc{i}"
        )
    return x


def residual(x, depth=5, width=64):
    """`depth` blocks x + f(x), f of two products with batch norms."""
    x = layers.fully_connected(x, width, scope="stem")
    for i in range(depth):
        y = layers.fully_connected(
            x, width, normalizer_fn=layers.batch_norm, scope=f"block{i}/fc1"
        )
        y = layers.fully_connected(
            y,
            width,
            None,
            normalizer_fn=layers.batch_norm,
            scope=f"block{i}/fc2",
        )
        x = ops.relu(ops.add(x, y), name=f"block{i}/out")
    return x


def concatenating(x, depth=5, width=16):
    """`depth` layers of `width` columns, each reading all columns before it."""
    for i in range(depth):
        y = layers.fully_connected(
            x, width, normalizer_fn=layers.batch_norm, scope=f"fc{i}"
        )
        x = ops.concat([x, y], axis=1, name=f"fc{i}/joined")
    return x


# Bottleneck blocks of the four stages (He et al. 2015, table 1).
_BLOCKS = {26: (2, 2, 2, 2), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


def resnet(x, depth=152, width=64, size=56):
    """A ResNet of `depth` behind its stem, every convolution 1×1, on square images.

    `x` is [B, size² · channels]; three stages halve the image by means over 2×2.
    """
    x = ops.reshape(x, (-1, size, size, x.shape[1] // size**2))
    x = _convolve(x, width, "stem")
    for stage, blocks in enumerate(_BLOCKS[depth]):
        for i in range(blocks):
            if stage and not i:
                size //= 2
                x = ops.reshape(x, (-1, size, 2, size, 2, x.shape[3]))
                x = ops.reduce_mean(x, [2, 4], name=f"stage{stage}/pool")
            x = _bottleneck(x, width << stage, f"stage{stage}/block{i}")
    return ops.reduce_mean(x, [1, 2], name="pool")


def _bottleneck(x, width, scope):
    y = _convolve(x, width, f"{scope}/conv1")
    y = _convolve(y, width, f"{scope}/conv2")
    y = _convolve(y, 4 * width, f"{scope}/conv3", None)
    if x.shape[3] != 4 * width:
        x = _convolve(x, 4 * width, f"{scope}/shortcut", None)
    return ops.relu(ops.add(x, y), name=f"{scope}/out")


def _convolve(x, width, scope, activation_fn=ops.relu):
    """A 1×1 convolution as a product over pixels, batch norm, activation."""
    with layers.variable_scope(scope):
        weights = layers.model_variable("weights", (x.shape[3], width))
        pixels = ops.matmul(ops.reshape(x, (-1, x.shape[3])), weights)
        y = ops.reshape(pixels, (*x.shape[:3], width))
        return layers.batch_norm(y, scale=True, activation_fn=activation_fn)


TOWERS = {
    function.__name__: function
    for function in (dense, normed, residual, concatenating, resnet)
}


def model(tower, depth=5, *, features=20, precision="f32", optimizer=None, **sizes):
    """Return the model of a classifier: init, predict, score, grad and update.

    Parameters
    ----------
    tower : str
        One of `TOWERS`.
    depth : int
        Layers or blocks; of a ``resnet`` 26, 50, 101 or 152.
    features : int
        Columns of X; of a ``resnet`` a multiple of ``size ** 2``, size one of 8.
    **sizes
        ``width`` (columns a layer), and ``size`` of a ``resnet``.
    """
    made = Model(precision)

    def logits():
        x = TOWERS[tower](ops.input_("X", (B, features), precision), depth, **sizes)
        return layers.fully_connected(x, CLASSES, None, scope="logits")

    with made.function("predict") as graph:
        graph.return_(ops.cast(logits(), "f64"))
    for name in ("score", "grad"):
        with made.function(name, training=name == "grad") as graph:
            labels = ops.input_("y", (B,), "i32")
            each = ops.sparse_softmax_cross_entropy(logits(), labels)
            total = ops.reduce_sum(ops.cast(each, "f64"))
            rows = ops.extent(B, "f64")
            if name == "score":
                graph.return_(total, rows)
                continue
            objective = total / rows
            graph.return_(objective, total, rows)
            slopes = gradients([objective], list(made.parameters))
            for parameter, slope in zip(made.parameters, slopes, strict=True):
                graph.grad_(parameter, slope)
    build_init(made)
    (optimizer or Adam()).build(made)
    return made


def resnet152(width=64, size=56, **options):
    """Return the model of a ResNet-152 with gradients: a good 10,000 nodes."""
    features = 3 * size**2
    return model("resnet", 152, features=features, width=width, size=size, **options)


def data(rows=100, features=20, precision="f32", seed=0):
    """Return the sources of so many rows."""
    made = training_case.data(rows, precision, seed, features, CLASSES)
    return {"X": made["X"], "y": made["y"]}


def case(
    tower,
    depth=5,
    rows=100,
    *,
    features=20,
    precision="f32",
    width=None,
    size=None,
    **options,
):
    """Return a tower with its arrays, ready to be trained natively.

    `options` are those of `training_case.Case`: batch_size, seed, …
    """
    given = {"width": width, "size": size}
    sizes = {key: value for key, value in given.items() if value is not None}
    made = model(tower, depth, features=features, precision=precision, **sizes)
    return training_case.Case(made, data(rows, features, precision), **options)
