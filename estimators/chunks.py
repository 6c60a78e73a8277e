"""Fits on data that comes in chunks, because it does not fit in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count

import numpy as np
from sklearn.utils import get_tags

from slimlearn.backend import training
from slimlearn.estimators import validation
from slimlearn.estimators.callbacks.run import note
from slimlearn.estimators.fitting import Fitting
from slimlearn.estimators.holdout import held_out
from slimlearn.estimators.labels import (
    class_weighted,
    is_balanced,
    local_codes,
    outputs_of,
)
from slimlearn.estimators.rows import Rows
from slimlearn.estimators.summary import Summary

__all__ = ["ChunkFitting"]

_FORM = "(X, y) or (X, y, sample_weight)"
_AGAIN = "chunks that can be iterated again, such as a list"


class Chunks:
    """A user's chunks, numbered from 1; one of them is held at a time.

    Parameters
    ----------
    chunks : iterable, or function that returns an iterator
    epochs : int
    alone : bool, default=False
        Whether a chunk can be X alone.

    Attributes
    ----------
    once : bool
        Whether they can be iterated only once.

    Raises
    ------
    TypeError
        If they are neither.
    ValueError
        If they can be iterated only once, and there are several epochs.
    """

    def __init__(
        self,
        chunks: Iterable | Callable[[], Iterator],
        epochs: int,
        alone: bool = False,
    ):
        self._alone = alone
        iterable = hasattr(chunks, "__iter__")
        if not (iterable or callable(chunks)):
            raise TypeError(
                f"chunks must be a list or another iterable of {_FORM}, or a function "
                f"that returns an iterator of these; got {type(chunks).__name__}"
            )
        self._begin = chunks.__iter__ if iterable else chunks
        self._passes = 0
        self._first: tuple | None = None
        self.once = hasattr(chunks, "__next__") and iter(chunks) is chunks
        if self.once and epochs > 1:
            raise ValueError(
                f"chunks is a {type(chunks).__name__}, which can be iterated only "
                f"once, and max_iter={epochs} epochs iterate over it as often: give a "
                "list, an object whose __iter__ begins anew, or the function that "
                "makes the iterator; or set max_iter=1"
            )

    def first(self) -> tuple:
        """The first chunk; where there is one pass only, that has it too."""
        if self._first is not None:
            return self._first
        first = next(iter(self))
        if self.once:
            self._first = first
        return first

    def __iter__(self) -> Iterator[tuple]:
        """The number of each chunk, its X, y, and sample_weight or None."""
        if self._first is None:
            self._passes += 1
        else:
            yield self._first
        numbers = count(1 if self._first is None else 2)
        self._first = None
        chunks = iter(self._begin())
        for number in numbers:
            try:
                chunk = next(chunks)
            except StopIteration:
                break
            except Exception as error:
                note(error, f"raised by chunks, after chunk {number - 1}")
                raise
            if self._alone and not isinstance(chunk, tuple):
                chunk = chunk, None
            if not (isinstance(chunk, (tuple, list)) and len(chunk) in (2, 3)):
                shape = f" of shape {chunk.shape}" if hasattr(chunk, "shape") else ""
                raise TypeError(
                    f"chunk {number} must be {_FORM}; got {type(chunk).__name__}{shape}"
                )
            chunk = (number, *chunk, *[None] * (3 - len(chunk)))
            yield chunk
            del chunk  # before the next one is loaded
        if number == 1:
            again = self._passes > 1
            raise ValueError(
                "chunks gave no chunk"
                + " when iterated again: its iterator must begin anew" * again
            )


class _Epochs:
    """What begins anew each time it is iterated."""

    def __init__(self, begin: Callable[[], Iterator]):
        self._begin = begin

    def __iter__(self) -> Iterator:
        return self._begin()


class ChunkFitting(Fitting):
    """One call of fit_chunks.

    Parameters
    ----------
    estimator, epochs, resume, classes, watchers
        As in `Fitting`.
    """

    def _prepare(self, chunks, X_val, y_val, sample_weight_val):
        alone = not get_tags(self.estimator).target_tags.required
        self.chunks = Chunks(chunks, self.epochs, alone)
        self.partial = self.chunks.once
        self.like: Rows | None = None
        self.classes = None
        self._refuse_settings(X_val)
        summary = self._summarise()
        seed = self._seed()
        held = held_out(
            self.estimator,
            self.input,
            self.like,
            self.classes,
            X_val,
            y_val,
            sample_weight_val,
            seed,
        )
        self._ready(self.like, held, summary, seed)
        self.parts = _Epochs(self._epoch)
        return None, held

    def _refuse_settings(self, X_val) -> None:
        """What chunks cannot give."""
        estimator = self.estimator
        if estimator.early_stopping and X_val is None:
            if estimator.validation_fraction is not None:
                raise ValueError(
                    "early_stopping holds out no rows of chunks: give X_val and y_val, "
                    "or set validation_fraction=None to watch the training loss"
                )
            if estimator.scoring != "loss":
                raise ValueError(
                    f"early_stopping by scoring={estimator.scoring!r} needs X_val and "
                    "y_val: the rows of all chunks are never there together"
                )
        if self.given_classes is not None:
            if estimator._regression:
                raise ValueError("classes is for classifiers: a regressor has none")
            if self.former is not None:
                estimator._check_classes(self.given_classes)
        if not self.chunks.once:
            return
        again = _AGAIN
        if not (estimator._regression or self.former) and self.given_classes is None:
            raise ValueError(
                "classes must be passed for chunks that can be iterated only once"
            )
        if is_balanced(getattr(estimator, "class_weight", None)):
            raise ValueError(
                f"balanced class weights need {again}: or pass class_weight as a dict"
            )
        for name, schedule in self.schedules.items():
            self.check_schedule(f"schedules[{name!r}]", schedule)
        self.check_schedule("learning_rate_schedule", self.schedule)

    def check_schedule(self, name, schedule) -> None:
        if self.chunks.once and schedule.goes_by != "steps":
            raise ValueError(
                f"{name}={schedule!r} goes by the number of steps, and so needs "
                f"{_AGAIN}"
            )

    # -- before the first step ------------------------------------------------------

    def _summarise(self) -> Summary:
        """The facts of all chunks, or of the first where they come only once."""
        estimator, self.factors = self.estimator, None
        summary = self._scan()
        if not estimator._regression and self.classes is None:
            self.classes = summary.labels
            if self.like.y.ndim == 1:
                [self.classes] = summary.labels
            elif self.indicator:
                self.classes = np.arange(len(summary.labels))
        if getattr(estimator, "class_weight", None) is not None:
            shape = self.like.y.shape[1:]
            factors = estimator._class_factors(self.classes, shape, summary)
            if shape:
                self.label_factors = factors
            else:
                [self.factors] = factors
                summary = self._scan()
        if summary.rows == 0:
            raise ValueError(
                "Sample weights must contain at least one non-zero number."
            )
        if self.chunks.once:
            self.sizes = None
            if self.weighing or self.factors is not None:
                # Those that are still to come may have other weights.
                summary = replace(summary, low=0.0)
        return summary

    def _head_of(self, shape, summary):
        head = super()._head_of(shape, summary)
        former = self.former and self.former["_head"]
        if self.chunks.once and head is not former:
            head.settle(
                "does not vary in the first chunk, by which it is centred and scaled "
                "where chunks can be iterated only once: begin with one in which it "
                f"varies, or give {_AGAIN}"
            )
        return head

    def _scan(self) -> Summary:
        summary, self.sizes, self.indicator = None, [], True
        chunks = [self.chunks.first()] if self.chunks.once else self.chunks
        for number, *data in chunks:
            with _naming(number):
                part = self._summary(*data)
                summary = part if summary is None else summary.add(part)
            self.sizes.append(part.rows)
            del data
        return summary

    def _summary(self, X, y, sample_weight) -> Summary:
        """The facts of one chunk; the first tells what the others have to be like."""
        if self.like is None:
            self._look_at(X, y)
        rows = self._checked(X, y, sample_weight)
        if self.classes is None and not self.estimator._regression:
            labels, rows.target, indicator = local_codes(rows.y)
            self.indicator = self.indicator and indicator
        else:
            labels = self._encode(rows)
        rows.drop_weightless()
        target = rows.pick(rows.target)
        if labels is None and len(target):
            self.head.check(target)
        return Summary.of(target, rows.pick(rows.weights), labels)

    def _checked(self, X, y, sample_weight) -> Rows:
        """A chunk as rows whose target is still missing."""
        estimator, like = self.estimator, self.like
        first = like is None
        input = estimator._new_input() if first else self.input
        if first:
            input.more = True
        X, y = estimator._checked(input, X, y, reset=first and self.former is None)
        X = self._see(input, X) if first else self.input.alike(X, "X")
        weights = validation.check_weights(
            sample_weight, X, some=False, absent=input.absent
        )
        weighing = sample_weight is not None
        if first:
            self.like = Rows(None, y[:1].copy(), None, None)
            self.weighing = weighing
            if estimator._regression or self.former or self.given_classes is not None:
                self.classes, _ = estimator._encode_target(
                    y, self.former, self.given_classes
                )
            if estimator._regression:
                self.head = self.former["_head"] if self.former else None
                self.head = self.head or estimator._new_head(y.shape[1:])
        elif y.shape[1:] != like.y.shape[1:]:
            raise ValueError(
                f"y has shape {y.shape}, but that of chunk 1 had {like.y.shape[1:]} "
                "behind its rows"
            )
        elif weighing != self.weighing:
            has, had = ("has no", "has") if self.weighing else ("has", "has none")
            raise ValueError(
                f"it {has} sample_weight, and chunk 1 {had}: give it in all or none"
            )
        return Rows(X, y, None, weights)

    def _encode(self, rows: Rows) -> list[np.ndarray] | None:
        """Set the target and multiply the weights; the labels of each output."""
        rows.target = self.estimator._encode_held_out(rows.y, self.classes)
        if self.factors is not None:
            rows.weights = class_weighted(self.factors, rows.weights, rows.target)
        if self.classes is None:
            return None
        return outputs_of(self.classes, rows.y.ndim == 2)

    # -- epochs ---------------------------------------------------------------------

    def _epoch(self) -> Iterator[training.Part]:
        for number, *data in self.chunks:
            part = self._loaded(number, *data)
            del data
            if len(part):
                yield part
            del part  # before the next one is loaded

    def _loaded(self, number: int, X, y, sample_weight) -> training.Part:
        with _naming(number):
            rows = self._checked(X, y, sample_weight)
            self._encode(rows)
            rows.drop_weightless()
            part = self._part(rows)
            part.name = f"chunk {number}"
            return part

    def _first_part(self) -> training.Part:
        return self._loaded(*self.chunks.first())

    def facts(self) -> list:
        return [self.sizes, self.summary]


@contextmanager
def _naming(number: int):
    """Say in which chunk an error was."""
    try:
        yield
    except (ValueError, TypeError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"chunk {number}: {error}") from error
