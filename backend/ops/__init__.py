"""What a network computes with, as functions from tensors to tensors, named as NumPy's.

::

    from slimlearn import ops

    x = ops.where(x > 0, x, ops.exp(x) - 1)
    x = ops.concat([x, ops.mean(x, 1, keepdims=True), x[:, ::2]])

Tensors have Python's operators, too. Axis 0 is the batch, whose size is known when the
network runs; so `concat`, `stack` and `split` work along the last axis by default.
Where TF-Slim code has another word (`reduce_sum`, `select`, `neg`), it is an alias.

The functions gather themselves: each is marked `op.public` where it is written, or made
by the base class of its op. `README.md` says what a new op needs.
"""

import importlib
import pkgutil
from typing import TYPE_CHECKING

from slimlearn.backend.op import FUNCTIONS, PUBLIC

if TYPE_CHECKING:
    from collections.abc import Callable

    def __getattr__(name: str) -> Callable: ...


for _module in pkgutil.iter_modules(__path__, f"{__name__}."):
    importlib.import_module(_module.name)
operators.attach()  # noqa: F821, a module of the package
globals().update(FUNCTIONS)
__all__ = sorted(PUBLIC)


def __dir__() -> list[str]:
    return __all__
