"""What methods make of a network's numbers, for readers of a file without Python."""

from __future__ import annotations

import numpy as np

from slimlearn.estimators import heads
from slimlearn.estimators.heads import Head

__all__ = ["outputs_of"]


def outputs_of(head: Head) -> dict | None:
    """The outputs of a model file, as ``native/file/outputs.h`` has them.

    Parameters
    ----------
    head : Head
        Fitted.

    Returns
    -------
    dict or None
        None for a head whose decisions have no form there, such as a distribution's.
    """
    told = _KINDS.get(type(head))
    return None if told is None else told(head)


def _texts(labels) -> list[str]:
    texts = [str(label) for label in np.asarray(labels).tolist()]
    return [text.encode("utf-8", "backslashreplace").decode() for text in texts]


def _binary(head) -> dict:
    return {"kind": "binary", "labels": [_texts(head.classes)]}


def _classes(head) -> dict:
    return {"kind": "classes", "labels": [_texts(head.classes)]}


def _outputs(head) -> dict:
    return {"kind": "classes", "labels": [_texts(own) for own in head.classes]}


def _several(head) -> dict:
    return {"kind": "several", "labels": [["0", "1"] for _ in head.classes]}


def _numbers(head) -> dict:
    def of_targets(values) -> list[float]:
        return np.broadcast_to(np.ravel(values), (head.targets,)).astype(float).tolist()

    told = {
        "kind": "numbers",
        "shape": list(head.shape),
        "scale": of_targets(head.spread),
        "center": of_targets(head.center),
    }
    return told if head.quantile is None else {**told, "quantiles": 1}


def _quantiles(head) -> dict:
    order = {"place": head.place.tolist(), "middle": head.middle}
    return {**_numbers(head), "quantiles": head.numbers, **order}


def _positive(head) -> dict:
    return {"kind": "positive", "shape": list(head.shape)}


_KINDS = {
    heads.BinaryHead: _binary,
    heads.MulticlassHead: _classes,
    heads.OrdinalHead: _classes,
    heads.MultilabelHead: _several,
    heads.MultioutputHead: _outputs,
    heads.RegressionHead: _numbers,
    heads.QuantilesHead: _quantiles,
    heads.LogLinkHead: _positive,
}
