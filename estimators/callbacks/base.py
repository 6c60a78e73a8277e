"""What a callback is: a parameter object with hooks, and the names that lists give."""

from __future__ import annotations

import difflib
import pickle
from typing import Any

from sklearn.base import clone

from slimlearn.backend.parameters import Parameters

__all__ = [
    "HOOKS",
    "Callback",
    "are_callbacks",
    "fresh_callbacks",
    "named_callbacks",
]

HOOKS = ("on_fit_begin", "on_step_end", "on_epoch_end", "on_fit_end")

# Hooks of other libraries, and what comes nearest to them.
_ELSEWHERE = {
    "on_fit_start": "on_fit_begin",
    "on_train_begin": "on_fit_begin",
    "on_train_start": "on_fit_begin",
    "on_train_end": "on_fit_end",
    "on_epoch_start": "on_epoch_end",
    "on_epoch_finish": "on_epoch_end",
    "on_train_epoch_end": "on_epoch_end",
    "on_validation_end": "on_epoch_end",
    "on_validation_epoch_end": "on_epoch_end",
    "on_test_end": "on_epoch_end",
    "on_batch_begin": "on_step_end",
    "on_batch_end": "on_step_end",
    "on_train_batch_begin": "on_step_end",
    "on_train_batch_end": "on_step_end",
    "on_grad_computed": "on_step_end",
}


class Callback(Parameters):
    """Base of the callbacks; override the hooks that you need.

    The constructor stores its parameters under their names, as estimators do. `fit`
    works on clones, so everything else a callback holds begins anew with each fit; end
    the names of results in ``_`` and find them in ``callbacks_``. Parameters that
    cannot be copied, such as a lock, a connection or an open file, are shared by the
    clones.

    Examples
    --------
    >>> from slimlearn import DNNClassifier
    >>> from slimlearn.estimators.callbacks import Callback
    >>> class Enough(Callback):
    ...     def __init__(self, loss=0.3):
    ...         self.loss = loss
    ...     def on_epoch_end(self, state):
    ...         return state.row["loss"] < self.loss
    >>> clf = DNNClassifier(callbacks=[("enough", Enough(loss=0.5))], random_state=0)
    >>> clf = clf.fit([[0.0], [1.0], [2.0], [3.0]] * 50, [0, 0, 1, 1] * 50)
    >>> clf.n_iter_ < 100 and clf.loss_ < 0.5
    True
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        _refuse_unknown_hooks(cls)

    # After how many steps, or about how many seconds, on_step_end is called.
    every_steps: int | None = 1
    every_seconds: float | None = None
    # Whether others come first, of 2 those that are last, too; and whether a fit that
    # this one stopped is complete.
    last: bool | int = False
    final = True

    def __sklearn_clone__(self):
        return type(self)(**{k: _copied(v) for k, v in self.get_params().items()})

    def on_fit_begin(self, state) -> None:
        """Called before the first step: open files, set the learning rate, freeze.

        Parameters
        ----------
        state : FitState
        """

    def on_step_end(self, state) -> bool | None:
        """Called inside epochs, after every `every_steps` steps of the training.

        `every_steps` is an attribute, or a parameter, of the callback: 1 unless it says
        otherwise, counted from the first step of the first fit. With `every_seconds`
        it is called about so often. ``state.step``, ``state.epoch_step`` and
        ``state.loss`` say where the fit stands. Returning True ends the fit there: the
        epoch counts as done, with the steps that it had. Not called for L-BFGS.

        Parameters
        ----------
        state : FitState

        Returns
        -------
        bool or None
        """

    def on_epoch_end(self, state) -> bool | None:
        """Called after each epoch, or iteration of L-BFGS; returning True stops.

        Parameters
        ----------
        state : FitState

        Returns
        -------
        bool or None
        """

    def on_fit_end(self, state) -> None:
        """Called at the end, after an error or Ctrl-C too: close what was opened.

        Parameters
        ----------
        state : FitState
        """

    def get_state(self) -> dict:
        """What a checkpoint keeps of this callback: numbers, strings, arrays."""
        return {}

    def set_state(self, saved: dict, state) -> None:
        """Called after `on_fit_begin` in a fit that goes on from a checkpoint.

        Parameters
        ----------
        saved : dict
            What `get_state` gave.
        state : FitState
        """


def _copied(value):
    """A clone of a parameter; itself where there can be no second one."""
    try:
        return clone(value, safe=False)
    except (TypeError, NotImplementedError, pickle.PicklingError):
        return value


def _refuse_unknown_hooks(kind: type) -> None:
    """Refuse methods that look like hooks, and that nothing would call."""
    for name in kind.__dict__:
        # What a base of another library declares is called by that library.
        if not name.startswith("on_") or any(hasattr(b, name) for b in kind.__bases__):
            continue
        if name in HOOKS:
            continue
        close = difflib.get_close_matches(name, HOOKS, n=1, cutoff=0.75)
        found = _ELSEWHERE.get(name) or (close[0] if close else None)
        told = f" ({found} comes nearest)" if found else ""
        raise TypeError(
            f"{kind.__name__}.{name} would never be called: the hooks of a callback "
            f"are {', '.join(HOOKS)}{told}; a method of another purpose needs a name "
            "without on_"
        )


def _hooked(callback) -> bool:
    return not isinstance(callback, type) and any(hasattr(callback, h) for h in HOOKS)


def _split(entry) -> tuple[str | None, object]:
    if isinstance(entry, tuple) and len(entry) == 2 and isinstance(entry[0], str):
        return entry
    return None, entry


def are_callbacks(value) -> bool:
    """Whether `value` is a list of callbacks, or of (name, callback or None)."""
    if not isinstance(value, (list, tuple)):
        return False
    names = []
    for entry in value:
        name, callback = _split(entry)
        if not (_hooked(callback) or (name is not None and callback is None)):
            return False
        if name is not None:
            names.append(name)
    return len(set(names)) == len(names) and not any("__" in n for n in names)


def named_callbacks(value) -> list[tuple[str, object]]:
    """Pairs of name and callback; a callback without a name gets its class's.

    The name is in lower case, with ``-2``, ``-3`` … where it is taken.
    """
    if not are_callbacks(value):
        return []
    taken = {name for name, _ in map(_split, value) if name is not None}
    found = []
    for name, callback in map(_split, value):
        if name is None:
            stem = name = type(callback).__name__.lower()
            count = 1
            while name in taken:
                count += 1
                name = f"{stem}-{count}"
            taken.add(name)
        found.append((name, callback))
    return found


def fresh_callbacks(value) -> list[tuple[str, object]]:
    """Clones of the callbacks that are switched on, by name."""
    for _, callback in named_callbacks(value):
        if callback is not None and not isinstance(callback, Callback):
            _refuse_unknown_hooks(type(callback))
    return [
        (name, _fresh(name, callback))
        for name, callback in named_callbacks(value)
        if callback is not None
    ]


def _fresh(name: str, callback):
    try:
        return clone(callback, safe=False)
    except (TypeError, pickle.PicklingError) as error:
        raise TypeError(
            f"callback {name!r} cannot be copied ({error}), and fit works on copies: "
            f"derive {type(callback).__name__} from slimlearn.callbacks.Callback, "
            "which shares such parameters, make it in on_fit_begin, or define "
            "__sklearn_clone__"
        ) from error
