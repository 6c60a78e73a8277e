"""From columns of numbers to vectors: what tables need before their first layer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from slimlearn.backend import ops
from slimlearn.backend.graph import Tensor
from slimlearn.layers import utils
from slimlearn.layers.initializers import (
    constant_initializer,
    random_normal_initializer,
    random_uniform_initializer,
    zeros_initializer,
)
from slimlearn.layers.names import variable_scope
from slimlearn.layers.scope import add_arg_scope
from slimlearn.layers.variables import factors, model_variable


@add_arg_scope
def periodic_embedding(
    inputs: Tensor,
    embed_dim: int = 4,
    num_frequencies: int = 16,
    sigma: float = 0.1,
    kind: Literal["pbld", "plr"] = "pbld",
    reuse: bool | None = None,
    variables_collections: Sequence[str] | Mapping | None = None,
    outputs_collections: str | Sequence[str] | None = None,
    trainable: bool = True,
    scope: str | None = None,
    learning_rate_factor: float | Mapping[str, float] | None = None,
    decay_factor: float | Mapping[str, float] | None = 0.0,
) -> Tensor:
    """Give each number waves of trained frequencies, and a small linear layer of them.

    Parameters
    ----------
    inputs : Tensor
        [B, n], columns of about unit scale.
    embed_dim : int, default=4
        Features made of each number.
    num_frequencies : int, default=16
        Waves of each number.
    sigma : float, default=0.1
        The deviation of the frequencies, which are drawn from a normal distribution;
        larger ones follow a column in more detail. The parameter to search first.
    kind : {"pbld", "plr"}, default="pbld"
        "pbld" is cos(2πwx + b) with trained phases b, a linear layer to `embed_dim` - 1
        features, and x itself for the last one. "plr" is sin(2πwx) and cos(2πwx), a
        linear layer and relu.
    reuse, variables_collections, outputs_collections, trainable
        As in `fully_connected`.
    scope : str, optional
        ``periodic_embedding`` by default; the variables are ``<scope>/frequencies``,
        ``<scope>/phases`` of "pbld", ``<scope>/weights`` and ``<scope>/biases``.
    learning_rate_factor : float or dict, optional
        As in `fully_connected`, by these names. 0.1 is usual beside weights of the
        "ntk" parametrization.
    decay_factor : float or dict, default=0.0
        As in `fully_connected`, by these names, of which those left out are 0.

    Returns
    -------
    Tensor
        [B, n · embed_dim], the features of a column side by side.

    See Also
    --------
    piecewise_linear : Bins instead of waves.

    References
    ----------
    Gorishniy, Rubachev and Babenko, "On embeddings for numerical features in tabular
    deep learning", 2022 ("plr"). Holzmüller, Grinsztajn and Steinwart, "Better by
    default: strong pre-tuned MLPs and boosted trees on tabular data", 2024 ("pbld").

    Examples
    --------
    >>> from slimlearn import NetworkClassifier, layers, network
    >>> @network
    ... def waves(x, num_outputs, sigma=0.1):
    ...     x = layers.periodic_embedding(x, sigma=sigma)
    ...     x = layers.fully_connected(x, 128)
    ...     return layers.linear(x, num_outputs)
    >>> clf = NetworkClassifier(waves(sigma=0.3), random_state=0)
    """
    where = "periodic_embedding"
    embed_dim = utils.check_size(where, "embed_dim", embed_dim)
    waves = utils.check_size(where, "num_frequencies", num_frequencies)
    if kind not in ("pbld", "plr"):
        raise ValueError(f"{where}: kind must be 'pbld' or 'plr', got {kind!r}")
    with_phases = kind == "pbld"
    if with_phases and embed_dim < 2:
        raise ValueError(
            f"{where}: embed_dim must be 2 or more where kind='pbld', whose last "
            "feature is the number itself"
        )
    utils.check_positive(where, "sigma", sigma)
    count = _columns(where, inputs)
    made = embed_dim - 1 if with_phases else embed_dim
    terms = waves if with_phases else 2 * waves
    names = ["frequencies", *(["phases"] if with_phases else []), "weights", "biases"]
    if isinstance(decay_factor, Mapping):
        decay_factor = {**dict.fromkeys(names, 0.0), **decay_factor}
    own = factors(where, learning_rate_factor, decay_factor, names)
    with variable_scope(scope, where, reuse=reuse) as layer, own:

        def variable(name: str, shape: list[int], initializer) -> Tensor:
            collections = utils.get_variable_collections(variables_collections, name)
            return model_variable(
                name,
                shape,
                initializer=initializer,
                trainable=trainable,
                collections=collections,
            )

        bound = 1 / math.sqrt(terms)
        even = random_uniform_initializer(-bound, bound)
        normal = random_normal_initializer(stddev=float(sigma))
        turns = variable("frequencies", [count, waves], normal) * (2 * math.pi)
        phases = None
        if with_phases:
            circle = random_uniform_initializer(-math.pi, math.pi)
            phases = variable("phases", [count, waves], circle)
        weights = variable("weights", [count, made, terms], even)
        biases = variable("biases", [count, made], even)
        rows = inputs.shape[0]
        # Products by column are fast, with rows last: steps know their rows, while a
        # prediction of any number of them runs in pieces where rows are first.
        by_column = utils.in_training(where, None)
        if by_column:
            numbers = ops.reshape(ops.transpose(inputs, [1, 0]), (count, 1, rows))
            turns = ops.reshape(turns, (count, waves, 1))
            if phases is None:
                angles = ops.matmul(turns, numbers)
                values = ops.concat([ops.sin(angles), ops.cos(angles)], 1)
            else:
                phases = ops.reshape(phases, turns.shape)
                lines = ops.concat([turns, phases], 2)
                points = ops.concat([numbers, ops.ones_like(numbers)], 1)
                values = ops.cos(ops.matmul(lines, points))
            values = ops.matmul(weights, values) + ops.reshape(biases, (count, made, 1))
            values = (
                ops.concat([values, numbers], 1) if with_phases else ops.relu(values)
            )
            values = ops.reshape(values, (count * embed_dim, rows))
            outputs = ops.transpose(values, [1, 0])
        else:
            numbers = ops.reshape(inputs, (rows, count, 1))
            angles = numbers * turns
            if phases is None:
                values = ops.concat([ops.sin(angles), ops.cos(angles)], 2)
            else:
                values = ops.cos(angles + phases)
            values = ops.reshape(values, (rows, count, 1, terms))
            values = ops.reduce_sum(values * weights, [3]) + biases
            values = (
                ops.concat([values, numbers], 2) if with_phases else ops.relu(values)
            )
            outputs = ops.reshape(values, (rows, count * embed_dim))
        return utils.collect_named_outputs(outputs_collections, layer.name, outputs)


@add_arg_scope
def piecewise_linear(
    inputs: Tensor,
    edges: np.ndarray | Sequence | None = None,
    num_bins: int | None = None,
    limit: float | None = 3.0,
    reuse: bool | None = None,
    variables_collections: Sequence[str] | Mapping | None = None,
    outputs_collections: str | Sequence[str] | None = None,
    scope: str | None = None,
) -> Tensor:
    """Encode each number by how far it has come through each of its column's bins.

    Parameters
    ----------
    inputs : Tensor
        [B, n]
    edges : array of shape (n, bins + 1), or list of n arrays, optional
        Of the bins of each column, rising, such as its quantiles. Edges that are equal
        enclose no bin, whose feature is 0; shorter lists are filled up so.
    num_bins : int, optional
        The number of bins where `edges` are not given: then all features are 0 until
        the variable ``<scope>/edges``, [n, bins + 1], is set.
    limit : float or None, default=3.0
        The first and the last bin of a column go on beyond their outer edge for so
        many of their widths; None is without an end.
    reuse, variables_collections, outputs_collections
        As in `fully_connected`.
    scope : str, optional
        ``piecewise_linear`` by default; the variable is ``<scope>/edges``, not trained.

    Returns
    -------
    Tensor
        [B, n · bins]: 0 below a bin, 1 above it, (x - lower) / (upper - lower) in it.

    See Also
    --------
    periodic_embedding : Waves instead of bins.

    References
    ----------
    Gorishniy, Rubachev and Babenko, "On embeddings for numerical features in tabular
    deep learning", 2022.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_iris
    >>> from slimlearn import NetworkClassifier, layers, network
    >>> X, y = load_iris(return_X_y=True)
    >>> @network
    ... def binned(x, num_outputs, edges=None):
    ...     x = layers.piecewise_linear(x, edges)
    ...     x = layers.fully_connected(x, 32)
    ...     return layers.linear(x, num_outputs)
    >>> edges = np.quantile(X, np.linspace(0, 1, 9), axis=0).T
    >>> clf = NetworkClassifier(binned(edges=edges.tolist()), random_state=0)
    >>> print(f"{clf.fit(X, y).score(X, y):.1f}")
    1.0
    """
    where = "piecewise_linear"
    count = _columns(where, inputs)
    if (edges is None) == (num_bins is None):
        raise ValueError(f"{where}: give either edges or num_bins")
    if edges is None:
        bins = utils.check_size(where, "num_bins", num_bins)
        initializer = zeros_initializer()
    else:
        table = _edges(where, edges, count)
        bins = table.shape[1] - 1
        initializer = constant_initializer(table)
    if limit is not None:
        utils.check_positive(where, "limit", limit)
    reach = math.inf if limit is None else float(limit)
    with variable_scope(scope, where, reuse=reuse) as layer:
        variable = model_variable(
            "edges",
            [count, bins + 1],
            initializer=initializer,
            trainable=False,
            collections=utils.get_variable_collections(variables_collections, "edges"),
        )
        lower = ops.slice_(variable, 1, 0, bins)
        upper = ops.slice_(variable, 1, 1, bins + 1)
        width = upper - lower
        inside = ops.greater(width, _LEAST)
        share = ops.where(inside, ops.reciprocal(ops.maximum(width, _LEAST)), 0.0)
        first = ops.equal(lower, ops.slice_(variable, 1, 0, 1))
        last = ops.equal(upper, ops.slice_(variable, 1, bins, bins + 1))
        least = ops.where(first, ops.full_like(lower, -reach), 0.0)
        most = ops.where(last, ops.full_like(lower, reach), 1.0)
        rows = inputs.shape[0]
        done = (ops.reshape(inputs, (rows, count, 1)) - lower) * share
        done = ops.minimum(ops.maximum(done, least), most)
        outputs = ops.reshape(done, (rows, count * bins))
        return utils.collect_named_outputs(outputs_collections, layer.name, outputs)


# Of a bin's width: below it edges are taken for equal.
_LEAST = 1e-30


def _columns(where: str, inputs: Tensor) -> int:
    utils.check_float(where, inputs, min_rank=2)
    if inputs.rank != 2:
        raise ValueError(
            f"{where}: inputs must be columns, [B, n]; %{inputs.name} has "
            f"{inputs.rank} dimensions: flatten it with layers.flatten(x)"
        )
    return utils.feature_count(where, inputs)


def _edges(where: str, edges, count: int) -> np.ndarray:
    try:
        columns = [np.asarray(column, dtype=float) for column in edges]
    except (TypeError, ValueError):
        columns = []
    if len(columns) != count or any(c.ndim != 1 or len(c) < 2 for c in columns):
        got = [c.size for c in columns] if columns else repr(edges)
        raise ValueError(
            f"{where}: edges must be a list of two or more numbers for each of "
            f"{count} columns of inputs; got {got!s:.80}"
        )
    for i, column in enumerate(columns):
        if not np.isfinite(column).all() or (np.diff(column) < 0).any():
            raise ValueError(
                f"{where}: edges of column {i} must be finite and rise: take unique "
                "quantiles of its known values"
            )
    longest = max(map(len, columns))
    filled = [np.pad(c, (0, longest - len(c)), mode="edge") for c in columns]
    return np.stack(filled)
