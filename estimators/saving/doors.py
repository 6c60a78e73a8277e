"""`save` and `load`: fitted models as files that hold data alone."""

from __future__ import annotations

import hashlib
import importlib
import os

from sklearn.exceptions import InconsistentVersionWarning
from sklearn.utils.validation import check_is_fitted

from slimlearn.backend import files
from slimlearn.backend.telling import warn

__all__ = ["load", "save"]

# First bytes of what people take for a model file.
_OTHERS = (
    (b"\x80", "a pickle"),
    (b"PK\x03\x04", "a zip archive, such as of PyTorch, Keras, NumPy or skops"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\x08", "an ONNX file"),
    (b"\x1f\x8b", "compressed by gzip"),
    (b"x", "compressed, perhaps by joblib"),
    (b"BZh", "compressed by bzip2"),
    (b"\xfd7zXZ", "compressed by xz"),
    (b"\x28\xb5\x2f\xfd", "compressed by zstandard"),
)
_PICKLES = (
    "joblib.load or pickle.load read it, and run any code that is in it: do that only "
    "with files whose writers you trust, and then save it with slimlearn.save"
)


def save(model, file) -> None:
    """Write a fitted model to a file that anyone may read: data, and no code.

    The networks' programs, their arrays and the state around them go into one
    safetensors file, which ``safetensors`` reads the weights of. `load` needs neither
    the script that trained the model nor the functions of its networks.

    Parameters
    ----------
    model : estimator
        Of slimlearn, or of scikit-learn around some: a `Pipeline`, `ColumnTransformer`,
        search, or ensemble whose steps have a safe form.
    file : str, path-like or binary file object
        A path is written beside its name, synchronised and moved there: a crash, a full
        disk or an error leave an older file whole.

    Raises
    ------
    NotFittedError
        If the model is not fitted.
    TypeError
        If something in it that predictions need is code, or has no safe form; the error
        names it. Code that they do without, such as a network's function, a loss, a
        scorer or a callback of your own, is left out by name.
    OSError
        If the file cannot be written.

    See Also
    --------
    load : The way back.

    Examples
    --------
    >>> import slimlearn
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from slimlearn import DNNClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> model = make_pipeline(StandardScaler(), DNNClassifier(random_state=0)).fit(X, y)
    >>> slimlearn.save(model, "iris.slim")
    >>> loaded = slimlearn.load("iris.slim")
    >>> bool((loaded.predict_proba(X) == model.predict_proba(X)).all())
    True
    """
    if file is None:
        raise TypeError("save needs a path or a binary file object, got None")
    files.write_parts(file, _parts_of(model))


def load(file, *, sha256: str | bool | None = None):
    """Read a model that `save` wrote; nothing in the file is run.

    Every field is checked before it is used, so that a damaged or a malicious file is
    refused. A file that a path names is mapped into memory, and its pages are shared
    with other processes.

    Parameters
    ----------
    file : str, path-like, bytes or binary file object
    sha256 : bool or str, optional
        True compares the SHA-256 that the file tells of itself, some 0.6 s for 1 GB
        besides the quick checksums that are always compared. Digits are what the
        SHA-256 of the whole file has to be, as ``sha256sum`` prints it: where they
        came by another way than the file, they tell who wrote it.

    Returns
    -------
    estimator
        It predicts with the bits of the one that was saved, scores, and trains on
        where the network's function is not needed. What was left out is named where it
        is needed.

    Raises
    ------
    ValueError
        If it is no model file, of a newer format, cut short, damaged, or another one
        than `sha256` says; if `sha256` is True and the file tells none, being older
        than format 2.3.
    OSError
        If it cannot be read.

    Warns
    -----
    InconsistentVersionWarning
        If scikit-learn's objects in it were saved by another version of scikit-learn.

    See Also
    --------
    save : The way here.
    """
    name = file if isinstance(file, (str, os.PathLike)) else "the file"
    if sha256 is not None and not isinstance(sha256, (bool, str)):
        raise TypeError(f"sha256 must be a bool or 64 digits, got {sha256!r:.70}")
    if isinstance(sha256, str):
        file = _compared(file, sha256)
    if hasattr(file, "read"):
        file = file.read()
    try:
        parts = files.read_parts(file, sealed=sha256 is True)
    except ValueError as error:
        other = _looks_like(file)
        if other is None:
            raise
        raise ValueError(f"{name} is no model file of slimlearn: it is {other}") from (
            error
        )
    return _model_of(parts, name)


def _parts_of(model) -> files.Parts:
    # The tables know all estimators, whose modules import this one.
    from slimlearn.estimators.saving.kinds import kind_of
    from slimlearn.estimators.saving.outputs import outputs_of
    from slimlearn.estimators.saving.writer import Writer

    kind = kind_of(type(model))
    name = type(model).__name__
    if kind is None or not hasattr(model, "get_params"):
        advice = "it is of a class of its own, which is code: save one of slimlearn's"
        if type(model).__module__.startswith("sklearn."):
            advice = (
                "of scikit-learn it knows pipelines, searches, stacking, voting and "
                "the usual steps around networks: save the network alone"
            )
        if not hasattr(model, "fit"):
            advice = "it is no estimator"
        raise TypeError(f"a model file cannot hold {name}: {advice}, or pickle it")
    check_is_fitted(model)
    writer = Writer()
    node = writer.write(model, name)
    told = {"slimlearn": _version(), "libraries": writer.libraries, "model": node}
    inputs, outputs = [], None
    if len(writer.models) == 1:
        [network] = writer.models
        names = network.__dict__.get("feature_names_in_")
        names = names if names is None else [str(part) for part in names]
        inputs = network._input.describe(network._handle.precision, names)
        if network is model and len(writer.programs) == 1:
            outputs = outputs_of(network._head)
    return files.Parts(
        writer.programs, inputs, None, told, writer.arrays, outputs=outputs
    )


def _version() -> str:
    return importlib.import_module("slimlearn").__version__


def _model_of(parts: files.Parts, name):
    from slimlearn.estimators.saving.reader import Damaged, Reader

    told = parts.estimator
    if told is None:
        raise ValueError(
            f"{name} holds a program and no estimator: it is of Program.save or of a "
            "Checkpoint, which est.set_weights and StartFrom read"
        )
    libraries = told.get("libraries")
    try:
        if told.keys() < {"slimlearn", "libraries", "model"} or "model" not in told:
            raise Damaged("it does not tell its model")
        if not isinstance(libraries, dict):
            raise Damaged("it does not tell its libraries")
        _warn_of_versions(libraries)
        model = Reader(parts).read(told["model"])
        if not hasattr(model, "get_params"):
            raise Damaged("its model is no estimator")
    except (Damaged, RecursionError) as error:
        by = told.get("slimlearn")
        raise ValueError(
            f"{name}: the saved model is damaged, or of a slimlearn that knows more "
            f"than this one (it was written by {by!r:.20}): {error}"
        ) from None
    return model


def _warn_of_versions(libraries: dict) -> None:
    import sklearn

    saved = libraries.get("scikit-learn")
    if isinstance(saved, str) and saved != sklearn.__version__:
        warn(
            InconsistentVersionWarning(
                estimator_name="the saved model",
                current_sklearn_version=sklearn.__version__,
                original_sklearn_version=saved[:40],
            )
        )


def _compared(file, wanted: str) -> bytes:
    """The bytes of a file, if they are those that were meant."""
    if hasattr(file, "read"):
        file = file.read()
    if not isinstance(file, bytes):
        with open(os.path.expanduser(os.fspath(file)), "rb") as opened:
            file = opened.read()
    found = hashlib.sha256(file).hexdigest()
    if found != wanted.strip().lower():
        raise ValueError(
            f"the file is another one: its SHA-256 is {found}, not {wanted!r:.70}"
        )
    return file


def _looks_like(file) -> str | None:
    """What a file that was refused is instead."""
    if isinstance(file, bytes):
        begin = file[:16]
    else:
        with open(os.path.expanduser(os.fspath(file)), "rb") as opened:
            begin = opened.read(16)
    if begin[8:9] == b"{" or begin.startswith(b"slimlearn"):
        return None
    for magic, what in _OTHERS:
        if begin.startswith(magic):
            if what == "a pickle" or what.startswith("compressed"):
                return f"{what}; {_PICKLES}"
            return what
    return None


class Saveable:
    """A mixin: estimators that are saved by a method of their own."""

    def save(self, file) -> None:
        """Write the fitted estimator to a file that anyone may read; see `save`.

        Parameters
        ----------
        file : str, path-like or binary file object

        Raises
        ------
        NotFittedError, TypeError, OSError
            As `slimlearn.save`.
        """
        save(self, file)
