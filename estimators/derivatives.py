"""Derivatives of fitted networks: of the loss by weights, of outputs by X."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral

import numpy as np
from scipy.sparse import issparse
from sklearn.utils.validation import check_is_fitted

from slimlearn.backend import ops
from slimlearn.backend.autodiff import gradients
from slimlearn.backend.extract import extract
from slimlearn.backend.graph import Graph, Model, Tensor
from slimlearn.backend.program import Program
from slimlearn.backend.shape import B
from slimlearn.backend.text import parse_program
from slimlearn.estimators import validation
from slimlearn.estimators.arrays import check_origin, home_of
from slimlearn.estimators.rows import Rows
from slimlearn.estimators.tensors import FUNCTION

__all__ = ["Derivatives"]

# The function that is made, and the source of what an output's gradient starts with:
# no input of a network can have its name.
_MADE = "derivatives"
_START = "y"


class Derivatives:
    """Gradients of estimators' networks, as they predict: nothing is dropped out."""

    def gradients(
        self, X, y=None, sample_weight=None
    ) -> dict[str, dict[str, np.ndarray]]:
        """The gradient of the loss by each parameter of the fitted network.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            As in `fit`; an autoencoder needs none.
        sample_weight : array-like of shape (n_samples,), optional

        Returns
        -------
        dict of str to dict of str to ndarray
            Laid out as `get_weights`: ``est.gradients(X, y)["fc1"]["biases"]``. Of the
            mean loss of these rows, weighted, in the units of y, as
            ``validation_loss_curve_`` has it: without penalties, ``class_weight`` and
            clipping, with nothing dropped out and the moving averages of a batch
            normalization. Zero where predictions do not depend on a parameter.

        Raises
        ------
        ValueError
            If X and y do not fit what was fitted.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn.datasets import load_iris
        >>> from slimlearn import LinearClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> clf = LinearClassifier(l2_regularization=0.0, max_iter=3, tol=10.0)
        >>> clf = clf.fit(X, y)
        >>> by_hand = (clf.predict_proba(X) - (y[:, None] == clf.classes_)).mean(axis=0)
        >>> np.allclose(clf.gradients(X, y)["linear"]["biases"], by_hand)
        True
        """
        check_is_fitted(self, "program_")
        input, head, handle = self._input, self._head, self._handle
        if head.by_step:
            raise ValueError(
                f"{type(self).__name__} has losses of steps, whose gradients its "
                "program does not tell: callbacks see those of training"
            )
        check_origin(self, home_of(X), "gradients")
        X, y = self._checked(input, X, y, reset=False)
        X = input.alike(X, "X")
        if y.shape[1:] != getattr(head, "shape", y.shape[1:]):
            raise ValueError(
                f"y has shape {y.shape}, but the fitted estimator has outputs of shape "
                f"{head.shape}"
            )
        _, target = self._encode_target(y, self.__dict__, None)
        head.check(target)
        input.check_range(self, X, handle.precision)
        weights = validation.check_weights(sample_weight, X, absent=input.absent)
        weighted = weights is not None
        part = handle.part(
            ("gradients", weighted), lambda: _of_loss(self.program_, head, weighted)
        )
        rows = Rows(X, y, target, None if weights is None else weights / weights.max())
        _, total, *found = part.native.run(
            _MADE,
            rows.sources(input, head, handle.precision, weighted),
            self.program_,
            hypers=head.hypers(),
            n_threads=self.n_threads,
        )
        scale = head.loss_unit / float(total)
        layers: dict[str, dict[str, np.ndarray]] = {}
        for name, gradient in zip(self.program_.weights, found, strict=True):
            layer, _, last = name.rpartition("/")
            layers.setdefault(layer, {})[last] = gradient * gradient.dtype.type(scale)
        return layers

    def saliency(
        self, X, output=None, *, inputs: str | Sequence[str] | None = None
    ) -> np.ndarray | dict[str, np.ndarray]:
        """The derivative of an output by each number of X, row by row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        output : label, int or None, default=None
            What is differentiated. Of a classifier: the decision value of this label of
            ``classes_``; None is the class that is predicted for the row. Of several
            labels or outputs a row: the column of the network's decision values. Of a
            regressor: the column of `predict`, which a single one needs not.
        inputs : str, list of str or None, default=None
            Of a network with ``inputs=``: by which of these; None is by all but whole
            numbers and sparse rows, which have no derivative.

        Returns
        -------
        ndarray of shape (n_samples, n_features), or dict of str to ndarray
            Of images (n_samples, height, width, channels); of sequences (n_samples,
            steps, features), zero behind a sequence's end. In the type that the network
            computes in; of a regressor in the units of y for one of X. A dict by input
            for a network with ``inputs=``, but for a single name. Two classes have one
            decision value z: the first class has -z.

        Raises
        ------
        ValueError
            If `output` is missing or there is none such, or X has no derivative: it is
            sparse, or an input has whole numbers.

        References
        ----------
        Simonyan, Vedaldi and Zisserman, "Deep inside convolutional networks:
        visualising image classification models and saliency maps", 2013.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn.datasets import load_diabetes
        >>> from slimlearn import LinearRegressor
        >>> X, y = load_diabetes(return_X_y=True)
        >>> reg = LinearRegressor().fit(X, y)
        >>> np.allclose(reg.saliency(X), reg.coef_)
        True
        """
        check_is_fitted(self, "program_")
        input, handle = self._input, self._handle
        if self._head.by_step:
            raise ValueError(
                f"{type(self).__name__} predicts a sequence for a row, and saliency is "
                "the derivative of one number: look at activations()"
            )
        names = self._differentiable(inputs)
        home = home_of(X)
        check_origin(self, home, "saliency")
        X = input.check(self, X)
        sources = input.sources(X)
        if any(issparse(sources[name]) for name in names):
            raise ValueError(
                "X is sparse, and the derivative by it would be dense: give X.toarray()"
            )
        input.check_range(self, X, handle.precision)
        raw = handle.run(FUNCTION, X, self.n_threads)
        start = self._start_of(raw, output)
        part = handle.part(
            ("saliency", names), lambda: _of_output(self.program_, names)
        )
        dtype = np.float32 if handle.precision == "f32" else np.float64
        found = part.native.run(
            _MADE,
            {**sources, _START: np.ascontiguousarray(start, dtype)},
            self.program_,
            n_threads=self.n_threads,
        )
        given = dict(zip(names, found if home is None else map(home.give, found)))
        return given if input.named and not isinstance(inputs, str) else given[names[0]]

    def _differentiable(self, inputs) -> tuple[str, ...]:
        """The names of the inputs that are asked for."""
        forms = {form.name: form for form in self._input.forms}
        if not self._input.named:
            if inputs is not None:
                raise ValueError(
                    f"inputs={inputs!r}: {type(self).__name__} was fitted without "
                    "inputs=, so there is X alone: leave it out"
                )
            inputs = [name for name in forms if name not in self._input.optional]
        wanted = [inputs] if isinstance(inputs, str) else inputs
        if wanted is None:
            wanted = [n for n, form in forms.items() if not (form.sparse or form.dtype)]
        for name in wanted:
            if name not in forms:
                raise ValueError(
                    f"inputs: there is no input {name!r}; there are {', '.join(forms)}"
                )
            where = f"inputs[{name!r}]" if self._input.named else "X"
            if forms[name].sparse:
                raise ValueError(
                    f"{where} was sparse in fit, and sparse rows have no gradient: fit "
                    "on dense rows, X.toarray(), to ask for their saliency"
                )
            if forms[name].dtype:
                raise ValueError(
                    f"{where} has whole numbers, which have no derivative: give floats "
                    "to fit, or look at activations() of the layer that reads them"
                )
        if not wanted:
            raise ValueError(
                f"none of the inputs {', '.join(forms)} has a derivative: they are "
                "whole numbers or sparse"
            )
        return tuple(dict.fromkeys(wanted))

    def _start_of(self, raw: np.ndarray, output) -> np.ndarray:
        """What each row's gradient starts with: the output's, by the raw values."""
        head, columns = self._head, 1 if raw.ndim == 1 else raw.shape[1]
        classes = getattr(head, "classes", None)
        if classes is None or head.several:
            start = np.zeros((len(raw), columns))
            if classes is None:
                predicted = head.decode(raw[:1])
                columns = predicted.size
            if output is None and columns == 1:
                output = 0
            if not isinstance(output, Integral) or not 0 <= output < columns:
                raise ValueError(
                    f"output={output!r}: there are {columns} outputs, choose one from "
                    f"0 to {columns - 1}"
                )
            if classes is None:
                return _slopes(head.decode, raw, int(output))
            start[:, output] = 1.0
            return start
        if output is None:
            codes = head.decide(raw)
        else:
            found = np.flatnonzero(classes == output)
            if len(found) != 1:
                raise ValueError(
                    f"output={output!r} is no class; classes_ are "
                    f"{classes[:10].tolist()}" + ", …" * (len(classes) > 10)
                )
            codes = np.full(len(raw), found[0])
        if raw.ndim == 1:
            return 2.0 * codes - 1.0
        return np.eye(columns)[codes]


