"""Looking into a fitted network: weights by layer, a summary, the curves."""

from __future__ import annotations

import numpy as np
from sklearn.utils.validation import check_is_fitted

from slimlearn.backend.graph import type_text
from slimlearn.backend.program import Program
from slimlearn.estimators.callbacks.weights import by_layer, transfer
from slimlearn.estimators.handle import Handle

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

    def set_weights(self, weights, *, include="*", exclude=()):
        """Replace weights of the fitted network; ``warm_start`` goes on from them.

        Parameters
        ----------
        weights : dict, fitted estimator, Program, str or path-like
            As `get_weights` returns them, or by ``"fc1/biases"``; some layers are
            enough. From another estimator, or a file of `Checkpoint` or of
            ``Program.save``, all are taken that the patterns choose.
        include, exclude : str or list of str
            Names of layers or arrays, with the wildcards of `fnmatch`.

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
        transfer(program, weights, include, exclude, self._head.states())
        self.program_ = program
        self._handle = Handle(program, self._handle.named)
        return self

    def summary(self) -> str:
        """The layers of the fitted network as a table.

        Returns
        -------
        str
            A line for each layer with its name, the type of its output, B being the
            number of rows, and how many numbers are trained.
        """
        check_is_fitted(self, "program_")
        rows = [("layer", "output", "parameters"), *_layers(self.program_)]
        total = sum(view.size for view in self.program_.weights.values())
        rows.append(("total", "", f"{total:,}"))
        first, second, third = (max(map(len, column)) for column in zip(*rows))
        return "\n".join(
            f"{a:<{first}}  {b:<{second}}  {c:>{third}}" for a, b, c in rows
        )

    def plot_history(self, ax=None):
        """Plot the losses of all epochs, and the scores on an axis of their own.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            None makes new ones.

        Returns
        -------
        matplotlib Axes
            Of the losses.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        check_is_fitted(self, "program_")
        if ax is None:
            try:
                import matplotlib.pyplot as plt
            except ImportError as error:
                raise ImportError(
                    "plot_history needs matplotlib: pip install 'slimlearn[plot]'"
                ) from error
            ax = plt.subplots()[1]
        curves = self.history_.curves()
        epochs = range(1, self.history_.epochs + 1)
        scores = {k: c for k, c in curves.items() if not k.endswith("loss")}
        for name in [k for k in curves if k not in scores]:
            ax.plot(epochs, curves[name], label=name)
        ax.set(xlabel="epoch", ylabel="loss", title=type(self).__name__)
        lines = list(ax.get_lines())
        if scores:
            beside = ax.twinx()
            beside.set_ylabel("score")
            for name, curve in scores.items():
                lines += beside.plot(epochs, curve, "--", label=name)
        ax.legend(lines, [line.get_label() for line in lines])
        return ax


def _layers(program: Program) -> list[tuple[str, str, str]]:
    """Name, output type and number of parameters of each layer, in their order."""
    outputs: dict[str, str] = {}
    for node in program.model.functions["predict"].nodes:
        for result in node.results:
            if node.op == "input":
                outputs[result.name] = type_text(*result.type)
            elif "/" in result.name:
                outputs[result.name.rpartition("/")[0]] = type_text(*result.type)
    counts = dict.fromkeys(outputs, 0)
    for name, view in program.weights.items():
        layer = name.rpartition("/")[0]
        counts[layer] = counts.get(layer, 0) + view.size
    return [(k, outputs.get(k, ""), f"{count:,}") for k, count in counts.items()]
