"""The minimum of a function of arrays, by the optimizers of the estimators."""

from collections.abc import Callable

import numpy as np
from scipy import optimize

from slimlearn.backend import ops
from slimlearn.backend.functions import Function, function, leaves_of
from slimlearn.backend.graph import Model, Tensor
from slimlearn.backend.ops.nested import rebuild
from slimlearn.backend.optimizer import LBFGS, Optimizer, OptimizerName, make_optimizer
from slimlearn.backend.optimizer.base import Update

_OUT_OF_STEPS = 1  # SciPy's status, of evaluations too


class _Step(Update):
    """What a rule sees of one array, in a step of a loop."""

    def __init__(self, weight: Tensor, gradient: Tensor, hypers: dict, slots: dict):
        self.precision = weight.dtype
        self.weight, self.gradient = weight, gradient
        self.learning_rate = hypers["learning_rate"]
        self.slots = slots
        self.found: dict[str, Tensor] = {}
        self._hypers = hypers

    def hyper(self, name: str) -> Tensor:
        return self._hypers[name]

    def slot(self, name: str) -> Tensor:
        if name not in self.slots:  # the first time, when they are counted
            self.slots[name] = ops.zeros_like(self.weight)
        return self.slots[name]

    def set(self, slot: Tensor, value: Tensor) -> None:
        (name,) = (name for name, known in self.slots.items() if known is slot)
        self.found[name] = value

    def total(self, value: Tensor, name: str) -> Tensor:
        return ops.reduce_sum(ops.cast(value, "f64"))

    @property
    def one(self) -> Tensor:
        return ops.ones_like(self.weight)


def minimize(
    fn: Callable,
    x0,
    args: tuple = (),
    optimizer: OptimizerName | Optimizer = "lbfgs",
    learning_rate: float | None = None,
    max_iter: int = 1000,
    tol: float = 1e-6,
) -> optimize.OptimizeResult:
    """Find arrays for which a function of tensors is least, from its gradient.

    Parameters
    ----------
    fn : callable
        ``fn(x, *args)``, one float, as `function` takes it, or made by that.
    x0 : array of floats, or a tuple, list or dict of them
        Where the search begins.
    args : tuple
        What else `fn` is called with.
    optimizer : str or optimizer, default="lbfgs"
        SciPy's L-BFGS, in float64, each evaluation a native call; or a name or an
        object of the estimators' optimizers, whose steps are one native call.
    learning_rate : float, optional
        Of these; by default the optimizer's own.
    max_iter : int, default=1000
        The most steps.
    tol : float, default=1e-6
        The search ends where no element of the gradient is larger.

    Returns
    -------
    scipy.optimize.OptimizeResult
        ``x`` as `x0`, ``fun``, ``jac``, ``nit``, ``success`` and ``message``.

    Examples
    --------
    >>> import numpy as np
    >>> import slimlearn
    >>> from slimlearn import ops
    >>> def far(x, a):
    ...     return ops.reduce_sum(ops.square(x - a))
    >>> found = slimlearn.minimize(far, np.zeros(2), (np.array([1.0, 2.0]),))
    >>> found.x.round(4)
    array([1., 2.])
    """
    if isinstance(max_iter, bool) or not isinstance(max_iter, (int, np.integer)):
        raise TypeError(f"[minimize] max_iter={max_iter!r}, needs a whole number")
    if max_iter < 1 or not tol >= 0:
        raise ValueError(
            f"[minimize] max_iter={max_iter}, tol={tol}: need at least 1 and 0"
        )
    compiled = fn if isinstance(fn, Function) else function(fn)
    chosen = make_optimizer(optimizer)
    leaves, like = leaves_of(x0, "minimize")
    leaves = [np.asarray(leaf) for leaf in leaves]
    if not leaves or any(leaf.dtype.kind != "f" for leaf in leaves):
        raise TypeError("[minimize] x0 needs arrays of float32 or float64")
    if isinstance(chosen, LBFGS):
        if learning_rate is not None:
            raise ValueError(
                "[minimize] L-BFGS finds its steps by itself: it takes no learning_rate"
            )
        return _by_lbfgs(compiled, leaves, like, args, int(max_iter), tol)
    rate = chosen.default_learning_rate if learning_rate is None else learning_rate
    run = function(_steps(compiled, chosen, like, int(max_iter)))
    value, x, slope, count = run(leaves, float(rate), float(tol), *args)
    # NaN where an element is: Python's max passes it by.
    largest = np.max([np.abs(s).max(initial=0.0) for s in slope])
    return _result(value, x, slope, like, int(count), largest, tol, max_iter)