def _slopes(decode, raw: np.ndarray, output: int) -> np.ndarray:
    """The derivative of a column of ``decode(raw)`` by each raw value, in float64.

    By differences of the fourth order: to 11 digits for exp, exactly for what is
    linear in steps that are powers of two.
    """
    step, slopes = 2.0**-10, np.zeros((len(raw), raw[:1].size))

    def value(column: int, by: float) -> np.ndarray:
        moved = raw.reshape(slopes.shape).copy()
        moved[:, column] += by
        return decode(moved.reshape(raw.shape)).reshape(len(raw), -1)[:, output]

    same = decode(raw[:1]).size == slopes.shape[1]  # each output has a raw value
    for column in [output] if same else range(slopes.shape[1]):
        near = value(column, step) - value(column, -step)
        far = value(column, 2 * step) - value(column, -2 * step)
        slopes[:, column] = (8 * near - far) / (12 * step)
    return slopes.reshape(raw.shape)


def _branch(program: Program) -> tuple[Model, Graph, Tensor]:
    """A model of the program's own, a function that predicts, and its raw values."""
    model = parse_program(program.text)
    graph = model.branch(_MADE, FUNCTION)
    [raw] = graph.returns
    graph.returns = []
    if raw.dtype != model.precision:
        [raw] = raw.node.operands
    return model, graph, raw


