"""From a network function and a head to a program: the functions and their text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import zip_longest

from slimlearn import layers
from slimlearn.backend import ops
from slimlearn.backend.autodiff import gradients
from slimlearn.backend.cache import Cache
from slimlearn.backend.graph import (
    Graph,
    Model,
    Parameter,
    Tensor,
    current_model,
    type_text,
)
from slimlearn.backend.optimizer import Optimizer
from slimlearn.backend.patterns import matches
from slimlearn.backend.program import Program
from slimlearn.backend.shape import B
from slimlearn.estimators.callbacks.weights import FORMER_LAST
from slimlearn.estimators.heads import Head
from slimlearn.estimators.inputs import Input
from slimlearn.estimators.loss_scale import LossScale
from slimlearn.estimators.network import END_POINTS
from slimlearn.layers.augmentation import MIXED, reversed_rows
from slimlearn.layers.initializers import build_init
from slimlearn.layers.names import current_notes
from slimlearn.layers.normalization import BY_ROWS
from slimlearn.layers.regularizers import coefficients
from slimlearn.layers.variables import variables_in_use

__all__ = [
    "BUILT",
    "Built",
    "build",
    "check_trained",
    "finished",
    "keep_rows",
    "last_layer",
    "of_size",
    "row_weights",
    "sums",
    "write_grad",
]


# The last layer begins as it did when it was called ``logits`` everywhere.
_LAST = replace(layers.xavier_initializer(), stream="logits/weights/initial")


@dataclass(frozen=True)
class Built:
    """A program as text, with what an estimator has to know of it.

    Attributes
    ----------
    program : Program
        The functions, and arrays of zeros to be copied.
    bias : str or None
        The parameter that is added last: where a head's bias goes.
    penalties : list of dict
        For each parameter its share of penalties on weights, ``penalised`` (1 of
        weights, 0 of biases and parameters of a normalization, or its own factor),
        ``rate``, the layer's own ``l1`` and ``l2``, and ``frozen``.
    hypers : dict
        Run-time numbers that layers declared, with their values.
    end_points : dict
        Names of the values that the network function named, by its names.
    unread : tuple of str
        Sources of the input that predictions do not depend on.
    by_rows : tuple of str
        Layers that normalize by a batch's rows, which then need two of them.
    """

    program: Program
    bias: str | None
    penalties: list[dict]
    hypers: dict[str, float] = field(default_factory=dict)
    end_points: dict[str, str] = field(default_factory=dict)
    unread: tuple[str, ...] = ()
    by_rows: tuple[str, ...] = ()


def build(
    network,
    input: Input,
    head: Head,
    optimizer: Optimizer,
    *,
    precision: str,
    compute: str = "",
    weighted: bool,
    scored: bool,
    l2: bool,
    clip: bool,
    rates: bool = False,
    frozen: tuple[str, ...] = (),
    whole: bool = True,
    last: str = "output",
) -> Built:
    """Write the functions of a fit.

    Parameters
    ----------
    network : Network
        From the input's tensors to the head's numbers, or to features for a last layer.
    input : Input
    head : Head
    optimizer : Optimizer
    precision : {"f32", "f64"}
    compute : {"", "bfloat16", "float16"}
        What is multiplied is rounded to; "float16" scales the loss.
    weighted : bool
        Whether rows have weights.
    scored : bool
        Whether the loss on held-out rows will be asked for.
    l2, clip : bool
        Whether an l2 penalty, and clipping by norm, may be switched on.
    rates : bool, default=False
        Whether callbacks may give layers learning rates of their own.
    frozen : tuple of str
        Patterns of parameters that are never trained, and so have no gradients.
    whole : bool, default=True
        Whether a step is one batch, and all are of one plan: gradients of several are
        not kept as rows.
    last : str
        The name of the layer that is added to a network of features.

    Returns
    -------
    Built
    """
    model = Model(precision, compute)
    # All functions begin with one build, but for networks that ask for training.
    with model.function("predict") as graph:
        raw, bias = _outputs(network, input, head, last)
        raw = head.link(raw)
        predicting = variables_in_use()
    _check_predicts(network, graph)
    once = not graph.asked
    if not once:
        _check_repeats(model, network, input, head, last)
    proba = _branch_of_probabilities(model, raw, head)
    if scored:
        score = model.branch("score", "predict").values[raw.name]
    if once:
        start = model.branch("grad", "predict", training=True).values[raw.name]
    _write_predictions(model, raw, proba, head)
    if scored:
        with model.function("score") as graph:
            loss = head.losses(score, head.target(score))[1]
            rows = ops.extent(B, "f64")
            graph.return_(*sums(loss, row_weights(precision, weighted), rows))
    with model.function("grad", training=True) as graph:
        graph.sample_weight = row_weights(precision, weighted)
        if not once:
            start = head.link(_outputs(network, input, head, last)[0])
        write_grad(graph, start, head, frozen)
        check_trained(network, predicting, variables_in_use())
        if whole:
            keep_rows(graph, optimizer, l2)
    return finished(model, optimizer, input, bias, l2=l2, clip=clip, rates=rates)


def finished(
    model: Model,
    optimizer: Optimizer,
    input: Input,
    bias: str | None = None,
    *,
    l2: bool,
    clip: bool,
    rates: bool,
) -> Built:
    """The program of a model that predicts and has gradients: what else it needs.

    Parameters
    ----------
    model : Model
    optimizer : Optimizer
    input : Input
    bias : str or None
        As `Built` has it.
    l2, clip, rates : bool
        As `build` takes them.
    """
    build_init(model)
    penalties = [_penalty(parameter) for parameter in model.parameters]
    l1 = any(p["l1"] for p in penalties)
    l2 = l2 or any(p["l2"] for p in penalties)
    rates = rates or any(p["rate"] != 1.0 for p in penalties)
    optimizer.build(model, l1=l1, l2=l2, clip=clip, rate=rates)
    hypers = {h.name: h.value for h in model.hypers if h.value is not None}
    predict = model.functions["predict"]
    points, unread = _end_points(predict), _unread(predict, input)
    by_rows = tuple(dict.fromkeys(model.functions["grad"].layers.get(BY_ROWS, ())))
    return Built(Program(model=model), bias, penalties, hypers, points, unread, by_rows)


def _branch_of_probabilities(model: Model, raw: Tensor, head: Head) -> Tensor | None:
    """`raw` in a ``predict_proba`` that begins as ``predict``, if the head has one."""
    if not head.probabilistic:
        return None
    return model.branch("predict_proba", "predict").values[raw.name]


def _write_predictions(
    model: Model, raw: Tensor, proba: Tensor | None, head: Head
) -> None:
    with model.function("predict") as graph:
        graph.return_(ops.cast(raw, "f64"))
    if proba is not None:
        with model.function("predict_proba") as graph:
            graph.return_(head.probabilities(ops.cast(proba, "f64")))


def of_size(program: Program, network, input: Input, head: Head) -> Model:
    """The functions that predict from an input of another size, on the same arrays.

    Parameters
    ----------
    program : Program
        Of the fit.
    network : Network
        As it was fitted.
    input : Input
        Of the other size.
    head : Head

    Returns
    -------
    Model
        With the declarations of `program`.

    Raises
    ------
    ValueError
        If the network refuses the size, or has parameters that depend on it.
    """
    model = Model(program.model.precision, program.model.compute)
    with model.function("predict"):
        raw = _outputs(network, input, head, last_layer(head, program))[0]
        raw = head.link(raw)
    known = program.model.declarations
    for name, made in model.declarations.items():
        there = known.get(name)
        if there is None or there.type != made.type:
            was = "is not there" if there is None else f"is {type_text(*there.type)}"
            raise ValueError(f"{name} would be {type_text(*made.type)} and {was}")
    _write_predictions(model, raw, _branch_of_probabilities(model, raw, head), head)
    model.declarations = known
    return model


def last_layer(head: Head, program: Program | None) -> str:
    """The head's word, or the "logits" of an older program that goes on."""
    word = head.last_layer
    known = {} if program is None else program.weights
    if f"{FORMER_LAST}/weights" in known and f"{word}/weights" not in known:
        return FORMER_LAST
    return word


