"""Fitted networks as C: `export_c` of estimators."""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from sklearn.utils.validation import check_is_fitted

from slimlearn.backend import files
from slimlearn.backend.export_c import (
    NotExportable,
    Wish,
    fixed,
    is_identifier,
    write_c,
)
from slimlearn.backend.graph import Model, inside
from slimlearn.backend.text import parse_program
from slimlearn.estimators import inputs
from slimlearn.estimators.calibrating import Loss, calibrate
from slimlearn.estimators.heads import ClassifierHead

__all__ = ["Exportable", "ExportedC"]

_PRECISIONS = {"float32": "f32", "float64": "f64", "int8": "f32"}
# What the network reads is what a caller of C has in its hands.
_INPUTS = (
    inputs.DenseInput,
    inputs.ImageInput,
    inputs.NamedInput,
    inputs.SequenceInput,
    inputs.SparseInput,
)


# What autoencoders offer, and what it gives.
_AGAIN = "reconstruct", "reconstruction"


class ExportedC(NamedTuple):
    """What `export_c` wrote.

    Attributes
    ----------
    source, header : str
        Paths of the files.
    arena_bytes : int
        Memory that a call writes to.
    weight_bytes : int
        Constants.
    loss : Loss or None
        What integers of 8 bits lose on the calibration rows: how far results differ,
        the share of classes that stay, and scores.
    """

    source: str
    header: str
    arena_bytes: int
    weight_bytes: int
    loss: Loss | None = None


class Exportable:
    """A mixin: estimators whose networks become files of C."""

    def export_c(
        self,
        path,
        *,
        name: str | None = None,
        precision: str = "float32",
        length: int | None = None,
        arena: str = "static",
        X_calibration=None,
        y_calibration=None,
    ) -> ExportedC:
        """Write the fitted network as C99: a file, and its header beside it.

        The code calls no function but those of ``math.h`` and ``string.h``, allocates
        nothing, and reads and writes no files. ``NAME_predict_proba`` gives the
        probabilities of one row, and ``NAME_predict`` the place of its class in
        ``NAME_labels``; of regressors ``NAME_predict`` gives the numbers themselves.

        Parameters
        ----------
        path : str or path-like
            Of the C file, which ends in ``.c``; the header has its name with ``.h``.
            Older files of these names are replaced once both texts are made.
        name : str, optional
            What all names in the file begin with; the file's name by default.
        precision : {"float32", "float64", "int8"}, default="float32"
            In what it computes. "int8": weights of products, convolutions and
            embeddings are integers of 8 bits, with a scale for each column of weights
            or row of a table; what they are multiplied by is made integers before, with
            a scale that `X_calibration` tells, or inside loops each step. All else is
            float32. What that loses on these rows is printed.
        length : int, optional
            Steps of a sequence, of which C has a fixed number; shorter ones are padded.
            By default those of the longest one in fit, where these differed.
        arena : {"static", "caller"}, default="static"
            Whose memory calls write to: the file's, so that one runs at a time, or
            what the caller gives, so that threads may call at once.
        X_calibration : {array-like, sparse matrix}, optional
            For "int8": some hundred rows such as will come.
        y_calibration : array-like, optional
            Their targets, to tell what a score loses.

        Returns
        -------
        ExportedC
            Paths, bytes of memory and of constants, and what 8 bits lose.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If the name is no identifier of C, a length or calibration rows are missing
            or do not fit, or the network has a layer without code in C; the error names
            it and says what to do.
        OSError
            If a file cannot be written; an older one stays whole.

        See Also
        --------
        save : Model files, which libslim runs from C and other languages.

        Notes
        -----
        It computes one row at a time: what ``predict`` gives for that row alone. A
        number of a category that the network does not know is taken for the nearest
        that it knows: C has no errors to raise.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from slimlearn import DNNClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> clf = DNNClassifier((16,), random_state=0).fit(X, y)
        >>> made = clf.export_c("iris.c")
        >>> made.arena_bytes, made.weight_bytes
        (76, 524)
        """
        check_is_fitted(self, "program_")
        path, header, name = _names(path, name)
        if precision not in list(_PRECISIONS):
            raise ValueError(
                f"precision is {', '.join(map(repr, _PRECISIONS))}; got {precision!r}"
            )
        if arena not in ("static", "caller"):
            raise ValueError(f"arena is 'static' or 'caller'; got {arena!r}")
        if (X_calibration is None) == (precision == "int8"):
            raise ValueError(
                "precision='int8' needs X_calibration, some hundred rows that tell how "
                "large the network's numbers are; other precisions take none"
            )
        model, function, wish = self._exported(name)
        sizes = self._sizes(length)
        program = self.program_
        try:
            network = fixed(
                model,
                function,
                {**program.weights, **program.states},
                sizes,
                _PRECISIONS[precision],
            )
            quantized, loss = None, None
            if precision == "int8":
                data = X_calibration, y_calibration
                quantized, loss = calibrate(self, network, *data)
            wish = wish._replace(
                own_arena=arena == "static", about=[self._about(), *wish.about]
            )
            pages = write_c(network, wish, os.path.basename(header), quantized)
        except NotExportable as error:
            raise NotExportable(f"{type(self).__name__}: {error}") from None
        _write_both(path, header, pages)
        if loss is not None:
            print(f"{type(self).__name__}: {loss}")
        return ExportedC(path, header, pages.arena_bytes, pages.weight_bytes, loss)

    def _exported(self, name: str) -> tuple[Model, str, Wish]:
        """The function that is exported, and what the file offers."""
        if not isinstance(self._input, _INPUTS):
            raise ValueError(
                f"{type(self).__name__} turns X into numbers in Python before its "
                "network sees them, which C exports cannot: export a network that "
                "reads numbers and category numbers, such as NetworkClassifier with "
                "inputs="
            )
        model = parse_program(self.program_.text)
        head = self._head
        if head.by_step:
            raise ValueError(
                f"{type(self).__name__} predicts a sequence for a row, which C exports "
                "do not give: predict in Python, from a file of est.save"
            )
        if isinstance(head, ClassifierHead):
            probable = "predict_proba" in model.functions and head.probabilistic
            function = "predict_proba" if probable else "predict"
            says = "probabilities" if probable else "decisions"
            compute = "predict_proba" if probable else "decision_function"
            labels = None if head.several else _plain(head.classes)
            return model, function, Wish(name, compute, says, labels)
        graph = model.functions["predict"]
        with inside(graph):
            graph.returns = [head.decoded(graph.returns[0])]
        what = ("predict", "prediction") if hasattr(self, "predict") else _AGAIN
        return model, "predict", Wish(name, *what)

    def _sizes(self, length: int | None) -> Mapping[str, int]:
        sequences = isinstance(self._input, inputs.SequenceInput)
        if length is None:
            longest = max(self._input.sizes, default=0) if sequences else 0
            return {"B": 1, "T": longest} if longest else {"B": 1}
        if not sequences:
            raise ValueError(f"length={length!r} is for sequences, and X holds none")
        if not isinstance(length, (int, np.integer)) or length < 1:
            raise ValueError(f"length is a number of steps, at least 1; got {length!r}")
        return {"B": 1, "T": int(length)}

    def _about(self) -> str:
        version = importlib.import_module("slimlearn").__version__
        return f"Written by slimlearn {version} from a {type(self).__name__}."


