"""What this machine can do at best, measured by its own kernels, and shares of it."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from slimlearn.backend.program import Program

__all__ = ["with_shares"]

_SIZE = 384  # of a square product: three of them fit into a second-level cache
_TEXT = f"""slim 1

func product {{
  %a = input(source="X") : f32[B,{_SIZE}]
  %b = input(source="Y") : f32[{_SIZE},{_SIZE}]
  %c = matmul(%a, %b, transpose_a=false, transpose_b=false) : f32[B,{_SIZE}]
  return %c
}}

func stream {{
  %a = input(source="X") : f32[B,{_SIZE}]
  %b = add(%a, %a) : f32[B,{_SIZE}]
  return %b
}}
"""


@lru_cache(maxsize=8)
def _peaks(isa: str, compile) -> tuple[float, float]:
    """Return flop/s of a float32 product and byte/s of a sum, on one thread."""
    model, program = compile(_TEXT, isa), Program(_TEXT)
    square = np.ones((_SIZE, _SIZE), np.float32)
    arguments = program.params, program.state, None, {}, _SIZE, 20, None
    speeds = []
    for func, work in (("product", "flops"), ("stream", "bytes")):
        sources = {"X": square, "Y": square} if func == "product" else {"X": square}
        launch = model.native.profile(func, sources, *arguments)[-1]
        speeds.append(launch[work] / launch["least"])
    return speeds[0], speeds[1]


def with_shares(launches: list[dict], isa: str, compile) -> list[dict]:
    """Add to each launch the share of this machine's roofline that it reached.

    Parameters
    ----------
    launches : list of dict
        With ``flops``, ``bytes`` and ``least``.
    isa : str
    compile : callable
        `engine.compile`.
    """
    flops, bytes_ = _peaks(isa, compile)
    for launch in launches:
        best = max(launch["flops"] / flops, launch["bytes"] / bytes_)
        launch["roofline"] = best / launch["least"] if launch["least"] > 0 else 0.0
    return launches