def _unread(graph: Graph, input: Input) -> tuple[str, ...]:
    """The sources of `input` that nothing of what `graph` returns depends on."""
    read = {n.attributes["source"] for n in graph.needed() if n.op == "input"}
    read |= input.optional
    return tuple(form.name for form in input.forms if form.name not in read)


def _end_points(graph: Graph) -> dict[str, str]:
    found = graph.layers.get(END_POINTS)
    if not isinstance(found, Mapping):
        return {}
    return {
        str(name): value.name
        for name, value in found.items()
        if isinstance(value, Tensor) and value.graph is graph
    }


def _outputs(network, input: Input, head: Head, last: str) -> tuple[Tensor, str | None]:
    """The network's numbers, and the parameter that is added to them last."""
    x = input.tensors(current_model().precision)
    wanted = network.outputs_name
    if wanted is None:
        output = network(x)
        _check_rows(network, output, head, x, "features")
        numbers = layers.fully_connected(
            output,
            head.outputs,
            activation_fn=None,
            weights_initializer=_LAST,
            scope=current_notes().opened.free(last),
        )
    else:
        numbers = _squeezed(network(x, **{wanted: head.outputs}), last)
        if not (head.flat and tuple(numbers.shape) == (B,)):
            _check_rows(network, numbers, head, x, wanted)
            if numbers.shape[-1] != head.outputs:
                raise ValueError(
                    f"network {_name(network)} returned {type_text(*numbers.type)}, "
                    f"needed is [{','.join(map(str, numbers.shape[:-1]))},"
                    f"{head.outputs}]: give its last layer {wanted} units"
                )
    if head.flat and numbers.rank == 2:
        numbers = ops.reshape(numbers, (B,), name=f"{last}/flat")
    return numbers, _output_bias(numbers)


