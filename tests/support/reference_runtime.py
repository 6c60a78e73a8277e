"""NumPy in the place of native code, behind the interface that training calls.

The reference trains step for step as native code does, so a test that fits with both
compares everything between an estimator and the kernels.
"""

from types import SimpleNamespace

import numpy as np
from scipy.optimize import minimize

from slimlearn.backend import reference
from slimlearn.backend.text import parse_program


class ReferenceModel:
    """What `engine.compile` returns, in NumPy."""

    missing = {}  # noqa: RUF012

    def __init__(self, text, device="cpu", lenient=False):
        self.model = parse_program(text)

    def row_size(self, func):
        return int(np.prod(self.model.functions[func].returns[0].shape[1:]))

    def run(
        self, func, sources, program, *, rows=None, hypers=None, seed=0, n_threads=None
    ):
        if rows is not None:
            sources = {name: array[rows] for name, array in sources.items()}
        hypers = {h.name: 1.0 for h in self.model.hypers} | dict(hypers or {})
        result = reference.run(
            self.model,
            func,
            sources,
            program.weights,
            program.states,
            hypers,
            seed=seed,
        )
        reference.apply(result, program.weights, program.states)
        return result.returns

    def predictor(self, func, program, sources, *, n_threads=None):
        def predict(X):
            exact = X.__class__ is np.ndarray and X.dtype in (np.float32, np.float64)
            columns = self.model.functions[func].nodes[0].results[0].shape[1]
            if not (exact and X.ndim == 2 and len(X) and X.shape[1] == columns):
                return None
            if not (X.flags.c_contiguous and np.isfinite(X).all()):
                return None
            return self.run(func, {"X": X}, program)[0]

        return predict

    def trainer(
        self, program, sources, *, slots, n_threads=None, gradient=None, **settings
    ):
        views = program.slot_views(slots)
        trainer = reference.Trainer(
            self.model, program.weights, program.states, views, sources, **settings
        )
        return ReferenceTrainer(trainer)


class ReferenceTrainer:
    """What `NativeModel.trainer` returns, in NumPy; L-BFGS is SciPy's."""

    def __init__(self, trainer):
        self.trainer = trainer

    def epochs(self, epoch, step, rates, part=0, begin=None, so_far=None):
        trainer = self.trainer
        size = trainer.batch_size * trainer.accumulate
        steps = len(reference.batches(len(trainer.index), size))
        for own in np.reshape(rates, (-1, steps, *np.shape(rates)[1:])):
            yield trainer.epoch(epoch, step, own, part)
            epoch, step = epoch + 1, step + steps

    def lbfgs(self, *, max_iter, tol, history, callback):
        t = self.trainer
        batch = {name: array[t.index] for name, array in t.sources.items()}
        last = {}

        def objective(flat):
            start = 0
            for array in t.params.values():
                array[...] = flat[start : start + array.size].reshape(array.shape)
                start += array.size
            result = reference.run(t.model, "grad", batch, t.params, t.state, t.hypers)
            value, loss, weight = map(float, result.returns)
            parts = []
            for name, array in t.params.items():
                gradient = result.grads[name].astype(np.float64)
                l2 = t.segments[name]["l2"]
                value += 0.5 * l2 * float(np.sum(np.square(array)))
                parts.append((gradient + l2 * array).ravel())
            last["loss"] = loss / weight
            return value, np.concatenate(parts)

        def after(_):
            callback(0, 0.0, last["loss"])

        start = np.concatenate([a.ravel() for a in t.params.values()])
        options = {"maxiter": max_iter, "gtol": tol, "maxcor": history, "ftol": 1e-15}
        found = minimize(
            objective,
            start,
            jac=True,
            method="L-BFGS-B",
            callback=after,
            options=options,
        )
        objective(found.x)
        return SimpleNamespace(
            end="gradient" if found.status == 0 else "iterations",
            objective=float(found.fun),
            loss=last["loss"],
        )
