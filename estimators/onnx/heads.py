"""What heads make of the network's numbers, as ONNX nodes: labels, y's units."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from slimlearn.backend.onnx import Unsupported, write_function
from slimlearn.estimators.heads import (
    BinaryHead,
    ClassifierHead,
    DistributionHead,
    LogLinkHead,
    MultilabelHead,
    MultioutputHead,
    QuantilesHead,
    RegressionHead,
    ShareHead,
    StepsHead,
    TokensHead,
)
from slimlearn.estimators.losses import Gaussian, GaussianMixture

__all__ = ["Output", "chosen", "labels_of_parts", "outputs_of", "outputs_of_network"]


class Output(NamedTuple):
    """A result of the model.

    Attributes
    ----------
    name : str
        What the user finds it by, as skl2onnx calls it.
    value : str
        Its name in the graph.
    dtype : dtype
        Of one element.
    shape : tuple of int or str
        Behind the rows; a word is a size that differs from call to call.
    """

    name: str
    value: str
    dtype: np.dtype
    shape: tuple[int | str, ...]


def outputs_of_network(writer, estimator, sources: dict, raw: bool) -> list[Output]:
    """Write a fitted network and what its head makes of its numbers.

    Parameters
    ----------
    writer : Writer
    estimator : NetworkEstimator
    sources : dict
        As `write_function` takes them.
    raw : bool
        Whether scores are asked for in the place of probabilities.
    """
    # It is made of this module's parts.
    from slimlearn.estimators.onnx.steps import labels_of_steps, sequences_of_tokens

    head, program = estimator._head, estimator.program_
    functions = program.model.functions
    _check_head(estimator, head)
    if isinstance(head, TokensHead):
        values = write_function(writer, program, "predict", sources)
        returned = functions["predict"].returns
        return sequences_of_tokens(writer, head, *(values[v.name] for v in returned))
    probable = "predict_proba" in functions and not raw
    whole = "predict_proba" if probable else "predict"
    values = write_function(writer, program, whole, sources)
    [returned] = functions[whole].returns
    probabilities = writer.values[returned] if probable else None
    [numbers] = functions["predict"].returns
    if numbers.name not in values:
        values = write_function(writer, program, "predict", sources)
    write = labels_of_steps if isinstance(head, StepsHead) else outputs_of
    found = write(writer, head, values[numbers.name], probabilities)
    if raw and isinstance(head, BinaryHead):
        # Converters around a classifier want a column for each class.
        label, scores = found
        both = writer.add(
            "Concat", writer.add("Neg", scores.value), scores.value, axis=1
        )
        found = [label, scores._replace(value=both, shape=(2,))]
    return found


def outputs_of(writer, head, raw: str, probabilities: str | None) -> list[Output]:
    """Write what a head makes of the network's numbers.

    Parameters
    ----------
    writer : Writer
    head : Head
    raw : str
        What the function ``predict`` returns: [rows] or [rows, outputs].
    probabilities : str or None
        What ``predict_proba`` returns, where there is one.
    """
    if isinstance(head, ClassifierHead):
        return _of_classes(writer, head, raw, probabilities)
    if isinstance(head, ShareHead):
        shares = writer.add("Sigmoid", raw)
        return [Output("variable", shares, writer.real, (head.outputs,))]
    if isinstance(head, RegressionHead):
        return _of_numbers(writer, head, raw)
    raise AssertionError(f"{type(head).__name__} was not checked")


def _check_head(estimator, head) -> None:
    """Refuse predictions that are no numbers or classes of rows."""
    if not isinstance(head, (ClassifierHead, RegressionHead, ShareHead)):
        raise Unsupported(
            f"predictions of {type(estimator).__name__} cannot be written as ONNX, as "
            f"they are neither numbers nor classes ({type(head).__name__}): predict in "
            "Python, from a file of est.save"
        )


def _of_classes(writer, head, raw: str, probabilities) -> list[Output]:
    if probabilities is None:
        flat = isinstance(head, BinaryHead)
        scores = writer.add("Unsqueeze", raw, writer.ints(1)) if flat else raw
        second = Output("scores", scores, writer.real, (1 if flat else head.outputs,))
    else:
        width = 2 if isinstance(head, BinaryHead) else _width(head)
        second = Output("probabilities", probabilities, writer.real, (width,))
    if isinstance(head, MultilabelHead):
        has = writer.add("Greater", raw, writer.number(0.0))
        label = writer.cast(has, "i64")
        return [Output("label", label, np.dtype(np.int64), (head.outputs,)), second]
    if isinstance(head, MultioutputHead):
        label, dtype = labels_of_parts(writer, head.classes, raw)
        return [Output("label", label, dtype, (len(head.classes),)), second]
    if isinstance(head, BinaryHead):
        code = writer.cast(writer.add("Greater", raw, writer.number(0.0)), "i64")
    else:
        code = _largest(writer, raw)
    label, dtype = chosen(writer, head.classes, code)
    return [Output("label", label, dtype, ()), second]


def labels_of_parts(writer, classes: list, raw: str) -> tuple[str, np.dtype]:
    """Return the labels of several outputs, whose numbers stand side by side."""
    columns, begin = [], 0
    for own in classes:
        end = begin + len(own)
        part = _columns(writer, raw, begin, end)
        columns.append(chosen(writer, own, _largest(writer, part)))
        begin = end
    dtypes = {dtype for _, dtype in columns}
    if len(dtypes) > 1:
        kinds = ", ".join(sorted(map(str, dtypes)))
        raise Unsupported(
            f"the classes of the outputs differ in type ({kinds}), and an ONNX "
            "tensor has one: fit them as numbers, or as strings"
        )
    parts = [writer.add("Unsqueeze", name, writer.ints(1)) for name, _ in columns]
    return writer.add("Concat", *parts, axis=1), dtypes.pop()


def _width(head) -> int:
    return head.ends[-1] if isinstance(head, MultioutputHead) else len(head.classes)


def _largest(writer, raw: str) -> str:
    return writer.add("ArgMax", raw, axis=1, keepdims=0)


def _columns(writer, name: str, begin: int, end: int) -> str:
    axis = writer.ints(1)
    return writer.add("Slice", name, writer.ints(begin), writer.ints(end), axis)


def chosen(
    writer, classes: np.ndarray, code: str, end: bool = False
) -> tuple[str, np.dtype]:
    """Return the labels of class numbers, and their type.

    `end` says that the number behind the last class is there too: it is an empty text,
    or 0.
    """
    classes = np.asarray(classes)
    kind = classes.dtype.kind
    if kind in "iu":
        classes = classes.astype(np.int64)
    elif kind == "f":
        classes = classes.astype(np.float32)
    elif kind != "b":
        odd = [label for label in classes.tolist() if not isinstance(label, str)]
        if odd:
            raise Unsupported(
                f"the class {odd[0]!r} is of type {type(odd[0]).__name__}, and an ONNX "
                "tensor holds numbers or strings of one type: fit on str(y)"
            )
        classes = classes.astype(object)
    if end:
        nothing = np.array([""], object) if kind not in "iufb" else classes[:1] * 0
        classes = np.concatenate((classes, nothing))
    table = writer.constant(classes, name="classes")
    return writer.add("Gather", table, code, axis=0), classes.dtype


def _scaled(writer, numbers: str, scale, center) -> str:
    scale, center = (np.asarray(part, writer.real) for part in (scale, center))
    if not (scale == 1).all():
        numbers = writer.add("Mul", numbers, writer.constant(scale, name="y/scale"))
    if center.any():
        numbers = writer.add("Add", numbers, writer.constant(center, name="y/center"))
    return numbers


def _of_numbers(writer, head, raw: str) -> list[Output]:
    targets = head.targets
    made = [Output("variable", "", writer.real, (targets,))]
    if isinstance(head, DistributionHead):
        mean, width = _moments(writer, head, raw)
        mean = _scaled(writer, mean, head.spread, head.center)
        width = _scaled(writer, width, head.scale, 0.0)
        made[0] = made[0]._replace(value=mean)
        return [*made, Output("std", width, writer.real, (targets,))]
    if isinstance(head, QuantilesHead):
        return _of_quantiles(writer, head, raw)
    value = writer.add("Reshape", raw, writer.ints(-1, targets))
    if isinstance(head, LogLinkHead):
        value = writer.add("Exp", value)
    else:
        value = _scaled(writer, value, head.spread, head.center)
    return [made[0]._replace(value=value)]


def _of_quantiles(writer, head, raw: str) -> list[Output]:
    count, targets = head.numbers, head.targets
    numbers = writer.add("Reshape", raw, writer.ints(-1, targets, count))
    ordered, _ = writer.add(
        "TopK", numbers, writer.ints(count), outputs=2, axis=-1, largest=0
    )
    place = writer.ints(*head.place.tolist())
    ordered = writer.add("Gather", ordered, place, axis=2)
    scale, center = np.reshape(head.spread, (-1, 1)), np.reshape(head.center, (-1, 1))
    quantiles = _scaled(writer, ordered, scale, center)
    middle = writer.constant(head.middle, np.int64)
    median = writer.add("Gather", quantiles, middle, axis=2)
    shape = (targets, count)
    if not head.shape:
        shape = (count,)
        quantiles = writer.add("Reshape", quantiles, writer.ints(-1, count))
    return [
        Output("variable", median, writer.real, (targets,)),
        Output("quantiles", quantiles, writer.real, shape),
    ]


def _moments(writer, head, raw: str) -> tuple[str, str]:
    """Return mean and deviation of each target's distribution, on the scale of y."""
    formula, targets = head.formula, head.targets
    numbers = writer.add("Reshape", raw, writer.ints(-1, targets, head.numbers))
    if type(formula) is Gaussian:
        mean, width = (
            writer.add("Gather", numbers, writer.constant(i, np.int64), axis=2)
            for i in range(2)
        )
        return mean, _widths(writer, formula, width)
    if type(formula) is not GaussianMixture:
        raise Unsupported(
            f"loss={head.loss!r} makes predictions by functions of its own, which ONNX "
            "cannot hold: export a network of loss='gaussian', or serve this one by "
            "est.save"
        )
    count, axis = int(formula.n_components), writer.ints(2)
    shares, means, widths = (
        writer.add("Slice", numbers, writer.ints(i), writer.ints(i + count), axis)
        for i in (0, count, 2 * count)
    )
    shares = writer.add("Softmax", shares, axis=-1)

    def total(parts: str, keepdims: int) -> str:
        parts = writer.add("Mul", shares, parts)
        return writer.add("ReduceSum", parts, axis, keepdims=keepdims)

    apart = writer.add("Sub", means, total(means, 1))
    widths = _widths(writer, formula, widths)
    squares = writer.add("Add", *(writer.add("Mul", p, p) for p in (widths, apart)))
    return total(means, 0), writer.add("Sqrt", total(squares, 0))


def _widths(writer, formula, raw: str) -> str:
    soft = writer.add("Softplus", raw)
    return writer.add("Add", soft, writer.number(float(formula.min_std)))