def _by_lbfgs(compiled, leaves, like, args, max_iter: int, tol: float):
    both = compiled.value_and_grad()
    ends = np.cumsum([leaf.size for leaf in leaves])[:-1]

    def arrays(flat):
        parts = zip(np.split(flat, ends), leaves, strict=True)
        return [part.reshape(leaf.shape).astype(leaf.dtype) for part, leaf in parts]

    def evaluate(flat):
        both.reset()  # the same random numbers: one surface to descend on
        value, slope = both(rebuild(arrays(flat), like), *args)
        found = [np.ravel(s) for s in leaves_of(slope, "minimize")[0]]
        return float(value), np.concatenate(found).astype(np.float64)

    start = np.concatenate([np.ravel(leaf) for leaf in leaves]).astype(np.float64)
    options = {"maxiter": max_iter, "maxfun": 20 * max_iter, "gtol": tol, "ftol": 0.0}
    made = optimize.minimize(
        evaluate, start, jac=True, method="L-BFGS-B", options=options
    )
    largest = np.abs(made.jac).max(initial=0.0)
    x, slope = arrays(made.x), arrays(made.jac)
    result = _result(made.fun, x, slope, like, made.nit, largest, tol, max_iter)
    # Where rounding ends it first, no step makes the value less.
    finite = np.isfinite(made.fun) and np.isfinite(largest)
    if not result.success and finite and made.status != _OUT_OF_STEPS:
        result.success, result.message = True, str(made.message)
    return result


def _result(value, x, slope, like, count: int, largest, tol: float, max_iter: int):
    finite = bool(np.isfinite(value)) and bool(np.isfinite(largest))
    success = finite and bool(largest <= tol)
    if success:
        message = f"no element of the gradient is larger than {tol}"
    elif finite:
        message = f"the largest element of the gradient is {largest:.3g}: more max_iter"
    else:
        message = f"not finite after {count} steps"
        message += ": lower the learning rate" if count else ": begin elsewhere"
    return optimize.OptimizeResult(
        x=rebuild(x, like),
        fun=float(value),
        jac=rebuild(slope, like),
        nit=count,
        success=success,
        message=message,
    )


def _steps(compiled: Function, optimizer: Optimizer, like, max_iter: int) -> Callable:
    """Return the whole search as a function of tensors."""
    numbers = {
        "segment.decay": optimizer.own_decay,
        "segment.proximal": optimizer.own_l1,
        **optimizer.hypers(),
    }

    def minimized(x, rate, tol, *args):
        rate, tol = ops.cast(rate, "f64"), ops.cast(tol, "f64")

        def slope_of(x):
            value, slope = compiled.value_and_grad()(rebuild(x, like), *args)
            return value, leaves_of(slope, "minimize")[0]

        def largest(slope):
            found = [ops.reduce_max(ops.abs(s)) for s in slope if 0 not in s.shape]
            if not found:
                return ops.constant(0.0, "f64")
            return ops.reduce_max(ops.stack([ops.cast(one, "f64") for one in found]))

        def goes_on(carry):
            return largest(carry["slope"]) > tol

        def step(carry):
            number = carry["step"] + 1.0
            hypers = {name: ops.constant(v, "f64") for name, v in numbers.items()}
            hypers |= {"learning_rate": rate, "step": number}
            x, slots = [], []
            for w, g, own in zip(
                carry["x"], carry["slope"], carry["slots"], strict=True
            ):
                update = _Step(w, g, hypers, own)
                x.append(optimizer._rule(update))
                slots.append({k: update.found.get(k, own[k]) for k in own})
            value, slope = slope_of(x)
            return {
                "x": x, "slope": slope, "value": value, "slots": slots, "step": number,
            }  # fmt: skip

        value, slope = slope_of(x)
        names = _slot_names(optimizer, numbers)
        carry = {
            "x": list(x),
            "slope": slope,
            "value": value,
            "slots": [{name: ops.zeros_like(w) for name in names} for w in x],
            "step": ops.constant(0.0, "f64"),
        }
        made = ops.while_loop(goes_on, step, carry, maximum_iterations=max_iter)
        return made["value"], made["x"], made["slope"], made["step"]

    return minimized


def _slot_names(optimizer: Optimizer, numbers: dict) -> list[str]:
    """Return what arrays a rule keeps, as it asks for them."""
    with Model("f64").function("f"):
        hypers = {name: ops.constant(v, "f64") for name, v in numbers.items()}
        one = ops.constant(1.0, "f64")
        hypers |= {"learning_rate": one, "step": one}
        update = _Step(one, one, hypers, {})
        optimizer._rule(update)
    return list(update.slots)
