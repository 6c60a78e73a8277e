"""What "auto" and presets stand for: members, epochs and batches by the rows."""

from __future__ import annotations

from math import ceil
from numbers import Integral, Real

from scipy.stats import loguniform, randint, uniform

from slimlearn.estimators import validation
from slimlearn.estimators.compat import Interval, StrOptions
from slimlearn.estimators.tables.encoder import ENCODING

__all__ = ["PARAMETERS", "Sizing"]

# Members and epochs, in units of those of "default".
_PRESETS = {"fast": (2, 0.5), "default": (8, 1.0), "best": (24, 1.0)}

# Units of each hidden layer, and of networks beside which a Gaussian process stands: it
# tells what they would learn in more time.
_UNITS, _UNITS_BESIDE = (128, 128, 128), (96, 96, 96)

_LEAST_STEPS = 300

# Steps, and parts of the epochs, after which a member ends that has become no better.
_PATIENCE, _WAITED = 300, 0.25

# Epochs of which held-out rows are asked after every other one.
_MANY_TO_ASK = 32

# Where fewer than 2,000 rows are trained on: rows times epochs that are enough, and the
# fewest epochs, of probabilities and of numbers; the most.
_ENOUGH_ROWS, _FEWEST_OF_FEW, _MOST_OF_FEW = (75_000, 56_000), (48, 32), 64

# The same of networks beside which a Gaussian process stands.
_ENOUGH_BESIDE, _FEWEST_BESIDE, _MOST_BESIDE = (32_000, 24_000), (20, 14), 28

# Rows beyond which there are fewer members, but no fewer than so many, and beyond which
# there are fewer epochs, but no fewer than so many.
_MANY_FOR_MEMBERS, _FEWEST_MEMBERS = 25_000, 4
_MANY_FOR_EPOCHS, _FEWEST_EPOCHS = 10_000, 4


PARAMETERS = {
    "members": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
    "preset": [StrOptions(set(_PRESETS))],
    "hidden_units": [StrOptions({"auto"}), *validation.HIDDEN_UNITS],
    "activation": [StrOptions({"auto", *validation.ACTIVATIONS})],
    "dropout": [Interval(Real, 0, 1, closed="left")],
    **ENCODING,
    "embedding_size": [Interval(Integral, 1, None, closed="left")],
    "weight_decay": [Interval(Real, 0, None, closed="left")],
    "learning_rate": validation.TAIL["learning_rate"],
    "max_iter": [StrOptions({"auto"}), *validation.TAIL["max_iter"]],
    "batch_size": validation.TAIL["batch_size"],
    "time_limit": [None, Interval(Real, 0, None, closed="neither")],
    "callbacks": validation.TAIL["callbacks"],
    "n_jobs": [None, Integral],
    "n_threads": validation.TAIL["n_threads"],
    "device": validation.TAIL["device"],
    "random_state": ["random_state"],
    "verbose": ["verbose"],
}


class Sizing:
    """The part of an estimator of tables that says how much there is to train."""

    _rate, _default_activation = 0.04, "selu"

    # Whether held-out rows tell long before the end that a member becomes no better:
    # of probabilities, which become too sure. What is told of numbers is best at the
    # end, when rates have fallen.
    _tells_early = True

    def _count(self, rows: int) -> int:
        """Members for so many rows."""
        if self.members != "auto":
            return int(self.members)
        count = _PRESETS[self.preset][0]
        fewer = round(count * (_MANY_FOR_MEMBERS / rows) ** 0.5)
        return min(count, max(fewer, _FEWEST_MEMBERS))

    def _units(self, beside: bool) -> tuple[int, ...]:
        """Units of a member's hidden layers.

        Parameters
        ----------
        beside : bool
            Whether a Gaussian process is to stand beside the members.
        """
        if isinstance(self.hidden_units, str):
            return _UNITS_BESIDE if beside else _UNITS
        return validation.check_units(self)

    def _activation(self) -> str:
        auto = self.activation == "auto"
        return self._default_activation if auto else self.activation

    def _steps(self, rows: int, beside: bool = False) -> tuple[int, int]:
        """The batch size and the epochs of a member that trains on so many rows.

        Parameters
        ----------
        rows : int
        beside : bool
            As in `_units`.
        """
        batch = self.batch_size
        if batch == "auto":
            batch = 64 if rows < 2000 else 128 if rows < 30_000 else 256
        batch = min(int(batch), rows)
        if self.max_iter != "auto":
            return batch, int(self.max_iter)
        fewer = min(1.0, (_MANY_FOR_EPOCHS / rows) ** 0.85)
        epochs = self._of_few(rows, beside) if rows < 2000 else 32 * fewer
        epochs *= _PRESETS[self.preset][1]
        epochs = max(epochs, _FEWEST_EPOCHS, _LEAST_STEPS * batch / rows)
        return batch, min(round(epochs), 500)

    def _of_few(self, rows: int, beside: bool) -> float:
        """Epochs of a member of few rows."""
        enough, fewest, most = _ENOUGH_ROWS, _FEWEST_OF_FEW, _MOST_OF_FEW
        if beside:
            enough, fewest, most = _ENOUGH_BESIDE, _FEWEST_BESIDE, _MOST_BESIDE
        kind = 0 if self._tells_early else 1
        return min(max(enough[kind] / rows, fewest[kind]), most)

    def _patience(self, rows: int, beside: bool = False) -> int:
        """Epochs after which a member ends that has become no better on held-out rows.

        It trains all that the user asks for.

        Parameters
        ----------
        rows, beside
            As in `_steps`.
        """
        batch, epochs = self._steps(rows, beside)
        if self.max_iter != "auto" or not self._tells_early:
            return epochs + 1
        return max(ceil(_PATIENCE * batch / rows), ceil(_WAITED * epochs))

    def _every(self, epochs: int, beside: bool) -> int:
        """Epochs after which a member asks the rows that it holds out.

        Of so many epochs every other one is enough, and each of those that the user
        asks for.
        """
        enough = beside or epochs >= _MANY_TO_ASK
        return 2 if self.max_iter == "auto" and enough else 1

    def param_distributions(self) -> dict:
        """Ranges for a random search, of what matters most.

        They suit ``RandomizedSearchCV(est, est.param_distributions())`` and
        ``HalvingRandomSearchCV(…, resource="members", max_resources=8)``, or over
        epochs, ``resource="max_iter"``.

        Returns
        -------
        dict
            Lists and distributions of scipy by names of parameters.
        """
        units = [(64, 64), (128, 128), (128, 128, 128), (256, 256, 256)]
        return {
            "hidden_units": ["auto", *units],
            "dropout": uniform(0.0, 0.4),
            "learning_rate": loguniform(self._rate / 10, self._rate * 2),
            "weight_decay": loguniform(1e-3, 0.1),
            "n_bins": randint(6, 49),
            "embedding_size": [4, 8, 16],
            "max_one_hot": [3, 9, 20],
        }
