"""NumPy runs any program, training too: the specification, and the tests' oracle."""

import dataclasses

import numpy as np

from slimlearn.backend import philox
from slimlearn.backend.graph import Graph, Model, Node, Tensor, is_symbolic, type_text
from slimlearn.backend.op import OPS
from slimlearn.backend.shape import Dim, evaluate

DTYPES = {
    "f32": np.dtype(np.float32),
    "f64": np.dtype(np.float64),
    "i32": np.dtype(np.int32),
    "i64": np.dtype(np.int64),
    "bool": np.dtype(np.bool_),
    "u8": np.dtype(np.uint8),
}

_STATUS = {
    1: "an index is out of range",
    2: "a label is negative or not below the number of classes",
}


@dataclasses.dataclass
class Result:
    """What a function left: its returns, what it sets, its gradients, its status."""

    returns: tuple[np.ndarray, ...]
    sets: dict[str, np.ndarray]
    grads: dict[str, np.ndarray]
    status: int = 0


class Context:
    """What ops may know while they run: sizes, sources and random counters."""

    def __init__(self, sources, seed, step, first_row, on_value):
        self.sources = sources
        self.symbols: dict[str, int] = {}
        self.seed = seed
        self.step = step
        self.first_row = first_row
        self.on_value = on_value
        self.status = 0

    def result(self, node: Node) -> tuple[np.dtype, tuple[int, ...]]:
        """Return the NumPy type and the shape, in numbers, of a node's only result."""
        return self.type(node.results[0])

    def type(self, tensor: Tensor) -> tuple[np.dtype, tuple[int, ...]]:
        """Return the NumPy type and the shape, in numbers, of `tensor`."""
        shape = tuple(evaluate(dim, self.symbols) for dim in tensor.shape)
        return DTYPES[tensor.dtype], shape

    def rows(self, tensor: Tensor) -> np.ndarray | None:
        """Return the random row counter of each leading index, None without rows."""
        if not is_symbolic(tensor.shape[:1], "B"):
            return None
        lead = tensor.shape[0]
        per_row = lead.multiple_of("B") or 1
        return self.first_row * per_row + np.arange(evaluate(lead, self.symbols))

    def source(self, node: Node) -> np.ndarray:
        """Return the rows of an input, converted to its type."""
        array = self.sources[node.attributes["source"]]
        columns = node.attributes.get("columns")
        if columns is not None:
            array = array[:, columns[0] : columns[1]]
        return array.astype(self.result(node)[0])

    def region(self, node: Node, arrays) -> list[np.ndarray]:
        """Run the region of `node` on its operands."""
        values = dict(zip(node.region.parameters, arrays, strict=True))
        _run_nodes(node.region, values, self)
        return [values[value] for value in node.region.returns]

    def bind(self, name: str, declared: Tensor, actual: tuple[int, ...]):
        """Learn the sizes of symbols from an array of known shape."""
        fits = len(declared.shape) == len(actual)
        for dim, size in zip(declared.shape, actual, strict=False):
            if dim.__class__ is Dim and len(dim.symbols) == 1:
                (symbol,) = dim.symbols
                factor = dim.multiple_of(symbol)
                if factor and size % factor == 0:
                    self.symbols.setdefault(symbol, size // factor)
            fits = fits and evaluate(dim, self.symbols) == size
        if not fits:
            sizes = ", ".join(f"{k}={v}" for k, v in sorted(self.symbols.items()))
            raise ValueError(
                f"[{name}] the program declares {type_text(*declared.type)}"
                f"{f' with {sizes}' if sizes else ''}, the array has shape {actual}"
            )


def run(
    model: Model,
    func: str,
    sources: dict,
    params: dict,
    state: dict | None = None,
    hypers: dict | None = None,
    *,
    seed: int = 0,
    step: int = 0,
    first_row: int = 0,
    slots: dict | None = None,
    on_value=None,
) -> Result:
    """Run one function of a program once, on one batch.

    Parameters
    ----------
    model : Model
    func : str
        Name of the function.
    sources : dict of str to array
        The rows of this batch, by source name.
    params, state, slots : dict of str to ndarray
        By name; read only.
    hypers : dict of str to float
    seed, step, first_row : int
        The random key and counters.
    on_value : callable, optional
        Called as ``on_value(node, array)`` with every computed result, in order.

    Returns
    -------
    Result
        Nothing is written to the given arrays; `apply` does that.
    """
    graph = _function(model, func)
    arrays = {name: np.asarray(array) for name, array in sources.items()}
    context = Context(arrays, seed, step, first_row, on_value)
    values: dict[Tensor, np.ndarray] = {}
    given = {
        "param": params or {},
        "state": state or {},
        "hyper": hypers or {},
        "slot": slots or {},
    }
    for declaration in _used(model, graph):
        name, kind = declaration.name, declaration.kind
        if name not in given[kind]:
            raise ValueError(
                f"[{func}] needs {kind} {name!r}; given: {sorted(given[kind])}"
            )
        value = np.asarray(given[kind][name], DTYPES[declaration.dtype])
        context.bind(f"{kind} {name}", declaration, value.shape)
        values[declaration] = value
    for node in graph.nodes:
        if node.op == "input":
            _bind_source(context, func, node)
    _run_nodes(graph, values, context)
    return Result(
        tuple(values[value] for value in graph.returns),
        {name: values[value] for name, value in graph.sets.items()},
        {name: values[value] for name, value in graph.grads.items()},
        context.status,
    )


def apply(result: Result, *groups: dict) -> None:
    """Write what a function set into the arrays of `groups` (params, state, slots)."""
    for name, value in result.sets.items():
        for group in groups:
            if name in group:
                group[name][...] = value


def first_nonfinite(model: Model, func: str, *arguments, **keywords) -> str | None:
    """Return the first op, as ``[op name]``, whose result is infinite or NaN.

    Takes the arguments of `run`; None if all values are finite.
    """
    found: list[str] = []

    def scan(node, array):
        if not found and array.dtype.kind == "f" and not np.isfinite(array).all():
            found.append(f"[{node.op} {node.results[0].name}]")

    run(model, func, *arguments, on_value=scan, **keywords)
    return found[0] if found else None


def status_text(status: int) -> str:
    """Return what the bits of a status mean."""
    return "; ".join(text for bit, text in _STATUS.items() if status & bit)


def batches(n: int, batch_size: int) -> list[tuple[int, int]]:
    """Return (start, stop) of each batch of `n` rows.

    A last batch of a single row joins the one before it.
    """
    starts = list(range(0, n, batch_size))
    if n > batch_size and n % batch_size == 1:
        starts.pop()
    return list(zip(starts, [*starts[1:], n], strict=True))


@dataclasses.dataclass
class EpochResult:
    """One epoch: mean loss, the sum of its weights, steps done, status bits."""

    loss: float
    weight_sum: float
    steps: int
    status: int = 0


class Trainer:
    """Trains the arrays of a program in place, step for step as native code does.

    Parameters
    ----------
    model : Model
        With functions ``grad`` and ``update``.
    params, state, slots : dict of str to ndarray
        Written in place; a slot holds one array per parameter: ``slots[slot][param]``.
    sources : dict of str to array
        All rows.
    index : array of int, optional
        The training rows; all by default.
    batch_size : int
    segments : list of dict, optional
        One for each parameter: ``rate``, ``l1``, ``l2``, ``decay``, ``frozen``.
    hypers : dict of str to float
        All but the learning rate, the step and the segments' coefficients.
    clip_norm, clip_value : float, optional
        Largest norm of the whole gradient, largest size of one element (applied first).
    shuffle : bool
    seed : int
    """

    def __init__(
        self,
        model: Model,
        params: dict,
        state: dict,
        slots: dict,
        sources: dict,
        *,
        index=None,
        batch_size: int,
        segments: list[dict] | None = None,
        hypers: dict | None = None,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        shuffle: bool = True,
        seed: int = 0,
    ):
        self.model = model
        self.params, self.state, self.slots = params, state, slots
        self.sources = {name: np.asarray(array) for name, array in sources.items()}
        rows = len(next(iter(self.sources.values())))
        self.index = np.arange(rows) if index is None else np.asarray(index)
        self.batch_size = batch_size
        self.segments = dict(
            zip(model.parameters.names(), segments or [{} for _ in params], strict=True)
        )
        self.hypers = dict(hypers or {})
        self.clip_norm, self.clip_value = clip_norm, clip_value
        self.shuffle = shuffle
        self.seed = seed

    def epoch(self, epoch: int, step: int, learning_rates) -> EpochResult:
        """Train one epoch.

        Parameters
        ----------
        epoch, step : int
            Epochs and steps done before.
        learning_rates : array of float
            One for each step.
        """
        order = self.index
        if self.shuffle:
            order = philox.permutation(order, self.seed, epoch)
        total = weight = 0.0
        spans = batches(len(order), self.batch_size)
        for i, (start, stop) in enumerate(spans):
            step += 1
            losses = self.step(order[start:stop], step, float(learning_rates[i]))
            total, weight = total + losses[0], weight + losses[1]
        return EpochResult(total / weight if weight else 0.0, weight, len(spans))

    def step(self, rows, step: int, rate: float) -> tuple[float, float]:
        """Train on `rows`; `step` is 1 at the first. Return (Σ w·l, Σ w)."""
        batch = {name: array[rows] for name, array in self.sources.items()}
        hypers = {**self.hypers, "learning_rate": rate, "step": float(step)}
        hypers["gradient_scale"] = 1.0
        arguments = (self.model, "grad", batch, self.params, self.state, hypers)
        result = run(*arguments, seed=self.seed, step=step)
        if result.status:
            raise ValueError(f"step {step}: {status_text(result.status)}")
        objective, loss, weight = (float(value) for value in result.returns)
        grads = result.grads
        finite = all(np.isfinite(g).all() for g in grads.values())
        if not (np.isfinite(objective) and finite):
            where = first_nonfinite(*arguments, seed=self.seed, step=step)
            raise FloatingPointError(
                f"step {step}: {where or 'the gradient'} is not finite: "
                "lower the learning rate, clip the gradient or scale the data"
            )
        apply(result, self.state)
        if self.clip_value is not None:
            limit = self.clip_value
            grads = {name: np.clip(g, -limit, limit) for name, g in grads.items()}
        if self.clip_norm is not None:
            squares = [np.sum(np.square(g, dtype=np.float64)) for g in grads.values()]
            norm = float(np.sqrt(sum(squares)))
            if norm > self.clip_norm:
                hypers["gradient_scale"] = self.clip_norm / norm
        for name, gradient in grads.items():
            self._update(name, gradient, hypers)
        return loss, weight

    def _update(self, name: str, gradient, hypers: dict) -> None:
        segment = self.segments[name]
        if segment.get("frozen", False):
            return
        coefficients = {
            "segment.rate": segment.get("rate", 1.0),
            "segment.l1": segment.get("l1", 0.0),
            "segment.l2": segment.get("l2", 0.0),
            "segment.decay": segment.get("decay", 0.0),
        }
        weight = self.params[name]
        result = run(
            self.model,
            "update",
            {"weight": weight.reshape(-1), "gradient": gradient.reshape(-1)},
            {},
            hypers={**hypers, **coefficients},
            slots={slot: of[name].reshape(-1) for slot, of in self.slots.items()},
        )
        weight[...] = result.returns[0].reshape(weight.shape)
        for slot, value in result.sets.items():
            array = self.slots[slot][name]
            array[...] = value.reshape(array.shape)


def _function(model: Model, func: str) -> Graph:
    if func not in model.functions:
        raise ValueError(
            f"the program has no function {func!r}; it has {sorted(model.functions)}"
        )
    return model.functions[func]


def _used(model: Model, graph: Graph):
    """Return the declarations that the function reads, in order of declaration."""
    read = {operand for node in graph.nodes for operand in node.operands}
    read.update(graph.returns, graph.sets.values(), graph.grads.values())
    return [d for d in model.declarations.values() if d in read]


def _bind_source(context: Context, func: str, node: Node) -> None:
    source = node.attributes["source"]
    if source not in context.sources:
        raise ValueError(
            f"[{func}] needs source {source!r}; given: {sorted(context.sources)}"
        )
    shape = context.sources[source].shape
    columns = node.attributes.get("columns")
    if columns is not None:
        if len(shape) != 2 or columns[1] > shape[1]:
            raise ValueError(
                f"[input {node.results[0].name}] columns {columns[0]}:{columns[1]} "
                f"of source {source!r}, which has shape {shape}"
            )
        shape = (shape[0], columns[1] - columns[0])
    context.bind(f"input {node.results[0].name}", node.results[0], shape)


def _run_nodes(graph: Graph, values: dict, context: Context) -> None:
    with np.errstate(all="ignore"):
        for node in graph.nodes:
            arrays = [values[operand] for operand in node.operands]
            results = OPS[node.op].reference(context, arrays, node)
            for tensor, array in zip(node.results, results, strict=True):
                dtype, shape = context.type(tensor)
                array = np.asarray(array, dtype)
                if array.shape != shape:
                    raise ValueError(
                        f"[{node.op} {tensor.name}] computed shape {array.shape}, "
                        f"declared {type_text(*tensor.type)} = {shape}"
                    )
                values[tensor] = array
                if context.on_value is not None:
                    context.on_value(node, array)