def _squeezed(numbers: Tensor, last: str) -> Tensor:
    """Numbers [B, 1, 1, n], as fully convolutional networks end, as [B, n]."""
    if numbers.rank > 2 and numbers.shape[:-1] == (B,) + (1,) * (numbers.rank - 2):
        return ops.reshape(numbers, (B, numbers.shape[-1]), name=f"{last}/squeezed")
    return numbers


def _name(network) -> str:
    return getattr(network, "called", type(network).__name__)


def _check_rows(network, output: Tensor, head: Head, x, last: str) -> None:
    """Refuse what is no row of numbers for each row of X, or each step of it."""
    axes = x.shape[:2] if head.by_step else (B,)
    if output.rank == len(axes) + 1 and output.shape[:-1] == axes:
        return
    flat = output.rank > 2 and not head.by_step
    advice = ": flatten it with layers.flatten(net)" if flat else ""
    each = "one for each step" if head.by_step else "one row for each row"
    raise ValueError(
        f"network {_name(network)} must return [{', '.join(map(str, axes))}, {last}], "
        f"{each} of X; it returned {type_text(*output.type)}{advice}"
    )


def _check_repeats(model: Model, network, input: Input, head: Head, last: str) -> None:
    """Refuse a network function that builds something else the next time."""
    again = Model(model.precision, model.compute)
    with again.function("predict"):
        head.link(_outputs(network, input, head, last)[0])
    first, second = (str(m).splitlines() for m in (model, again))
    for one, other in zip_longest(first, second, fillvalue="nothing more"):
        if one != other:
            raise ValueError(
                f"network {_name(network)} is built once for prediction and once for "
                "training, and must build the same whenever it is called: the first "
                f"time it had {one.strip()!r}, the second time {other.strip()!r}. Let "
                "it depend on its parameters alone: on no counter, random number or "
                "list that goes on between calls"
            )


def _check_predicts(network, graph: Graph) -> None:
    """Refuse a network function that would go on learning where it predicts."""
    for name in graph.sets:
        raise ValueError(
            f"network {_name(network)} would update {name} where it predicts, as batch "
            "normalization does in training: a layer in it is given is_training=True. "
            "Leave is_training out, or take it as a parameter, which is filled in, and "
            "give it on to the functions that have one: "
            "def net(x, num_classes, is_training): …"
        )


def check_trained(network, predicting: list, training: list) -> None:
    """Refuse a network function that makes other layers in training."""
    own = {p.name for p in predicting if isinstance(p, Parameter) and p.trainable}
    lost = sorted(own.difference(v.name for v in training))
    if lost:
        new = sorted({v.name for v in training}.difference(v.name for v in predicting))
        made = f", but {', '.join(new)}" if new else ""
        raise ValueError(
            f"network {_name(network)} is built once for prediction and once for "
            f"training; for training it did not make {', '.join(lost)}{made}: these "
            "would predict untrained. Give layers the same scopes in both, with no "
            "counter that goes on between calls (or trainable=False, if it is meant)"
        )


def row_weights(precision: str, weighted: bool) -> Tensor | None:
    """The weights of rows, [B], if they have some."""
    return ops.input_("sample_weight", (B,), precision) if weighted else None