def _names(path, name: str | None) -> tuple[str, str, str]:
    """The paths of both files, and the name of the network."""
    path = os.path.expanduser(os.fspath(path))
    stem, end = os.path.splitext(path)
    if end != ".c":
        raise ValueError(f"the path of a C file ends in .c; got {path!r}")
    wish = os.path.basename(stem) if name is None else name
    if not isinstance(wish, str) or not is_identifier(wish):
        what = "the file's name" if name is None else "name"
        advice = "say another one by name=" if name is None else "take another one"
        raise ValueError(
            f"{what} {wish!r} is no name in C, which has letters, digits and _, begins "
            f"with a letter and is no word of the language: {advice}"
        )
    return path, f"{stem}.h", wish


def _write_both(path: str, header: str, pages) -> None:
    """Write both files, or leave both as they were."""
    before = None
    if os.path.isfile(header):
        with open(header, encoding="utf-8", errors="surrogateescape") as opened:
            before = opened.read()
    files.write_text(header, pages.header)
    try:
        files.write_text(path, pages.source)
    except OSError:
        with contextlib.suppress(OSError):
            if before is None:
                os.remove(header)
            else:
                files.write_text(header, before)
        raise


def _plain(classes: np.ndarray) -> list:
    """Labels as text or numbers."""
    if classes.dtype.kind == "b":
        return [int(label) for label in classes]
    if classes.dtype.kind in "iuf":
        return classes.tolist()
    return [str(label) for label in classes]
