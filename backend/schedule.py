"""Learning-rate schedules: parameter objects that give one rate per step.

A schedule knows no network and no loss. The trainer asks it for the rates of the
steps ``[start, stop)`` before each epoch; only `Plateau` hears the monitored loss.
"""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

import numpy as np

from slimlearn.backend.parameters import Parameters

__all__ = [
    "SCHEDULES",
    "Constant",
    "Cosine",
    "Exponential",
    "FlatCosine",
    "InverseScaling",
    "OneCycle",
    "Plateau",
    "Schedule",
    "ScheduleName",
    "Step",
    "WarmRestarts",
    "make_schedule",
]


class Schedule(Parameters):
    """Base of the schedules, for your own too: override ``factors``.

    A schedule stores what its constructor is given under the same names, and so clones,
    prints and is searched. The factors of an epoch's steps are asked for at its start
    and trained by natively, as those of the schedules here. It serves the learning
    rate, by ``learning_rate_schedule=``, and other numbers, by ``schedules=``. Define
    it in a module, not in a notebook cell, if models that have it are to be pickled.

    See Also
    --------
    FlatCosine, Cosine, Exponential, InverseScaling, OneCycle, Step, WarmRestarts
    Plateau : Goes by the monitored loss instead of the steps.

    Examples
    --------
    >>> import numpy as np
    >>> from slimlearn import DNNClassifier, Schedule
    >>> class Waves(Schedule):
    ...     def __init__(self, count=4):
    ...         self.count = count
    ...
    ...     def factors(self, step, steps_per_epoch, total_steps):
    ...         part = (step + 0.5) / total_steps
    ...         place = np.log2(1 + (2**self.count - 1) * part)
    ...         return 0.5 * (1 - np.cos(2 * np.pi * place))
    >>> clf = DNNClassifier(learning_rate_schedule=Waves(count=3))
    >>> Waves(2).rates(1.0, 0, 4, steps_per_epoch=2, total_steps=4).round(2).tolist()
    [0.98, 0.07, 0.99, 0.19]
    """

    def rates(
        self,
        learning_rate: float,
        start: int,
        stop: int,
        *,
        steps_per_epoch: int,
        total_steps: int,
        memory: dict | None = None,
    ) -> np.ndarray:
        """Learning rates of the steps ``start, …, stop - 1``.

        Parameters
        ----------
        learning_rate : float
            The base rate that the schedule multiplies.
        start, stop : int
            Steps since the beginning of training, from 0.
        steps_per_epoch, total_steps : int
            Steps of one epoch and of the whole fit.
        memory : dict or None
            What `observe` returned last; only `Plateau` reads it.

        Returns
        -------
        rates : ndarray of shape (stop - start,), float64
        """
        step = np.arange(start, stop, dtype=np.float64)
        factors = self.factors(step, float(steps_per_epoch), float(total_steps))
        rates = np.asarray(learning_rate * factors, dtype=np.float64)
        if rates.shape != step.shape or not (np.isfinite(rates) & (rates >= 0)).all():
            raise ValueError(
                f"{self!r}: factors must give one finite number >= 0 for each of "
                f"{len(step)} steps, got {np.asarray(factors)!r:.80}"
            )
        return np.ascontiguousarray(rates)

    def factors(
        self, step: np.ndarray, steps_per_epoch: float, total_steps: float
    ) -> np.ndarray:
        """What the number is multiplied by in each of these steps.

        It depends on its arguments alone, element by element: which steps are asked
        for together does not matter.

        Parameters
        ----------
        step : ndarray of shape (steps,), float64
            Steps since the beginning of training, from 0.
        steps_per_epoch, total_steps : float
            Steps of one epoch and of the whole fit.

        Returns
        -------
        ndarray of shape (steps,)
            Finite, at least 0.
        """
        raise NotImplementedError(
            f"{type(self).__name__} is a schedule without factors: define "
            "factors(self, step, steps_per_epoch, total_steps)"
        )

    @property
    def goes_by(self) -> str:
        """What the rates depend on: "steps" alone, "epochs" too, or the "length" of
        the whole training."""
        facts = ((1, 100), (1, 200), (2, 100))
        plain, longer, denser = (
            self.rates(1.0, 0, 100, steps_per_epoch=n, total_steps=total)
            for n, total in facts
        )
        if not np.array_equal(plain, longer):
            return "length"
        return "steps" if np.array_equal(plain, denser) else "epochs"

    @property
    def listens(self) -> bool:
        """Whether the rates depend on what `observe` hears."""
        return type(self).observe is not Schedule.observe

    def observe(self, loss: float, memory: dict | None) -> dict | None:
        """Hear the monitored loss of an epoch.

        Parameters
        ----------
        loss : float
            Of validation if there is one; minus the score where a score is watched.
        memory : dict or None
            What the epoch before returned.

        Returns
        -------
        dict or None
            The memory for the next epoch, which `rates` is given.
        """
        return None