def sums(loss: Tensor, weights: Tensor | None, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Σ w·l and Σ w in float64."""
    if weights is None:
        return ops.reduce_sum(ops.cast(loss, "f64")), rows
    return (
        ops.reduce_sum(ops.cast(ops.mul(loss, weights), "f64")),
        ops.reduce_sum(ops.cast(weights, "f64")),
    )


def write_grad(graph: Graph, raw: Tensor, head: Head, frozen: tuple) -> None:
    """Write the objective and its gradients, all but of what is `frozen`."""
    precision, weights = graph.model.precision, graph.sample_weight
    trained, reported = _losses(graph, raw, head)
    rows = ops.extent(B, "f64")
    loss_sum, weight_sum = sums(reported, weights, rows)
    # These rows may be a part of the step's: then the parts' gradients are added up.
    all_rows = graph.model.hyper("global_rows")
    same = trained is reported
    trained_sum = loss_sum if same else sums(trained, weights, rows)[0]
    share = ops.reciprocal(all_rows)
    objective = ops.mul(trained_sum, share)

    # The gradient of Σ w·l / rows starts as w / rows at each row's loss.
    start = ops.cast(share, precision)
    start = (
        ops.broadcast_to(start, (B,)) if weights is None else ops.mul(weights, start)
    )
    ends, starts = [trained], [start]
    for penalty in layers.losses.get_losses() + layers.losses.get_graph_penalties():
        part = ops.div(rows, all_rows)
        objective = ops.add(objective, ops.mul(ops.cast(penalty, "f64"), part))
        ends.append(penalty)
        starts.append(ops.cast(part, penalty.dtype))
    scale = LossScale(graph) if graph.model.compute == "float16" else None
    if scale is not None:
        starts = scale.scaled(starts)
    graph.return_(objective, loss_sum, weight_sum)

    trainable = [
        p for p in graph.model.parameters if p.trainable and not matches(p.name, frozen)
    ]
    found = gradients(ends, trainable, starts)
    if scale is not None:
        found = scale.unscaled(found)
    for parameter, gradient in zip(trainable, found):
        if gradient is not None:
            graph.grad_(parameter, gradient)


def _losses(graph: Graph, raw: Tensor, head: Head) -> tuple[Tensor, Tensor]:
    """The head's losses per example, of mixed rows by their shares.

    A row's target counts with its own mixture, and with that which it has the rest of.
    """
    target = head.target(raw)
    losses = head.losses(raw, target)
    share = graph.layers.get(MIXED)
    if share is None:
        return losses
    share = ops.cast(share, losses[0].dtype)
    rest = reversed_rows(1.0 - share)
    others = head.losses(reversed_rows(raw), target)
    mixed = [share * one + rest * other for one, other in zip(losses, others)]
    return mixed[0], mixed[0] if losses[0] is losses[1] else mixed[1]


def keep_rows(graph: Graph, optimizer: Optimizer, l2: bool) -> None:
    """Keep gradients as the rows that sparse X touches, where the update allows it."""
    for name, gradient in list(graph.grads.items()):
        own_l1, own_l2 = coefficients(graph.model.declarations[name])
        own = optimizer.of(name)
        keeps = own.keeps_rows(own_l1 > 0, l2 or own_l2 > 0)
        if keeps and ops.can_be_rows(gradient):
            graph.grads[name] = ops.rows(gradient)


def _penalty(parameter: Parameter) -> dict:
    l1, l2 = coefficients(parameter)
    share = parameter.decay_factor
    return {
        "penalised": float(len(parameter.shape) >= 2) if share is None else share,
        "rate": parameter.learning_rate_factor,
        "l1": l1,
        "l2": l2,
        "frozen": not parameter.trainable,
    }


def _output_bias(raw: Tensor) -> str | None:
    """The name of the parameter that the output adds last, if it ends so."""
    node = raw.node
    while node is not None and node.op == "reshape":
        node = node.operands[0].node
    if node is None or node.op != "add":
        return None
    found, terms = [], [node]
    while terms:
        for operand in terms.pop().operands:
            if isinstance(operand, Parameter) and operand.rank == 1:
                found.append(operand.name)
            elif operand.node is not None and operand.node.op == "add":
                terms.append(operand.node)
    return found[0] if len(found) == 1 else None


# Programs of networks whose graph is known by a key.
BUILT: Cache[Built] = Cache(64)
