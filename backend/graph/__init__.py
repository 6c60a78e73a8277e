"""Tensors, the functions they are computed in, and the model that holds them."""

from slimlearn.backend.graph.copies import copy_nodes
from slimlearn.backend.graph.declarations import (
    DECLARATIONS,
    Declaration,
    Declarations,
    Hyper,
    Parameter,
    Slot,
    State,
)
from slimlearn.backend.graph.function import Graph, current_graph, inside
from slimlearn.backend.graph.model import Model, current_model
from slimlearn.backend.graph.names import (
    absolute_scope,
    check_name,
    current_scope,
    name_scope,
)
from slimlearn.backend.graph.region import (
    build_region,
    drop_unused,
    share_parameters,
)
from slimlearn.backend.graph.tensor import (
    ANYWHERE,
    DTYPES,
    FLOATS,
    INTEGERS,
    NUMBERS,
    NUMPY_TYPES,
    STORAGES,
    TYPE_WORDS,
    Node,
    Tensor,
    element_of,
    is_symbolic,
    storage_of,
    type_text,
)

__all__ = [
    "ANYWHERE",
    "DECLARATIONS",
    "DTYPES",
    "FLOATS",
    "INTEGERS",
    "NUMBERS",
    "NUMPY_TYPES",
    "STORAGES",
    "TYPE_WORDS",
    "Declaration",
    "Declarations",
    "Graph",
    "Hyper",
    "Model",
    "Node",
    "Parameter",
    "Slot",
    "State",
    "Tensor",
    "absolute_scope",
    "build_region",
    "check_name",
    "copy_nodes",
    "current_graph",
    "current_model",
    "current_scope",
    "drop_unused",
    "element_of",
    "inside",
    "is_symbolic",
    "name_scope",
    "share_parameters",
    "storage_of",
    "type_text",
]
