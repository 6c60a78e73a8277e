"""Input: the base of all inputs, and the form of one of their sources."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array, issparse

from slimlearn.backend import ops
from slimlearn.backend.dataset import as_source
from slimlearn.backend.graph import Tensor, type_text
from slimlearn.backend.resident import Resident
from slimlearn.backend.shape import B
from slimlearn.estimators.sealing import Sealed

__all__ = ["Form", "Input", "in_order"]

# Numbers of the rows that are made dense, or sparse, at a time.
_CHUNK = 2**21


class Form(NamedTuple):
    """What a program reads of a row from one source.

    Attributes
    ----------
    name : str
        The source's.
    shape : tuple of int
        Of a row.
    dtype : str or None
        None is the type that the network computes in.
    sparse : bool
        Whether rows are sparse.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str | None = None
    sparse: bool = False

    def type(self, precision: str) -> str:
        """The type of the tensor, such as "f32" or "csr f64"."""
        return f"csr {precision}" if self.sparse else self.dtype or precision

    def tensor(self, precision: str, scope: str = "") -> Tensor:
        """The tensor, inside the function that is being built."""
        shape, name = (B, *self.shape), scope + self.name
        return ops.input_(self.name, shape, self.type(precision), name=name)


def in_order(array: np.ndarray) -> np.ndarray:
    """A source in C order; what overflows is infinite, which the short road refuses."""
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(as_source(array))


