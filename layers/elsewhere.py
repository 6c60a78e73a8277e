"""What other libraries call the layers: errors that translate."""

from __future__ import annotations

import re
from collections.abc import Iterable

from slimlearn.backend.keywords import hint

__all__ = ["advice"]

_ADD = "tensors are added by +, and joined by slimlearn.ops.concat"
_MODEL = "a network is a function of tensors, decorated by slimlearn.network"

# Of Keras and PyTorch, in small letters; most without the dimensions, such as "2d".
_NAMES = {
    "adaptiveavgpool": "global_pool",
    "adaptivemaxpool": "global_pool",
    "add": _ADD,
    "averagepooling": "avg_pool",
    "batchnormalization": "batch_norm",
    "concatenate": _ADD,
    "convtranspose2d": "conv2d_transpose",
    "convtranspose3d": "conv3d_transpose",
    "dense": "fully_connected is it here, with relu by default, and linear without",
    "globalaveragepooling": "global_pool",
    "globalmaxpooling": "global_pool",
    "groupnormalization": "group_norm",
    "input": _MODEL,
    "layernormalization": "layer_norm",
    "maxpooling": "max_pool",
    "module": _MODEL,
    "multiheadattention": "multi_head_attention",
    "sequential": _MODEL,
    "transformerencoderlayer": "transformer_encoder",
    "unitnormalization": "unit_norm",
    "upsample": "resize",
    "upsampling": "resize",
    "zeropadding": "pad",
}


def advice(name: str, known: Iterable[str]) -> str:
    """What to write in the place of a layer that there is not; "" if nobody knows."""
    here = {one.replace("_", ""): one for one in known}
    short = name.replace("_", "").lower()
    bare = re.sub("[123]d", "", short)
    found = here.get(short) or here.get(bare) or _NAMES.get(short) or _NAMES.get(bare)
    if found is not None:
        sizes = re.findall("[123]d", short)
        found = next((found + d for d in sizes if found + d in here.values()), found)
    text = hint(name, here.values(), {} if found is None else {name: found})
    return f": {text}" if text else ""
