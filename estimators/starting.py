"""How a fit begins: its program, and the arrays that it trains."""

from __future__ import annotations

import numpy as np

from slimlearn.backend import training
from slimlearn.backend.graph.rounding import COMPUTE_TYPES
from slimlearn.backend.program import Program
from slimlearn.estimators.build import BUILT, Built, last_layer
from slimlearn.estimators.handle import Handle
from slimlearn.estimators.history import History
from slimlearn.estimators.loss_scale import LOSS_SCALE

__all__ = ["Starting"]


class Starting:
    """Makes the program of a fit whose input and head are known."""

    def _precision(self, kind: np.dtype, count: int) -> str:
        wish = self.estimator.precision
        if wish != "auto":
            return "f64" if wish == "float64" else "f32"
        if self.former is not None:
            return self.former["program_"].model.precision
        if kind.kind == "f" and kind.itemsize <= 4:
            return "f32"
        if not self.optimizer.iterative:
            return "f64"
        few = count * self.input.steps <= 1000
        return "f64" if kind.kind == "f" and few else "f32"

    def _compute(self) -> str:
        """What is multiplied is rounded to; "" for nothing."""
        wish = self.estimator.precision
        if wish == "auto" and self.former is not None:
            return self.former["program_"].model.compute
        return wish if wish in COMPUTE_TYPES else ""

    def _built(self, scored: bool) -> Built:
        estimator = self.estimator
        self.frozen = tuple(
            pattern
            for _, callback in self.callbacks
            for pattern in getattr(callback, "freezes", ())
        )
        settings = {
            "precision": self.precision,
            "compute": self.compute,
            "weighted": self.weighted,
            "scored": scored,
            "l2": estimator.l2_regularization > 0,
            "clip": estimator.gradient_clip_norm is not None
            or any(getattr(c, "clips_norm", False) for _, c in self.callbacks),
            "rates": any(getattr(c, "scales_rates", False) for _, c in self.callbacks),
            "frozen": self.frozen,
            "whole": estimator.accumulate == 1 and not self.input.sizes,
            "last": last_layer(
                self.head, None if self.former is None else self.former["program_"]
            ),
        }
        key, head = estimator._network_key(), self.head.key
        if key is not None:
            key = head and (
                *key,
                head,
                self.input.key,
                self.optimizer.structure(),
                *settings.values(),
            )

        def make() -> Built:
            return estimator._build(self.input, self.head, self.optimizer, **settings)

        return make() if key is None else BUILT.get(key, make)

    def _start(self, built: Built, seed: int) -> None:
        """The arrays to train: fresh ones, or copies of the fitted ones."""
        estimator = self.estimator
        self.program = program = built.program.copy()
        self.end_points = built.end_points
        named = "feature_names_in_" in estimator.__dict__
        closely = named or self.origin.foreign
        self.handle = Handle(program, self.input, closely, self.device, strict=True)
        former = self.former
        if former is None:
            self.handle.native.run("init", {}, program, seed=seed)
            bias = self.head.bias()
            if bias is not None and built.bias is not None:
                program.weights[built.bias][...] += bias
            for name, value in self.head.parameters().items():
                program.weights[name][...] = value
            self.progress, self.history = training.Progress(), History()
        else:
            old = former["program_"]
            if _shapes(old) != _shapes(program):
                raise ValueError(
                    f"warm_start: the fitted network and the present parameters of "
                    f"{type(estimator).__name__} make different networks: set "
                    "warm_start=False, or the former parameters"
                )
            known = old.states
            if not known.keys() >= program.states.keys():  # the loss scale is new
                self.handle.native.run("init", {}, program, seed=seed)
            program.params[...] = old.params
            for name, array in program.states.items():
                if name in known:
                    array[...] = known[name]
            moved = self.head.moved(former["_head"])
            if moved is not None and built.bias is not None:
                program.weights[built.bias][...] += moved
            self.progress = former["_progress"].copy()
            self.history = former["history_"].copy()
            slots = self.progress.slots
            dealt = self._dealt()
            if (
                old.model.slots.names() != program.model.slots.names()
                or dealt != self.progress.dealt
                or (slots is not None and slots.size != program.allocate_slots().size)
            ):
                self.progress.slots = None
            if self.progress.slots is None:
                # A fresh optimizer counts its steps from the start.
                self.progress.step, self.progress.memory = 0, None
                self.progress.begun = self.progress.epoch
        self.progress.dealt = self._dealt()
        for name, value in self.head.states().items():
            program.states[name][...] = value

    def _dealt(self) -> tuple[int, ...]:
        """Which optimizer moves each parameter; empty where there is one."""
        if len(self.optimizer.parts) == 1:
            return ()
        return tuple(map(self.optimizer.index_of, self.program.weights))


def _shapes(program: Program) -> list[tuple]:
    declared = [*program.model.parameters, *program.model.states]
    return [(d.name, d.type) for d in declared if d.name not in LOSS_SCALE]
