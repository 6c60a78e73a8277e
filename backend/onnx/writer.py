"""An ONNX graph in the making: nodes, constants, names and the sizes of symbols."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from slimlearn.backend.graph import Tensor
from slimlearn.backend.graph.tensor import NUMPY_TYPES, element_of
from slimlearn.backend.onnx.registry import converter_of, refusal
from slimlearn.backend.shape import Dim

__all__ = ["LEAST_OPSET", "Writer"]

LEAST_OPSET = 16

# What onnxruntime has in float32 alone.
_SINGLE = frozenset(
    ("AveragePool", "Conv", "ConvTranspose", "Erf", "Sinh", "ScatterND", "Softplus")
)


class Writer:
    """One graph.

    Parameters
    ----------
    opset : int
        The version of ONNX's operators.
    precision : {"float32", "float64"}
        What all floating-point numbers of the graph are.

    Attributes
    ----------
    nodes : list of NodeProto
        Of the graph, or of the subgraph that is being written.
    initializers : list of TensorProto
        Constants and parameters, of subgraphs too.
    values : dict of Tensor to str
        The names of values that were written.
    compute : str
        What the operands of products are rounded to, as `Model.compute`.
    """

    def __init__(self, opset: int, precision: str = "float32", prefix: str = ""):
        import onnx

        self._onnx = onnx
        self.opset = opset
        self.real = np.dtype(precision)
        self.nodes: list = []
        self.initializers: list = []
        self.values: dict[Tensor, str] = {}
        self.arrays: dict[str, np.ndarray] = {}
        self.compute = ""
        self._prefix = prefix
        self._taken: set[str] = set()
        self._constants: dict[tuple, str] = {}
        self._symbols: dict[str, tuple[str, int]] = {}
        self._sizes: list[dict[str, str]] = [{}]

    # -- names, types, constants ----------------------------------------------------

    def unique(self, wish: str) -> str:
        """Return a name that nothing has yet."""
        wish = f"{self._prefix}{wish}"
        name, count = wish, 0
        while name in self._taken:
            count += 1
            name = f"{wish}_{count}"
        self._taken.add(name)
        return name

    def numpy_type(self, dtype: str) -> np.dtype:
        """Return what a type of the program is in the graph; "str" is text."""
        if dtype == "str":
            return np.dtype(object)
        element = element_of(dtype)
        return self.real if element in ("f32", "f64") else NUMPY_TYPES[element]

    def element_type(self, dtype: str) -> int:
        """Return ONNX's number of a type of the program."""
        kind = self.numpy_type(dtype)
        if kind.hasobject:
            return self._onnx.TensorProto.STRING
        return self._onnx.helper.np_dtype_to_tensor_dtype(kind)

    def constant(self, value, dtype=None, name: str = "constant") -> str:
        """Return the name of a constant; equal small ones are written once."""
        array = np.asarray(value, dtype=dtype)
        key = (array.dtype.str, array.shape, array.tobytes())
        small = array.size <= 64
        if small and array.dtype != object and key in self._constants:
            return self._constants[key]
        made = self.unique(name)
        if array.dtype == object or array.dtype.kind == "U":
            tensor = self._onnx.helper.make_tensor(
                made,
                self._onnx.TensorProto.STRING,
                array.shape,
                [str(word).encode() for word in array.ravel()],
            )
        else:
            tensor = self._onnx.numpy_helper.from_array(np.ascontiguousarray(array))
            tensor.name = made
            # A scalar is made a vector by NumPy.
            if array.ndim == 0:
                del tensor.dims[:]
        self.initializers.append(tensor)
        if small:
            self._constants[key] = made
        self.arrays[made] = array
        return made

    def number(self, value: float, dtype: str = "f32") -> str:
        """Return the name of a scalar of a type of the program."""
        return self.constant(value, self.numpy_type(dtype))

    def ints(self, *values: int) -> str:
        """Return the name of a vector of int64, as shapes and axes are."""
        return self.constant(np.array(values, np.int64), name="shape")

    # -- nodes ----------------------------------------------------------------------

    def add(
        self,
        op: str,
        *inputs: str,
        wish: str | None = None,
        outputs: int = 1,
        domain: str = "",
        **attributes,
    ):
        """Append a node; return the name of its output, or a list of several.

        Parameters
        ----------
        op : str
            ONNX's operator.
        *inputs : str
            Names; "" for one that is left out.
        wish : str, optional
            What the first output should be called.
        outputs : int
        domain : str
        **attributes
        """
        if op in _SINGLE and self.real == np.float64:
            return self._in_single(op, inputs, wish, attributes)
        names = [self.unique(wish or op.lower()) for _ in range(outputs)]
        node = self._onnx.helper.make_node(
            op, inputs, names, names[0], domain=domain, **attributes
        )
        self.nodes.append(node)
        return names[0] if outputs == 1 else names

    def _in_single(self, op: str, inputs, wish, attributes) -> str:
        """An operator between two casts."""
        # The indices of ScatterND stay what they are.
        inputs = [
            self.single(name) if not (op == "ScatterND" and i == 1) else name
            for i, name in enumerate(inputs)
        ]
        made = self.unique(op.lower())
        self.nodes.append(self._onnx.helper.make_node(op, inputs, [made], **attributes))
        return self.add("Cast", made, wish=wish, to=self._onnx.TensorProto.DOUBLE)

    def transpose(self, name: str, perm: Sequence[int], wish: str | None = None) -> str:
        """Return a value with its axes in another order; a constant is written so."""
        perm = list(perm)
        if perm == list(range(len(perm))):
            return name
        array = self.arrays.get(name)
        if array is not None:
            return self.constant(array.transpose(perm), name=f"{name}/transposed")
        return self.add("Transpose", name, wish=wish, perm=perm)

    def cast(self, name: str, dtype: str, wish: str | None = None) -> str:
        """Return a value as another type of the program."""
        return self.add("Cast", name, wish=wish, to=self.element_type(dtype))

    def single(self, name: str) -> str:
        """Return a value as float32, which some operators know alone."""
        return self.add("Cast", name, to=self._onnx.TensorProto.FLOAT)

    def rounded(self, name: str) -> str:
        """Return the operand of a product, rounded to what the program computes in."""
        if not self.compute:
            return name
        to = getattr(self._onnx.TensorProto, self.compute.upper())
        return self.cast(self.add("Cast", name, to=to), "f32")

    # -- sizes ----------------------------------------------------------------------

    def know(self, symbol: str, name: str, axis: int) -> None:
        """Tell where a symbol's size can be read: an axis of a value."""
        self._symbols.setdefault(symbol, (name, axis))

    def know_shape(self, name: str, shape: Sequence[int | Dim]) -> None:
        """Tell the sizes of a value; of symbols the first place is kept."""
        for axis, size in enumerate(shape):
            if isinstance(size, Dim) and str(size).isidentifier():
                self.know(str(size), name, axis)

    def size(self, dim: int | Dim) -> str:
        """Return the name of a vector with the one number that `dim` is."""
        if not isinstance(dim, Dim):
            return self.ints(dim)
        text = str(dim)
        for known in self._sizes:
            if text in known:
                return known[text]
        made = self._sizes[-1][text] = self._evaluated(
            ast.parse(text, mode="eval").body
        )
        return made

    def _evaluated(self, tree) -> str:
        if isinstance(tree, ast.Constant):
            return self.ints(tree.value)
        if isinstance(tree, ast.Name):
            name, axis = self._symbols[tree.id]
            shape = self.add("Shape", name)
            return self.add("Gather", shape, self.ints(axis), wish=tree.id, axis=0)
        if isinstance(tree, ast.UnaryOp):
            return self.add("Neg", self._evaluated(tree.operand))
        op = {ast.Add: "Add", ast.Sub: "Sub", ast.Mult: "Mul", ast.FloorDiv: "Div"}
        left, right = self._evaluated(tree.left), self._evaluated(tree.right)
        return self.add(op[type(tree.op)], left, right)

    def shape(self, shape: Sequence[int | Dim]) -> str:
        """Return the name of a shape, a vector of int64."""
        if all(isinstance(size, int) for size in shape):
            return self.ints(*shape)
        return self.add("Concat", *map(self.size, shape), axis=0)

    def needed(self) -> list:
        """Return the initializers that some node reads, those of subgraphs too."""
        read: set[str] = set()
        waiting = [self.nodes]
        while waiting:
            for node in waiting.pop():
                read.update(node.input)
                for attribute in node.attribute:
                    if attribute.HasField("g"):
                        waiting.append(attribute.g.node)
                        read.update(output.name for output in attribute.g.output)
        return [one for one in self.initializers if one.name in read]

    # -- regions --------------------------------------------------------------------

    def write(self, graph) -> list[str]:
        """Write the nodes of a function or a region; return what it returns."""
        for node in graph.needed():
            operands = [self.read(operand, node) for operand in node.operands]
            made = converter_of(node)(self, node, operands)
            self.values.update(zip(node.results, made))
        return [self.values[value] for value in graph.returns]

    def read(self, value, node) -> str:
        """Return the name of a value that a node reads."""
        found = self.values.get(value)
        if not found:
            raise refusal(
                node, f"ONNX has no operator that gives its operand %{value.name}"
            )
        return found

    def inline(self, region, operands: Sequence[str]) -> list[str]:
        """Write a region's nodes in place, its parameters being these values."""
        self.values.update(zip(region.parameters, operands))
        return self.write(region)

    @contextmanager
    def subgraph(self) -> Iterator[list]:
        """Collect the nodes that are written inside the block, for an attribute."""
        outer, self.nodes = self.nodes, []
        self._sizes.append({})
        try:
            yield self.nodes
        finally:
            self.nodes = outer
            self._sizes.pop()

    def body(self, name: str, nodes, inputs, outputs):
        """Return a subgraph of pairs of name and (dtype, shape); all its own names.

        A value that it returns as it came, or from outside, goes through an identity:
        outputs of a subgraph are made in it.
        """
        made = {output for node in nodes for output in node.output}
        helper, named, seen = self._onnx.helper, [], set()
        nodes = list(nodes)
        for value, type_ in outputs:
            if value not in made or value in seen:
                own = self.unique(f"{value}/own")
                nodes.append(helper.make_node("Identity", [value], [own]))
                value = own
            seen.add(value)
            named.append(self.info(value, *type_))
        inputs = [self.info(value, *type_) for value, type_ in inputs]
        return helper.make_graph(nodes, name, inputs, named)

    def info(self, name: str, dtype: str, shape, rows: str | None = None):
        """Return a value's name with its type; symbolic sizes are left open.

        `rows` is what B is called.
        """
        sizes = [
            size if isinstance(size, int) else rows if str(size) == "B" else None
            for size in shape
        ]
        if rows is not None:
            sizes = [
                size if size is not None else str(given)
                for size, given in zip(sizes, shape)
            ]
        return self._onnx.helper.make_tensor_value_info(
            name, self.element_type(dtype), sizes
        )
