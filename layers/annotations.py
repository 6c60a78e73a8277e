"""The words that layers take, for type checkers and editors; layers check them."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias

from slimlearn.backend.graph import Tensor
from slimlearn.backend.ops.windows import Padding

__all__ = [
    "Activation",
    "ActivationName",
    "DataFormat",
    "Padding",
    "Parametrization",
    "WholePadding",
]

ActivationName: TypeAlias = Literal[
    "elu", "gelu", "hard_sigmoid", "hard_swish", "hard_tanh", "leaky_relu", "linear",
    "mish", "relu", "relu6", "selu", "sigmoid", "silu", "softplus", "softsign", "swish",
    "tanh",
]  # fmt: skip
Activation: TypeAlias = ActivationName | Callable[[Tensor], Tensor]
DataFormat: TypeAlias = Literal["NWC", "NHWC", "NDHWC", "NCW", "NCHW", "NCDHW"]
Parametrization: TypeAlias = Literal["standard", "ntk"]
WholePadding: TypeAlias = Literal["SAME", "VALID"]

if TYPE_CHECKING:
    from typing_extensions import TypedDict

    class DenseArguments(TypedDict, total=False):
        """What `fully_connected` takes by name beside its activation."""

        normalizer_fn: Callable | None
        normalizer_params: Mapping | None
        weights_initializer: Callable
        weights_regularizer: Callable | None
        biases_initializer: Callable | None
        biases_regularizer: Callable | None
        reuse: bool | None
        variables_collections: Sequence[str] | Mapping | None
        outputs_collections: str | Sequence[str] | None
        trainable: bool
        scope: str | None
        parametrization: Parametrization
        learning_rate_factor: float | Mapping[str, float] | None
        decay_factor: float | Mapping[str, float] | None
        recompute: bool
