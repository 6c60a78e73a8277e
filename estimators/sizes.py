"""Images of other sizes than the fit's, for networks that take any."""

from __future__ import annotations

import numpy as np
from sklearn.utils.validation import check_is_fitted

from slimlearn.backend.extract import extract
from slimlearn.backend.graph import Model
from slimlearn.backend.text import print_program
from slimlearn.estimators.build import of_size
from slimlearn.estimators.handle import Handle, joined
from slimlearn.estimators.inputs.files import size_text
from slimlearn.estimators.inputs.stacks import sizes_of
from slimlearn.estimators.tensors import FUNCTION

__all__ = ["AnySize"]


class AnySize:
    """An estimator of images whose network may be built for each size of them.

    That works where no parameter depends on the size: convolutions, then a pooling over
    all of the image. The functions of a size are built when it is first seen, on the
    arrays of the fit.
    """

    def _values(self, function, X, method="predict", finish=None, handle=None):
        if handle is None:
            groups = self._by_size(X)
            if groups is not None:
                return self._of_groups(
                    groups,
                    lambda part, sized: super(AnySize, self)._values(
                        function, part, method, finish, sized
                    ),
                )
        return super()._values(function, X, method, finish, handle)

    def _activations(self, X, names, method):
        check_is_fitted(self, "program_")
        groups = self._by_size(X)
        if groups is None:
            return super()._activations(X, names, method)
        outputs = [self.tensor_of(name).name for name in names]

        def values(part, sized: Handle):
            inner = sized.part(names, lambda: extract(sized.model, FUNCTION, outputs))
            return super(AnySize, self)._values(FUNCTION, part, method, handle=inner)

        return self._of_groups(groups, values)

    def _by_size(self, X) -> list[tuple[tuple, np.ndarray | None, object]] | None:
        """Size, index and images of each size; None if all have the fit's.

        None too where X is not images of the fit's channels: what is wrong with it is
        told elsewhere.
        """
        known = self.__dict__.get("_input")
        if known is None or known.resize_to is not None:
            return None
        axes = getattr(X, "ndim", 2)
        if axes == 4 and X.shape[1:] == known.shape:
            return None
        height, width, channels = known.shape
        if axes == 3 and (channels != 1 or X.shape in (known.shape, known.shape[:2])):
            return None
        if axes == 4 and X.shape[3] != channels:
            return None
        sizes = sizes_of(X, "X")
        if sizes is None or set(sizes) <= {(height, width)}:
            return None
        if axes in (3, 4):
            return [((*sizes[0], channels), None, X)]
        images = X if isinstance(X, (list, tuple)) else np.asarray(X).ravel()
        groups: dict[tuple, list[int]] = {}
        for i, size in enumerate(sizes):
            groups.setdefault(size, []).append(i)
        return [
            ((*size, channels), np.array(index), [images[i] for i in index])
            for size, index in groups.items()
        ]

    def _of_groups(self, groups: list, values):
        """What `values` makes of the images of each size, in the order of X."""
        handles = [self._of_size(shape) for shape, _, _ in groups]
        pieces = [values(part, sized) for (_, _, part), sized in zip(groups, handles)]
        if len(groups) == 1:
            return pieces[0]
        order = np.argsort(np.concatenate([index for _, index, _ in groups]))
        try:
            found = joined(pieces)
        except ValueError:
            raise ValueError(
                "X has images of different sizes, whose values differ in shape: give "
                "images of one size at a time"
            ) from None
        if isinstance(found, (tuple, list)):
            return type(found)(array[order] for array in found)
        return found[order]

    def _of_size(self, shape: tuple[int, int, int]) -> Handle:
        """The program for images of a shape.

        Raises
        ------
        ValueError
            If the network takes no others than those of the fit.
        """
        handle, known = self._handle, self._input
        if shape == known.shape:
            return handle

        def make() -> Model:
            height, width, channels = known.shape
            # Sizes that a pooling rounds to the fit's would pass for any size.
            doubled = 2 * height, 2 * width, channels
            size = known.shape
            try:
                network = self._network()
                present = of_size(self.program_, network, known, self._head)
                if _predict(present) != _predict(self.program_.model):
                    raise ValueError("it is not the network of the fit any more")
                for size in (doubled, shape):
                    other = known.of_size(size)
                    made = of_size(self.program_, network, other, self._head)
            except (ValueError, TypeError, ImportError) as error:
                raise ValueError(
                    f"{known.refusal(self, shape)}{known.advice(shape)} (the network "
                    f"takes no other size: built for {size_text(size)}, {error})"
                ) from error
            return made

        return handle.of_model(("size", shape), make, known.of_size(shape))


def _predict(model: Model) -> str:
    """The text of what predicts, alone."""
    part = Model(model.precision, model.compute)
    part.declarations = model.declarations
    part.functions = {FUNCTION: model.functions[FUNCTION]}
    return print_program(part)
