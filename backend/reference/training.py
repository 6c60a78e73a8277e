"""The mini-batch loop in NumPy."""

import dataclasses

import numpy as np

from slimlearn.backend import philox
from slimlearn.backend.graph import Model
from slimlearn.backend.ops.sparse import Rows
from slimlearn.backend.optimizer.base import update_name
from slimlearn.backend.ragged import Ragged
from slimlearn.backend.reference.context import as_array
from slimlearn.backend.reference.execution import apply, first_nonfinite, run

_BATCH_STREAM = 0x42415443


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
    """One epoch: mean loss, the sum of its weights, steps done."""

    loss: float
    weight_sum: float
    steps: int


class Trainer:
    """Trains the arrays of a program in place, step for step as native code does.

    Parameters
    ----------
    model : Model
        With functions ``grad`` and ``update``.
    params, state, slots : dict of str to ndarray
        Written in place; a slot holds one array per parameter: ``slots[slot][param]``.
    sources : dict of str to array or sparse matrix
        All rows.
    index : array of int, optional
        The training rows; all by default.
    batch_size : int
    segments : list of dict, optional
        One for each parameter: ``rate``, ``l1``, ``l2``, ``decay``, ``frozen``, and of
        several optimizers ``update``, which of them, and ``hypers``, its numbers.
    hypers : dict of str to float
        All but the learning rate, the step and the segments' coefficients.
    clip_norm, clip_value : float, optional
        Largest norm of the whole gradient, largest size of one element (applied first).
    shuffle : bool
    seed : int
    accumulate : int
        So many batches make a step: their gradients are added up.
    scheduled : list of (str, int, float, float), optional
        Hypers that change with each step: name, column of the rates, base, scale.
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
        accumulate: int = 1,
        scheduled: list[tuple] | None = None,
    ):
        self.model = model
        self.params, self.state, self.slots = params, state, slots
        self.sources = {name: as_array(array) for name, array in sources.items()}
        rows = next(iter(self.sources.values())).shape[0]
        self.index = np.arange(rows) if index is None else np.asarray(index)
        self.batch_size, self.accumulate = batch_size, accumulate
        self.scheduled = [("learning_rate", 0, 0.0, 1.0), *(scheduled or [])]
        self.segments = dict(
            zip(model.parameters.names(), segments or [{} for _ in params], strict=True)
        )
        self.hypers = dict(hypers or {})
        self.clip_norm, self.clip_value = clip_norm, clip_value
        self.shuffle = shuffle
        self.seed = seed

    def epoch(
        self, epoch: int, step: int, learning_rates, part: int = 0
    ) -> EpochResult:
        """Train one epoch.

        Parameters
        ----------
        epoch, step : int
            Epochs and steps done before.
        learning_rates : array of float of shape (steps,) or (steps, columns)
            One for each step, and what else is scheduled.
        part : int
            Which part of the epoch's rows these are.
        """
        order = self.index
        if self.shuffle:
            order = philox.permutation(order, self.seed, epoch + (part << 32))
        total = weight = 0.0
        spans = batches(len(order), self.batch_size * self.accumulate)
        if self.shuffle:
            order = self._grouped(order, spans, epoch + (part << 32))
        rates = np.reshape(learning_rates, (len(spans), -1))
        for i, (start, stop) in enumerate(spans):
            step += 1
            losses = self.step(order[start:stop], step, rates[i])
            total, weight = total + losses[0], weight + losses[1]
        return EpochResult(total / weight if weight else 0.0, weight, len(spans))

    def _grouped(self, order, spans, epoch: int) -> np.ndarray:
        """Rows of like length in one batch, and these batches shuffled."""
        ragged = [s for s in self.sources.values() if isinstance(s, Ragged)]
        if all(len(source.sizes) == 1 for source in ragged):
            return order
        buckets = np.max([source.buckets for source in ragged], axis=0)
        order = order[np.argsort(buckets[order], kind="stable")]
        turn = philox.permutation(len(spans), self.seed, epoch, _BATCH_STREAM)
        sizes = np.full(len(spans), np.diff(spans[0])[0])
        sizes[turn[-1]] = np.diff(spans[-1])[0]
        parts = np.split(order, np.cumsum(sizes)[:-1])
        return np.concatenate([parts[i] for i in turn])

    def step(self, rows, step: int, rates) -> tuple[float, float]:
        """Train on `rows`; `step` is 1 at the first. Return (Σ w·l, Σ w)."""
        hypers = {**self.hypers, "step": float(step), "global_rows": float(len(rows))}
        hypers["gradient_scale"] = 1.0
        hypers |= {name: b + s * rates[column] for name, column, b, s in self.scheduled}
        state = {name: array.copy() for name, array in self.state.items()}
        loss = weight = 0.0
        skips = False
        touched, grads = {}, {}
        for start, stop in batches(len(rows), self.batch_size):
            batch = {n: array[rows[start:stop]] for n, array in self.sources.items()}
            arguments = (self.model, "grad", batch, self.params, state, hypers)
            counters = {"seed": self.seed, "step": step, "first_row": start}
            result = run(*arguments, **counters)
            if result.status:
                raise ValueError(f"step {step}: {result.complaint(rows[start:stop])}")
            objective, *sums = (float(value) for value in result.returns)
            loss, weight = loss + sums[0], weight + sums[1]
            skips = skips or sums[2:] == [0.0]
            for name, gradient in result.grads.items():
                compact = isinstance(gradient, Rows)
                touched[name] = gradient.ids if compact else ...
                values = gradient.values if compact else gradient
                grads[name] = grads[name] + values if start else values
            finite = all(np.isfinite(g).all() for g in grads.values())
            if not (np.isfinite(objective) and (finite or skips)):
                where = first_nonfinite(*arguments, **counters)
                raise FloatingPointError(
                    f"step {step}: {where or 'the gradient'} is not finite: "
                    "lower the learning rate, clip the gradient or scale the data"
                )
            apply(result, state)
        if not skips:
            self._move(grads, touched, hypers, rates)
        for name, array in state.items():
            self.state[name][...] = array
        return loss, weight

    def _move(self, grads: dict, touched: dict, hypers: dict, rates) -> None:
        """Clip the gradient and update the parameters by it."""
        clips = not (self.clip_value is None and self.clip_norm is None)
        if clips:
            grads = {
                name: self._penalised(name, touched[name], g, rates)
                for name, g in grads.items()
                if not self.segments[name].get("frozen", False)
            }
        if self.clip_value is not None:
            limit = self.clip_value
            grads = {name: np.clip(g, -limit, limit) for name, g in grads.items()}
        if self.clip_norm is not None:
            squares = [np.sum(np.square(g, dtype=np.float64)) for g in grads.values()]
            norm = float(np.sqrt(sum(squares)))
            if norm > self.clip_norm:
                hypers["gradient_scale"] = self.clip_norm / norm
        for name, gradient in grads.items():
            self._update(name, touched[name], gradient, hypers, rates, clips)

    def _coefficients(self, name: str, rates) -> dict[str, float]:
        segment = self.segments[name]
        known = {"rate": 1.0, "l1": 0.0, "l2": 0.0, "decay": 0.0, "proximal": 0.0}
        found = {key: segment.get(key, value) for key, value in known.items()}
        own = dict(segment.get("hypers", {}))
        for key, column, scale in segment.get("scheduled", ()):
            (own if key in own else found)[key] += scale * rates[column]
        numbers = {f"segment.{key}": value for key, value in found.items()}
        return {**numbers, **own}

    def _penalised(self, name: str, rows, gradient, rates) -> np.ndarray:
        """The gradient with that of the penalties, as it is clipped."""
        weight, found = self.params[name][rows], self._coefficients(name, rates)
        l1, l2 = (weight.dtype.type(found[f"segment.{key}"]) for key in ("l1", "l2"))
        return (gradient + np.sign(weight) * l1) + weight * l2

    def _update(self, name: str, rows, gradient, hypers: dict, rates, clips) -> None:
        if self.segments[name].get("frozen", False):
            return
        coefficients = self._coefficients(name, rates)
        if clips:
            coefficients |= {"segment.l1": 0.0, "segment.l2": 0.0}
        weight = self.params[name]
        sources = {"weight": weight[rows].reshape(-1), "gradient": gradient.reshape(-1)}
        hypers = {**hypers, **coefficients}
        slots = {slot: of[name][rows].reshape(-1) for slot, of in self.slots.items()}
        measure = self.model.functions.get("measure")
        if measure is not None:
            sums = run(self.model, "measure", sources, {}, hypers=hypers, slots=slots)
            for value, total in zip(measure.returns, sums.returns, strict=True):
                hypers[f"segment.{value.name}"] = float(total)
        update = update_name(self.segments[name].get("update", 0))
        result = run(self.model, update, sources, {}, hypers=hypers, slots=slots)
        weight[rows] = result.returns[0].reshape(gradient.shape)
        for slot, value in result.sets.items():
            self.slots[slot][name][rows] = value.reshape(gradient.shape)
