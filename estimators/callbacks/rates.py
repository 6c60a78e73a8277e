"""Callbacks that change the steps: learning rates, clipping, frozen parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from numbers import Real

from slimlearn.backend.schedule import Schedule, ScheduleName, make_schedule
from slimlearn.estimators.callbacks.base import Callback

__all__ = ["GradientClipping", "LayerRates", "LearningRateScheduler", "ParamFreezer"]


class LearningRateScheduler(Callback):
    """Set the learning rate by a schedule or a function.

    Parameters
    ----------
    schedule : str, schedule object or callable
        A schedule takes the place of ``learning_rate_schedule``. A function
        ``schedule(epoch, learning_rate)`` is called before each epoch, from 1, with
        the base rate so far, and returns the new one. Each fit, and so each call of
        ``partial_fit``, begins with the estimator's own: go by `epoch` there.
    monitor : str or None, default=None
        The column of the record that a schedule such as Plateau goes by; None is what
        the estimator watches.
    """

    def __init__(
        self,
        schedule: ScheduleName | Schedule | Callable[[int, float], float],
        monitor: str | None = None,
    ) -> None:
        self.schedule = schedule
        self.monitor = monitor

    def on_fit_begin(self, state) -> None:
        """Take over the schedule, or ask for the first epoch's rate."""
        state.require_steps("learning rate")
        if callable(self.schedule):
            self._ask(state)
        else:
            schedule = make_schedule(self.schedule)
            state.check_schedule("LearningRateScheduler: schedule", schedule)
            state.settings.schedule = schedule

    def on_epoch_end(self, state) -> None:
        """Set the next epoch's rate."""
        if callable(self.schedule):
            self._ask(state)
        elif self.monitor is not None:
            column = state.column(self.monitor, repr(self))
            state.monitored = state.loss_of(column)

    def _ask(self, state) -> None:
        state.learning_rate = self.schedule(state.epoch + 1, state.learning_rate)


class GradientClipping(Callback):
    """Limit the gradient of every step.

    Parameters
    ----------
    norm : float > 0 or None, default=None
        Largest norm of the whole gradient; as ``gradient_clip_norm``.
    value : float > 0 or None, default=None
        Largest size of one element; applied before `norm`.

    Notes
    -----
    The gradient is that of the loss and all penalties, `l2_regularization` and the
    regularizers of layers among them. Decoupled decay is not limited.
    """

    def __init__(self, norm: float | None = None, value: float | None = None) -> None:
        self.norm = norm
        self.value = value

    @property
    def clips_norm(self) -> bool:
        """Whether the program has to be built with a scale of the gradient."""
        return self.norm is not None

    def on_fit_begin(self, state) -> None:
        """Set both limits."""
        state.require_steps("gradient clipping")
        for name in ("norm", "value"):
            if getattr(self, name) is not None:
                self._require(name, "greater than 0 or None", lambda v: v > 0)
        if self.norm is not None:
            state.settings.clip_norm = float(self.norm)
        if self.value is not None:
            state.settings.clip_value = float(self.value)


class LayerRates(Callback):
    """Give layers learning rates of their own.

    Parameters
    ----------
    rates : dict of str to float
        By names of layers or parameters, with the wildcards of `fnmatch`: what the
        learning rate is multiplied by there, as in ``{"*": 0.1, "logits": 1.0}``. Of
        several that fit, the last one counts; where none fits it is 1.

    Attributes
    ----------
    rates_ : dict of str to float
        The factor of each parameter that has one.

    See Also
    --------
    ParamFreezer : Layers that are not trained at all; their gradients cost nothing.
    StartFrom : Begins with given weights.

    Notes
    -----
    The schedule of the learning rate, and a weight decay that goes by it, are
    multiplied too. Factors that variables have themselves (`learning_rate_factor` of
    `layers.model_variable`) are multiplied by those given here.
    """

    scales_rates = True

    def __init__(self, rates: Mapping[str, float]) -> None:
        self.rates = rates

    def on_fit_begin(self, state) -> None:
        """Set the factors."""
        state.require_steps("learning rate of a layer")
        if not isinstance(self.rates, Mapping) or not self.rates:
            raise TypeError(
                "The 'rates' parameter of LayerRates must be a dict from names of "
                f"layers to factors. Got {self.rates!r} instead."
            )
        self.rates_ = {}
        for pattern, factor in self.rates.items():
            number = isinstance(factor, Real) and not isinstance(factor, bool)
            if not (number and 0 <= factor < float("inf")):
                raise ValueError(
                    f"LayerRates: the factor of {pattern!r} must be a number >= 0, got "
                    f"{factor!r}"
                )
            names = state.scale_rate(pattern, float(factor))
            self.rates_.update(dict.fromkeys(names, float(factor)))


class ParamFreezer(Callback):
    """Leave parameters as they are, for all epochs or the first ones.

    Parameters
    ----------
    patterns : str or list of str
        Names of layers or parameters, such as ``"fc1"`` or ``"conv*/weights"``, with
        the wildcards of `fnmatch`.
    until : int >= 1 or None, default=None
        Epochs after which they are trained again; None is never.

    Attributes
    ----------
    frozen_ : list of str
        The parameters that were frozen.

    Notes
    -----
    The running averages of a batch normalization are no parameters, and go on: build
    the frozen part with ``arg_scope([layers.batch_norm], is_training=False)`` to keep
    them, and to normalize by them. What is frozen for good has no gradients, so that
    steps do not go back through frozen first layers.
    """

    def __init__(self, patterns: str | Sequence[str], until: int | None = None) -> None:
        self.patterns = patterns
        self.until = until

    @property
    def freezes(self) -> tuple[str, ...]:
        """Patterns of what the program can be built without gradients for."""
        if self.until is not None:
            return ()
        one = isinstance(self.patterns, str)
        return (self.patterns,) if one else tuple(self.patterns)

    def on_fit_begin(self, state) -> None:
        """Freeze."""
        if self.until is not None:
            self._require("until", "an int >= 1 or None", lambda v: v >= 1, whole=True)
            state.require_steps("freezing of a part of the epochs")
            state.require_epochs("ParamFreezer(until=...)")
            self._from = state.epoch
        self.frozen_ = state.freeze(self.patterns)

    def set_state(self, saved: dict, state) -> None:
        """Free them if their time had come before the checkpoint."""
        if self.until is not None and state.epoch - self._from >= self.until:
            state.unfreeze(self.frozen_)

    def on_epoch_end(self, state) -> None:
        """Free them when their time has come."""
        if self.until is not None and state.epoch - self._from == self.until:
            state.unfreeze(self.frozen_)