def _of_loss(program: Program, head, weighted: bool) -> str:
    """The text of what sums losses, weights, and gradients of the losses."""
    model, _, raw = _branch(program)
    with model.function(_MADE) as graph:
        _, loss = head.losses(raw, head.target(raw))
        if weighted:
            start = ops.input_("sample_weight", (B,), model.precision)
            total = ops.reduce_sum(ops.cast(start, "f64"))
        else:
            start = ops.broadcast_to(ops.constant(1.0, loss.dtype), (B,))
            total = ops.extent(B, "f64")
        loss_sum = ops.reduce_sum(ops.cast(ops.mul(loss, start), "f64"))
        parameters = list(model.parameters)
        found = gradients([loss], parameters, [start])
        made = [
            ops.constant(0.0, p.dtype, p.shape) if g is None else g
            for p, g in zip(parameters, found)
        ]
        graph.return_(loss_sum, total, *made)
    return extract(model, _MADE, [value.name for value in graph.returns])


def _of_output(program: Program, names: tuple[str, ...]) -> str:
    """The text of what computes gradients by the inputs of these names."""
    model, _, raw = _branch(program)
    with model.function(_MADE) as graph:
        sources = {
            node.attributes["source"]: node.results[0]
            for node in graph.nodes
            if node.op == "input"
        }
        start = ops.input_(_START, raw.shape, raw.dtype, name="start")
        read = [name for name in names if name in sources]
        found = gradients([raw], [sources[name] for name in read], [start])
        known = {name for name, one in zip(read, found) if one is not None}
        lost = [name for name in names if name not in known]
        if lost:
            raise ValueError(
                f"predictions do not depend on {', '.join(lost)} in a way that has a "
                "derivative: its numbers are cast, compared or not read"
            )
        graph.return_(*found)
    return extract(model, _MADE, [value.name for value in graph.returns])