class Constant(Schedule):
    """The same rate at every step.

    Examples
    --------
    >>> from slimlearn.backend.schedule import Constant
    >>> Constant().rates(0.1, 0, 3, steps_per_epoch=1, total_steps=3).tolist()
    [0.1, 0.1, 0.1]
    """

    goes_by = "steps"

    def rates(self, learning_rate, start, stop, **counts) -> np.ndarray:
        """As every schedule's, but without a look at the steps."""
        return np.full(stop - start, learning_rate, dtype=np.float64)


class Step(Schedule):
    """The rate is multiplied by `gamma` after every `step_size` epochs.

    Parameters
    ----------
    step_size : int, default=30
        Epochs between two drops.
    gamma : float, default=0.1
        Factor of a drop, in (0, 1].

    Examples
    --------
    >>> from slimlearn.backend.schedule import Step
    >>> halved = Step(step_size=2, gamma=0.5)
    >>> halved.rates(0.1, 0, 4, steps_per_epoch=1, total_steps=4).tolist()
    [0.1, 0.1, 0.05, 0.05]
    """

    def __init__(self, step_size: int = 30, gamma: float = 0.1) -> None:
        self.step_size = step_size
        self.gamma = gamma

    def check(self) -> None:
        self._require("step_size", "a number of epochs > 0", lambda v: v > 0)
        self._require("gamma", "a number in (0, 1]", lambda v: 0 < v <= 1)

    def factors(self, step, steps_per_epoch, total_steps):
        return self.gamma ** (step // (steps_per_epoch * self.step_size))


class Exponential(Schedule):
    """The rate decays smoothly, by the factor `gamma` in each epoch.

    Parameters
    ----------
    gamma : float, default=0.95
        Factor of one epoch, in (0, 1].
    """

    def __init__(self, gamma: float = 0.95) -> None:
        self.gamma = gamma

    def check(self) -> None:
        self._require("gamma", "a number in (0, 1]", lambda v: 0 < v <= 1)

    def factors(self, step, steps_per_epoch, total_steps):
        return self.gamma ** (step / steps_per_epoch)


class Cosine(Schedule):
    """Half a cosine from the rate down to `final` of it, after a linear warm-up.

    It begins anew with each fit of ``warm_start=True``, unless `epochs` are given.

    Parameters
    ----------
    final : float, default=0.0
        The last rate as a fraction of the learning rate, in [0, 1].
    warmup : float, default=0.0
        Fraction of the training that rises linearly from 0, in [0, 1).
    epochs : float or None, default=None
        Epochs that it lasts, since the first fit; the rate stays at the last one then.
        None is those of the fit, which ``partial_fit`` does not know.

    References
    ----------
    Loshchilov and Hutter (2017), SGDR: Stochastic Gradient Descent with Warm
    Restarts, equation 5 with one period. https://arxiv.org/abs/1608.03983
    """

    def __init__(
        self, final: float = 0.0, warmup: float = 0.0, epochs: int | None = None
    ) -> None:
        self.final = final
        self.warmup = warmup
        self.epochs = epochs

    def check(self) -> None:
        _check_epochs(self)
        self._require("final", "a number in [0, 1]", lambda v: 0 <= v <= 1)
        self._require("warmup", "a number in [0, 1)", lambda v: 0 <= v < 1)

    def factors(self, step, steps_per_epoch, total_steps):
        total = _length(self, steps_per_epoch, total_steps)
        rising = self.warmup * total
        return _half_cosine(step, rising, rising, total, self.final)


class FlatCosine(Schedule):
    """The full rate, then half a cosine down to `final` of it, after a warm-up.

    It begins anew with each fit of ``warm_start=True``, unless `epochs` are given.

    Parameters
    ----------
    flat : float, default=0.5
        The fraction of the training at which the cosine begins, in [0, 1).
    final : float, default=0.0
        The last rate as a fraction of the learning rate, in [0, 1].
    warmup : float, default=0.0
        Fraction of the training that rises linearly from 0, in [0, 1).
    epochs : float or None, default=None
        As in `Cosine`.

    References
    ----------
    Holzmüller, Grinsztajn and Steinwart (2024), Better by Default: Strong Pre-Tuned
    MLPs and Boosted Trees on Tabular Data. https://arxiv.org/abs/2407.04491

    Examples
    --------
    >>> from slimlearn import DNNClassifier, FlatCosine
    >>> clf = DNNClassifier(
    ...     dropout=0.15,
    ...     learning_rate_schedule=FlatCosine(warmup=0.02),
    ...     schedules={"dropout": FlatCosine()},
    ... )
    """

    def __init__(
        self,
        flat: float = 0.5,
        final: float = 0.0,
        warmup: float = 0.0,
        epochs: int | None = None,
    ) -> None:
        self.flat = flat
        self.final = final
        self.warmup = warmup
        self.epochs = epochs

    def check(self) -> None:
        _check_epochs(self)
        self._require("flat", "a number in [0, 1)", lambda v: 0 <= v < 1)
        self._require("final", "a number in [0, 1]", lambda v: 0 <= v <= 1)
        self._require("warmup", "a number in [0, 1)", lambda v: 0 <= v < 1)

    def factors(self, step, steps_per_epoch, total_steps):
        total = _length(self, steps_per_epoch, total_steps)
        rising = self.warmup * total
        falling = max(self.flat * total, rising)
        return _half_cosine(step, rising, falling, total, self.final)


class WarmRestarts(Schedule):
    """Half cosines, each starting at the full rate and longer than the one before.

    Parameters
    ----------
    period : float, default=10
        Epochs of the first cosine.
    multiplier : int, default=2
        Each period is that many times the one before; at least 1.
    final : float, default=0.0
        The rate before a restart as a fraction of the learning rate, in [0, 1].

    References
    ----------
    Loshchilov and Hutter (2017), SGDR: Stochastic Gradient Descent with Warm
    Restarts. https://arxiv.org/abs/1608.03983
    """

    def __init__(
        self, period: int = 10, multiplier: float = 2, final: float = 0.0
    ) -> None:
        self.period = period
        self.multiplier = multiplier
        self.final = final

    def check(self) -> None:
        self._require("period", "a number of epochs > 0", lambda v: v > 0)
        self._require("multiplier", "a number >= 1", lambda v: v >= 1)
        self._require("final", "a number in [0, 1]", lambda v: 0 <= v <= 1)

    def factors(self, step, steps_per_epoch, total_steps):
        epoch = step / steps_per_epoch
        period, multiplier = float(self.period), float(self.multiplier)
        if multiplier == 1.0:
            position = np.mod(epoch, period) / period
        else:
            # Periods 1, m, m², … end at period·(mᵏ⁺¹ − 1)/(m − 1).
            grown = epoch * (multiplier - 1.0) / period + 1.0
            cycle = np.floor(np.log(grown) / math.log(multiplier) + 1e-12)
            length = period * multiplier**cycle
            begin = period * (multiplier**cycle - 1.0) / (multiplier - 1.0)
            position = np.clip((epoch - begin) / length, 0.0, 1.0)
        return self.final + (1 - self.final) * 0.5 * (1 + np.cos(math.pi * position))


class OneCycle(Schedule):
    """Up to the learning rate and down again, both as half cosines.

    It begins anew with each fit of ``warm_start=True``, unless `epochs` are given.

    Parameters
    ----------
    peak : float, default=0.3
        Where the rate reaches the learning rate, as a fraction of the training.
    initial_divisor : float, default=25.0
        The first rate is the learning rate divided by this.
    final_divisor : float, default=1e4
        The last rate is the first rate divided by this.
    epochs : float or None, default=None
        As in `Cosine`.

    Notes
    -----
    The first step has the first rate and the last step has the last one, so the last
    hardly moves the weights. The top lies at `peak` of the way between these two; in
    PyTorch it comes one step before `peak` of all steps.

    References
    ----------
    Smith and Topin (2018), Super-Convergence: Very Fast Training of Neural Networks
    Using Large Learning Rates. https://arxiv.org/abs/1708.07120
    """

    def __init__(
        self,
        peak: float = 0.3,
        initial_divisor: float = 25.0,
        final_divisor: float = 1e4,
        epochs: int | None = None,
    ) -> None:
        self.peak = peak
        self.initial_divisor = initial_divisor
        self.final_divisor = final_divisor
        self.epochs = epochs

    def check(self) -> None:
        _check_epochs(self)
        self._require("peak", "a number in (0, 1)", lambda v: 0 < v < 1)
        self._require("initial_divisor", "a number >= 1", lambda v: v >= 1)
        self._require("final_divisor", "a number >= 1", lambda v: v >= 1)

    def factors(self, step, steps_per_epoch, total_steps):
        total = _length(self, steps_per_epoch, total_steps)
        first = 1.0 / self.initial_divisor
        last = first / self.final_divisor
        top = self.peak * max(total - 1.0, 1.0)
        up = np.clip(step / max(top, 1e-300), 0.0, 1.0)
        down = np.clip((step - top) / max(total - 1.0 - top, 1e-300), 0.0, 1.0)
        rising = first + (1.0 - first) * 0.5 * (1 - np.cos(math.pi * up))
        falling = last + (1.0 - last) * 0.5 * (1 + np.cos(math.pi * down))
        return np.where(step < top, rising, falling)


class InverseScaling(Schedule):
    """The rate falls as ``1 / (1 + epoch) ** power``, smoothly within an epoch.

    Parameters
    ----------
    power : float, default=0.5
        Exponent, > 0.
    """

    def __init__(self, power: float = 0.5) -> None:
        self.power = power

    def check(self) -> None:
        self._require("power", "a number > 0", lambda v: v > 0)

    def factors(self, step, steps_per_epoch, total_steps):
        return (1.0 + step / steps_per_epoch) ** -self.power


class Plateau(Schedule):
    """The rate is multiplied by `factor` when the monitored loss stops falling.

    The monitored loss is the validation loss where there is one, else the training
    loss.

    Parameters
    ----------
    factor : float, default=0.1
        Factor of a drop, in (0, 1).
    n_iter_no_change : int >= 1, default=5
        Epochs in a row without an improvement after which it drops, counted as early
        stopping counts them.
    tol : float, default=1e-4
        Least relative improvement that counts.
    minimum : float, default=0.0
        The rate does not fall below this fraction of the learning rate.

    Examples
    --------
    >>> from slimlearn.backend.schedule import Plateau
    >>> plateau, memory = Plateau(factor=0.5, n_iter_no_change=1), None
    >>> for loss in (1.0, 1.0):
    ...     memory = plateau.observe(loss, memory)
    >>> plateau.rates(0.1, 2, 3, steps_per_epoch=1, total_steps=9, memory=memory)
    array([0.05])
    """

    _elsewhere = {  # noqa: RUF012
        "patience": "n_iter_no_change",
        "threshold": "tol",
        "min_delta": "the least improvement is tol, relative to the loss",
        "min_lr": "the lowest rate is minimum, a fraction of the learning rate",
        "gamma": "factor",
        "mode": "losses are known to fall",
        "monitor": "it goes by the validation loss where there is one, else the loss",
    }

    def __init__(
        self,
        factor: float = 0.1,
        n_iter_no_change: int = 5,
        tol: float = 1e-4,
        minimum: float = 0.0,
    ) -> None:
        self.factor = factor
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.minimum = minimum

    def check(self) -> None:
        self._require("factor", "a number in (0, 1)", lambda v: 0 < v < 1)
        self._require("n_iter_no_change", "an int >= 1", lambda v: v >= 1, whole=True)
        self._require("tol", "a number >= 0", lambda v: v >= 0)
        self._require("minimum", "a number in [0, 1]", lambda v: 0 <= v <= 1)

    def rates(
        self,
        learning_rate: float,
        start: int,
        stop: int,
        *,
        steps_per_epoch: int,
        total_steps: int,
        memory: dict | None = None,
    ) -> np.ndarray:
        """Learning rates of the steps; see `Schedule.rates`."""
        factor = 1.0 if memory is None else memory["factor"]
        return np.full(stop - start, learning_rate * factor, dtype=np.float64)

    def observe(self, loss: float, memory: dict | None) -> dict | None:
        """Hear the monitored loss of an epoch; returns the memory for the next one."""
        best, waited, factor = math.inf, 0, 1.0
        if not math.isfinite(loss):
            raise ValueError(
                f"{self!r} goes by a loss that is {loss}, which is neither better nor "
                "worse than another: look for values in X_val that are far from those "
                "of X, or choose another schedule or scoring"
            )
        if memory is not None:
            best, waited, factor = memory["best"], memory["waited"], memory["factor"]
        if loss < best - self.tol * abs(best) or best == math.inf:
            best, waited = loss, 0
        else:
            waited += 1
            if waited >= self.n_iter_no_change:
                factor, waited = max(factor * self.factor, self.minimum), 0
        return {"best": best, "waited": waited, "factor": factor}


def _length(schedule, steps_per_epoch: float, total_steps: float) -> float:
    """The steps that a schedule of its own `epochs`, or of the training, lasts."""
    own = schedule.epochs
    return total_steps if own is None else own * steps_per_epoch


def _half_cosine(step, rising: float, falling: float, total: float, final: float):
    """Up until `rising`, 1 until `falling`, down to `final` at `total`, in steps."""
    done = np.clip((step - falling) / max(total - falling, 1.0), 0.0, 1.0)
    down = final + (1 - final) * 0.5 * (1 + np.cos(math.pi * done))
    return np.where(step < rising, (step + 1) / max(rising, 1.0), down)


def _check_epochs(schedule: Cosine | FlatCosine | OneCycle) -> None:
    if schedule.epochs is not None:
        schedule._require("epochs", "a number of epochs > 0 or None", lambda v: v > 0)


SCHEDULES = {
    "constant": Constant,
    "step": Step,
    "exponential": Exponential,
    "cosine": Cosine,
    "flat_cosine": FlatCosine,
    "warm_restarts": WarmRestarts,
    "one_cycle": OneCycle,
    "inverse_scaling": InverseScaling,
    "plateau": Plateau,
}
ScheduleName: TypeAlias = Literal[
    "constant", "step", "exponential", "cosine", "flat_cosine", "warm_restarts",
    "one_cycle", "inverse_scaling", "plateau",
]  # fmt: skip


def make_schedule(schedule: ScheduleName | Schedule) -> Schedule:
    """The schedule that a name or a parameter object stands for, checked.

    Raises
    ------
    ValueError
        If the name is unknown or a parameter is out of its range.
    """
    if isinstance(schedule, str):
        if schedule not in SCHEDULES:
            raise ValueError(
                f"learning_rate_schedule={schedule!r} is not known: give one of "
                f"{', '.join(map(repr, SCHEDULES))} or a schedule object."
            )
        return SCHEDULES[schedule]()
    schedule.check()
    return schedule
