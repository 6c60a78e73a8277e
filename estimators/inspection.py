"""Looking into a fitted network: weights by layer, a summary, the curves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

import numpy as np
from sklearn.utils.validation import check_is_fitted

from slimlearn.backend.extract import extract
from slimlearn.backend.graph import Tensor
from slimlearn.estimators.callbacks.weights import by_layer, transfer
from slimlearn.estimators.handle import Handle
from slimlearn.estimators.pictures import Sheet, new_axes, plot_curves
from slimlearn.estimators.tensors import FUNCTION, before_last, find, table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from typing_extensions import Self

__all__ = ["Inspection"]


class Inspection:
    """What estimators tell of their networks."""

    def get_weights(self) -> dict[str, dict[str, np.ndarray]]:
        """Copies of the weights by layer: ``est.get_weights()["fc1"]["biases"]``.

        Returns
        -------
        dict of str to dict of str to ndarray
            Parameters, and states such as the moving averages of a normalization.
        """
        check_is_fitted(self, "program_")
        return by_layer(self.program_, self._head.states())

    def set_weights(
        self, weights, *, include="*", exclude=(), rename=None, skip_mismatch=False
    ) -> Self:
        """Replace weights of the fitted network; ``warm_start`` goes on from them.

        Parameters
        ----------
        weights : dict, fitted estimator, Program, str or path-like
            As `get_weights` returns them, or by ``"fc1/biases"``; some layers are
            enough. From another estimator, a file of `Checkpoint` or of
            ``Program.save``, or an .npz or .safetensors file, all are taken that the
            patterns choose.
        include, exclude : str or list of str
            Names of layers or arrays of this network, with the wildcards of `fnmatch`.
        rename : dict, callable or None, default=None
            What the given layers are called here, as in `StartFrom`.
        skip_mismatch : bool, default=False
            Whether arrays that this network lacks, or has in another shape, are left
            out.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If there is no such layer or an array has another shape; nothing has
            changed then.
        """
        check_is_fitted(self, "program_")
        program = self.program_.copy()
        scales = self._head.states()
        transfer(program, weights, include, exclude, scales, rename, skip_mismatch)
        self.program_ = program.seal()
        self._handle = Handle(
            program, self._input, self._handle.closely, self._handle.device
        )
        return self

    def summary(self) -> str:
        """The layers of the fitted network as a table.

        Returns
        -------
        str
            A line for each layer with its name, the shape of its output (N rows, then
            height, width and channels of images; its type where that is not the
            network's precision), and how many numbers are trained. Notebooks show it
            as a table.
        """
        check_is_fitted(self, "program_")
        rows = [("layer", "output", "parameters"), *table(self.program_)]
        first, second, third = (max(map(len, column)) for column in zip(*rows))
        text = "\n".join(
            f"{a:<{first}}  {b:<{second}}  {c:>{third}}" for a, b, c in rows
        )
        return Sheet(text, rows)

    @overload
    def activations(self, X: Any, layer: str | None = ...) -> np.ndarray: ...
    @overload
    def activations(self, X: Any, layer: list[str]) -> dict[str, np.ndarray]: ...

    def activations(self, X, layer=None):
        """What a layer of the fitted network computes for the rows of X.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
        layer : str, list of str or None, default=None
            A layer, such as "fc1": its output. One of its values, such as "fc1/add". A
            name among the end points that the network function returned. None is what
            the last layer with weights reads: the features that the network found.

        Returns
        -------
        ndarray of shape (n_samples, ...), or dict of str to ndarray
            In the type that the network computes in; a dict by name for a list. Nothing
            is dropped out, and batch normalization uses its moving averages.

        Raises
        ------
        ValueError
            If there is no such layer, or its value has not one row for each of X.
        TypeError
            If `layer` is no name, and no list of names.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from slimlearn import DNNClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> clf = DNNClassifier((8, 4), max_iter=5, random_state=0).fit(X, y)
        >>> clf.activations(X).shape
        (150, 4)
        >>> {k: a.shape for k, a in clf.activations(X, ["fc1", "logits"]).items()}
        {'fc1': (150, 8), 'logits': (150, 3)}
        """
        check_is_fitted(self, "program_")
        single = layer is None or isinstance(layer, str)
        names = (layer,) if single else tuple(layer)
        if not (single or (names and all(isinstance(n, str) for n in names))):
            raise TypeError(f"layer is a name, a list of names or None; got {layer!r}")
        values = self._activations(X, names, "activations")
        if single:
            return values
        return dict(zip(names, values if len(names) > 1 else [values]))

    def _activations(self, X, names: tuple, method: str):
        """The value of one name, or a tuple of those of several."""
        check_is_fitted(self, "program_")
        part = self._handle.part(names, lambda: self._part(names))
        return self._values(FUNCTION, X, method, handle=part)

    def _part(self, names: tuple) -> str:
        """The text of the function that computes some named values."""
        outputs = [self.tensor_of(name).name for name in names]
        return extract(self.program_.model, FUNCTION, outputs)

    def tensor_of(self, layer: str | None) -> Tensor:
        """What `activations` computes for a name, as a value of the graph.

        Parameters
        ----------
        layer : str or None
            As in `activations`.

        Returns
        -------
        Tensor
            With its ``name``, ``dtype`` and ``shape``, such as (B, 16).
        """
        check_is_fitted(self, "program_")
        if layer is None:
            return before_last(self.program_)
        return find(self.program_, layer, self._end_points)

    def plot_history(self, ax: Axes | None = None) -> Axes:
        """Plot the losses of all epochs, the scores beside, and mark the best epoch.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            None makes new ones.

        Returns
        -------
        matplotlib Axes
            Of the losses. Training is blue, validation orange; the best epoch is the
            one whose weights were kept, or would have been.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        check_is_fitted(self, "program_")
        ax = new_axes("plot_history") if ax is None else ax
        return plot_curves(self.history_, ax, type(self).__name__)
