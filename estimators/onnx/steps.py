"""What comes of sequences step by step, as ONNX: labels of steps, and tokens."""

from __future__ import annotations

import numpy as np

from slimlearn.estimators.heads import StepsHead, TokensHead
from slimlearn.estimators.onnx.heads import Output, chosen

__all__ = ["labels_of_steps", "sequences_of_tokens"]


def labels_of_steps(
    writer, head: StepsHead, raw: str, probabilities: str | None
) -> list[Output]:
    """Write the label of each step, and what speaks for each class; padding has both.

    Parameters
    ----------
    writer : Writer
    head : StepsHead
    raw, probabilities : str
        As `outputs_of` takes them: [rows, steps, classes].
    """
    code = writer.add("ArgMax", raw, axis=2, keepdims=0)
    label, dtype = chosen(writer, head.classes, code)
    told = raw if probabilities is None else probabilities
    name = "scores" if probabilities is None else "probabilities"
    return [
        Output("label", label, dtype, ("T",)),
        Output(name, told, writer.real, ("T", len(head.classes))),
    ]


def sequences_of_tokens(
    writer, head: TokensHead, ids: str, scores: str, lengths: str
) -> list[Output]:
    """Write what a search found: of each row so many sequences, the best one first.

    Parameters
    ----------
    writer : Writer
    head : TokensHead
    ids : str
        [rows, beams, tokens + 1] as i32, the end's id behind the end.
    scores : str
        [rows, beams].
    lengths : str
        [rows, beams] as i32, 0 of a sequence that is not there.
    """
    width, most = head.beams.width, head.beams.most
    ids = writer.add("Slice", ids, writer.ints(0), writer.ints(most), writer.ints(2))
    tokens, dtype = chosen(writer, head.classes, ids, end=True)
    end = writer.constant(head.end, np.int32)
    inside = writer.add("Not", writer.add("Equal", ids, end))
    count = writer.add(
        "ReduceSum", writer.cast(inside, "i32"), writer.ints(2), keepdims=0
    )
    count = writer.cast(writer.add("Min", count, lengths), "i64")
    return [
        Output("sequences", tokens, dtype, (width, most)),
        Output("n_tokens", count, np.dtype(np.int64), (width,)),
        Output("scores", scores, writer.real, (width,)),
    ]