class Input(Sealed):
    """Base of the inputs.

    Attributes
    ----------
    forms : tuple of Form
        The sources; known once X was seen.
    kind : dtype
        The type that decides in which precision the network computes.
    bare : bool
        Whether X may be one array that the short road looks at itself.
    named : bool
        Whether what `take` gives has names of columns where the fit's X had them.
    range : tuple of float or None
        The least and the largest of the fit's numbers, where `glance` goes by them.
    partial : bool
        Whether the rows that it is to see are those of a ``partial_fit``.
    more : bool
        Whether rows that fit has not seen come later: of ``partial_fit`` or chunks.
    steps : float
        Of a row in the mean, which tell how much there is to compute.
    sizes : tuple of int
        Lengths that rows of different length are padded to; of others none.
    absent : index array or None
        Rows of the X that `check_fit` saw last which count as absent.
    """

    forms: tuple[Form, ...] = ()
    kind = np.dtype(np.float64)
    bare = False
    named = False
    range: tuple[float, float] | None = None
    partial = False
    more = False
    steps = 1.0
    sizes: tuple[int, ...] = ()
    absent: np.ndarray | None = None
    # Said of X where the network's arrays find no room.
    large = ""
    # Sources that a network need not read.
    optional: frozenset[str] = frozenset()

    @property
    def key(self) -> tuple:
        """What the network's graph depends on."""
        return type(self).__name__, self.forms

    # -- the door -------------------------------------------------------------------

    def check(self, estimator, X, *, reset: bool = False, name: str = "X"):
        """X without y, checked: what the other methods take, with a ``shape``.

        Parameters
        ----------
        estimator : NetworkEstimator
            Whose ``n_features_in_`` and ``feature_names_in_`` X has to fit.
        X : array-like
        reset : bool
            Whether X is that of a fit, which sets them.
        name : str
            Of X, as the user knows it.
        """
        raise NotImplementedError

    def check_fit(
        self, estimator, X, y, *, regression: bool, reset: bool = True, name: str = "X"
    ) -> tuple:
        """X and y of fit (or of validation, with ``reset=False``), checked."""
        raise NotImplementedError

    def seen(self, X, former: Input | None = None) -> Input:
        """The input of a fit on the checked X, which goes on from that of `former`."""
        raise NotImplementedError

    def alike(self, X, name: str):
        """The checked X as this input's rows are stored.

        Raises
        ------
        ValueError
            If it is sparse where they are dense.
        """
        return X

    def check_range(self, estimator, X, precision: str) -> None:
        """Refuse finite numbers that the network would read as infinity."""
        kind = np.dtype(np.float32 if precision == "f32" else np.float64)
        for form, array in zip(self.forms, self._arrays(X)):
            self._check_range(estimator, form, array, kind)

    def _check_range(self, estimator, form: Form, array, kind: np.dtype) -> None:
        if array.dtype.kind != "f" or array.dtype.itemsize <= kind.itemsize:
            return
        largest = np.finfo(kind).max
        if isinstance(array, Resident):
            least, most = map(np.float64, array.range)
        else:
            values = array.data if issparse(array) else array
            least, most = (values.min(), values.max()) if values.size else (0.0, 0.0)
        if most <= largest and least >= -largest:
            return
        columns = self.where(form, array, lambda v: np.abs(v) > largest)
        raise ValueError(
            f"X has values beyond {largest:.2g}, too large for {kind}, in columns "
            f"{columns}: scale them" + ", or set precision='float64' before "
            f"{type(estimator).__name__} is fitted" * (kind.itemsize == 4)
        )

    def glance(self, X, name: str = "X", flat: bool | None = None) -> None:
        """Warn where some rows of X are numbers of another range than the fit's.

        Parameters
        ----------
        X : ndarray
        name : str
            Of X, as the user knows it.
        flat : bool or None
            Whether images were given as rows of numbers; by default as X has axes.
        """

    def where(self, form: Form, array, bad) -> list:
        """The columns of X in which `bad` is true of a source's array."""
        raise NotImplementedError

    def take(self, X, index):
        """Rows of the checked X, as a user's function takes them."""
        raise NotImplementedError

    # -- the program ----------------------------------------------------------------

    def tensors(self, precision: str) -> Tensor | dict[str, Tensor]:
        """What the network function receives."""
        raise NotImplementedError

    def _arrays(self, X) -> list:
        """The array of each source, as checked."""
        raise NotImplementedError

    def sources(self, X) -> dict[str, np.ndarray]:
        """What the program reads, by source name."""
        return {
            form.name: as_source(array)
            for form, array in zip(self.forms, self._arrays(X))
        }

    def batches(
        self, X, chunkable: bool, most: int | None = None
    ) -> Iterator[dict[str, np.ndarray]]:
        """The sources of the checked X as the program reads them.

        Whole, but where some are dense and the program reads sparse rows, or the other
        way round: these are converted some rows at a time.

        Parameters
        ----------
        X : object
        chunkable : bool
            Whether the program takes rows one by one.
        most : int or None
            Rows at a time that it should be given then.

        Raises
        ------
        ValueError
            If rows would have to be made dense that are needed all at once.
        """
        sources = self.sources(X)
        odd = [f for f in self.forms if issparse(sources[f.name]) != f.sparse]
        step = rows = X.shape[0]
        if chunkable:
            step = rows if most is None else most
            widest = max((form.shape[0] for form in odd), default=0)
            step = min(step, max(1, _CHUNK // widest)) if odd else step
        if not odd and step >= rows:
            yield sources
            return
        if not (chunkable or all(form.sparse for form in odd)):
            raise ValueError(
                "X is sparse, but the network was fitted on dense X and mixes rows, so "
                "that it must see all of them at once: give X.toarray()"
            )
        for begin in range(0, rows, step):
            part = {k: source[begin : begin + step] for k, source in sources.items()}
            for form in odd:
                given = part[form.name]
                part[form.name] = (
                    as_source(csr_array(np.asarray(given)))
                    if form.sparse
                    else given.toarray()
                )
            yield part

    def plain(self, X, most: int) -> np.ndarray | None:
        """X in C order, for the short road, if it is a few rows that need no check.

        That is of an input with `bare`, where `most` is how many numbers are few.
        """
        return None

    def few(self, X, most: int) -> tuple | None:
        """The arrays of a few checked rows, in C order; None for more or sparse ones.

        None, too, for rows on a GPU. Copying so little costs less than binding it as
        a source.
        """
        arrays = self._arrays(X)
        if any(form.sparse or issparse(a) for form, a in zip(self.forms, arrays)):
            return None
        if any(isinstance(array, Resident) for array in arrays):
            return None
        if sum(array.size for array in arrays) > most:
            return None
        return tuple(map(in_order, arrays))

    # -- files and servers ----------------------------------------------------------

    def describe(self, precision: str, names: Sequence[str] | None) -> list[dict]:
        """The sources as a model file tells of them: name, type and columns.

        Parameters
        ----------
        precision : str
            Of the network.
        names : sequence of str or None
            Those of X's columns.
        """
        return [
            {
                "name": form.name,
                "source": form.name,
                "type": type_text(form.type(precision), (B, *form.shape)),
                **self._columns(form, names),
            }
            for form in self.forms
        ]

    def _columns(self, form: Form, names: Sequence[str] | None) -> dict:
        """The columns of X that a source reads, by name."""
        return {} if names is None else {"columns": list(names)}
