"""Fitted models as C: `export_c`, the method and the function."""

from __future__ import annotations

import contextlib
import importlib
import os
import textwrap
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from sklearn.utils.validation import check_is_fitted

from slimlearn.backend import files
from slimlearn.backend.export_c import (
    NotExportable,
    fixed,
    is_identifier,
    write_c,
)
from slimlearn.estimators.exports.calibrating import Loss, calibrate

if TYPE_CHECKING:
    from slimlearn.backend.graph import Tensor
    from slimlearn.estimators.exports.networks import Exported

__all__ = ["Exportable", "ExportedC", "export_c"]

# Categories of a column that a header names.
_LISTED = 200
_PRECISIONS = {"float32": "f32", "float64": "f64", "int8": "f32"}


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
    categories : dict
        Of columns of texts that stand for numbers in C: their values in the order of
        the numbers, by the column's name or place. The header has them too.
    """

    source: str
    header: str
    arena_bytes: int
    weight_bytes: int
    loss: Loss | None = None
    categories: dict = MappingProxyType({})


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
        options = (name, precision, length, arena, X_calibration, y_calibration)
        return _export(self, self, path, *options)

    # -- what is written: estimators whose networks are not one have their own ---------

    def _exported(self, name: str) -> Exported:
        """The function that is exported, and what the file offers."""
        from slimlearn.estimators.exports.networks import exported_network

        return exported_network(self, name)

    def _exported_step(self, name: str) -> Exported:
        """What the steps behind this one in a pipeline get."""
        return self._exported(name)

    def _export_sources(self, X) -> dict:
        """What the function reads of checked rows, by source."""
        from slimlearn.estimators.exports.networks import sources_of

        return sources_of(self, X)

    def _export_columns(self, source: str, x: Tensor) -> Tensor:
        """What a source is of a pipeline's rows [B, columns], as graph."""
        from slimlearn.estimators.exports.networks import columns_of

        return columns_of(self, source, x)

    def _sizes(self, length: int | None) -> Mapping[str, int]:
        from slimlearn.estimators.exports.networks import sizes_of

        return sizes_of(self, length)


def export_c(
    model,
    path,
    *,
    name: str | None = None,
    precision: str = "float32",
    length: int | None = None,
    arena: str = "static",
    X_calibration=None,
    y_calibration=None,
) -> ExportedC:
    """Write a fitted model as C99: a network, or a pipeline that ends in one.

    Parameters
    ----------
    model : estimator
        Of slimlearn, or a `Pipeline` whose last step is one of slimlearn. What stands
        before it is computed in C too: scalers, imputers, encoders of numbers,
        selectors, `PCA`, `ColumnTransformer` and `FeatureUnion` of these.
    path, name, precision, length, arena, X_calibration, y_calibration
        As in the method `export_c` of estimators; calibration rows are those of the
        pipeline.

    Returns
    -------
    ExportedC
        Paths, bytes of memory and of constants, and what 8 bits lose.

    Raises
    ------
    NotFittedError
        If the model is not fitted.
    TypeError
        If there is no network at its end.
    ValueError
        As in the method; or if a step has no code in C, which the error names.

    Notes
    -----
    A row in C has a number for each column of X. Where a column has categories that are
    texts, the number is its place among the texts that the encoder knows, which the
    header and ``categories`` of the result tell.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> import slimlearn
    >>> X, y = load_iris(return_X_y=True)
    >>> net = slimlearn.DNNClassifier((16,), random_state=0)
    >>> pipe = make_pipeline(StandardScaler(), net).fit(X, y)
    >>> slimlearn.export_c(pipe, "iris.c").weight_bytes
    572
    """
    options = (name, precision, length, arena, X_calibration, y_calibration)
    if isinstance(model, Exportable):
        return _export(model, model, path, *options)
    from slimlearn.estimators.exports.pipelines import Piped

    piped = Piped(model)
    return _export(piped, piped.last, path, *options)


def _export(
    model,
    last,
    path,
    name,
    precision: str,
    length,
    arena: str,
    X_calibration,
    y_calibration,
) -> ExportedC:
    """Write what `model` is made of; `last` is what tells its results."""
    check_is_fitted(last)
    who = type(last).__name__
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
    made = model._exported(name)
    sizes = last._sizes(length)
    try:
        network = fixed(
            made.model, made.function, made.arrays, sizes, _PRECISIONS[precision]
        )
        quantized, loss = None, None
        if precision == "int8":
            sources = model._export_sources(X_calibration)
            quantized, loss = calibrate(made, network, sources, y_calibration)
        version = importlib.import_module("slimlearn").__version__
        about = f"Written by slimlearn {version} from a {made.who}."
        lines = [about, *_ordered(model, network), *made.wish.about]
        lines += _told(made.categories)
        wish = made.wish._replace(own_arena=arena == "static", about=_wrapped(lines))
        pages = write_c(network, wish, os.path.basename(header), quantized)
    except NotExportable as error:
        raise NotExportable(f"{who}: {error}") from None
    _write_both(path, header, pages)
    if loss is not None:
        print(f"{who}: {loss}")
    sizes = pages.arena_bytes, pages.weight_bytes
    return ExportedC(path, header, *sizes, loss, dict(made.categories))


def _ordered(model, network) -> list[str]:
    """Lines of the header: the names of X's columns, where a row is all of them."""
    names = getattr(model, "feature_names_in_", ())
    inputs = [node.results[0] for node in network.graph.nodes if node.op == "input"]
    if [tensor.shape[1:] for tensor in inputs] != [(len(names),)]:
        return []
    return ["", f"Columns of X: {', '.join(names)}"]


def _told(categories: Mapping) -> list[str]:
    """Lines of the header about columns of categories."""
    lines = ["", "Columns of X that are numbers of categories:"] if categories else []
    for column, known in categories.items():
        some = list(known.items())[:_LISTED]
        told = "; ".join(f"{number} {value}" for number, value in some)
        told += f"; … {len(known) - 1}" if len(known) > _LISTED else ""
        lines.append(f"  {column}: {told}")
    return lines


def _wrapped(lines: list[str]) -> list[str]:
    """Lines as they may stand in a comment of C."""
    told = []
    for line in lines:
        # What ends a comment, or begins one, does not stand in one.
        line = line.replace("*/", "* /").replace("/*", "/ *")
        told += textwrap.wrap(
            line, 84, subsequent_indent="    ", break_on_hyphens=False
        ) or [""]
    return told


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
