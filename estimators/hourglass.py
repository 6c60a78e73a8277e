"""The network of an autoencoder: narrow in the middle, where the code is."""

from __future__ import annotations

from slimlearn import layers

__all__ = ["CODE", "NOISE", "Hourglass"]

# The scope of the layer whose output is the code.
CODE = "code"

# That of the dropout of X.
NOISE = "noise"


class Hourglass:
    """An encoder, the code and the encoder's layers in reverse.

    Parameters
    ----------
    units : tuple of int
        Of the encoder's layers, the code's last.
    activation, code_activation : str or callable
        Of the hidden layers, and of the code.
    dropout, input_dropout : float
        Probabilities of dropping a hidden unit, and a number of X.
    batch_norm : bool
        Whether hidden layers are normalized; the code never is.
    """

    outputs_name = "num_outputs"

    def __init__(
        self, units, activation, code_activation, dropout, input_dropout, batch_norm
    ):
        *self.hidden, self.code = units
        self.activation = activation
        self.code_activation = code_activation
        self.keep_prob = 1.0 - dropout
        self.keep_input = 1.0 - input_dropout
        self.normalizer = layers.batch_norm if batch_norm else None

    def __call__(self, x, num_outputs):
        """Build the layers on `x`."""
        net = x
        if self.keep_input < 1.0:
            net = layers.dropout(net, self.keep_input, scope=NOISE)
        for i, units in enumerate(self.hidden, start=1):
            net = self._layer(net, units, "encoder", i)
        net = layers.fully_connected(
            net, self.code, activation_fn=self.code_activation, scope=CODE
        )
        for i, units in enumerate(reversed(self.hidden), start=1):
            net = self._layer(net, units, "decoder", i)
        return layers.linear(net, num_outputs, scope="reconstruction")

    def _layer(self, net, units, part, i):
        net = layers.fully_connected(
            net,
            units,
            activation_fn=self.activation,
            normalizer_fn=self.normalizer,
            scope=f"{part}{i}",
        )
        if self.keep_prob < 1.0:
            net = layers.dropout(net, self.keep_prob, scope=f"{part}{i}/dropout")
        return net

    def hypers(self) -> dict[str, float]:
        """The present probabilities, for programs that were built with others."""
        found = {}
        if self.keep_input < 1.0:
            found[f"{NOISE}/keep_prob"] = self.keep_input
        if self.keep_prob < 1.0:
            for i in range(1, len(self.hidden) + 1):
                for part in ("encoder", "decoder"):
                    found[f"{part}{i}/dropout/keep_prob"] = self.keep_prob
        return found
