"""The network that makes sequences of sequences, and the functions of its program.

An encoder reads X once. A decoder tells tokens one after the other: it is told the one
before, has a state, and looks at the encoder's steps by attention. Trained, it is told
the targets, all steps at once; when it predicts, a beam search tells it what it said.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from slimlearn import layers
from slimlearn.backend import ops
from slimlearn.backend.graph import Model, Tensor, current_model
from slimlearn.backend.optimizer import Optimizer
from slimlearn.backend.program import Program
from slimlearn.backend.shape import B
from slimlearn.estimators.build import (
    Built,
    check_trained,
    finished,
    keep_rows,
    row_weights,
    sums,
    write_grad,
)
from slimlearn.estimators.heads import Beams, TokensHead
from slimlearn.estimators.inputs import Input
from slimlearn.layers.names import variable_scope
from slimlearn.layers.sequence import vocabulary_in_use, without_padding
from slimlearn.layers.variables import variables_in_use

__all__ = ["Translator", "build_translator", "of_beams"]

_LAYERS = {"lstm": layers.lstm, "gru": layers.gru}
_CELLS = {"lstm": layers.lstm_cell, "gru": layers.gru_cell}
_HIDDEN = -1e30  # a score whose exponential is 0


class Memory(NamedTuple):
    """What the decoder knows of X.

    Attributes
    ----------
    values, keys : Tensor
        [B, T, n] and [B, T, units]: what attention gives, and what it goes by.
    mask : Tensor of bool or None
        [B, 1, T], the steps of X that are no padding.
    state : tuple
        Of the decoder's cells, before the first token.
    """

    values: Tensor
    keys: Tensor
    mask: Tensor | None
    state: tuple


class Translator:
    """Encoder and decoder, both recurrent, with attention between them.

    Parameters
    ----------
    head : TokensHead
    cell : {"lstm", "gru"}
    embed_dim : int
        Of the vectors of ids and tokens.
    units, decoder_units : tuple of int
        Of each layer of the encoder, in both directions, and of the decoder.
    dropout : float

    References
    ----------
    Luong, Pham and Manning, "Effective approaches to attention-based neural machine
    translation", 2015: the global attention, by the general score.
    """

    called = "Translator"

    def __init__(
        self, head: TokensHead, cell, embed_dim, units, decoder_units, dropout
    ):
        self.head = head
        self.cell = cell
        self.embed_dim = embed_dim
        self.units = units
        self.decoder_units = decoder_units
        self.keep_prob = 1.0 - dropout

    def encode(self, x: Tensor) -> Memory:
        """Read X's tensor."""
        vocabulary, net = vocabulary_in_use(), x
        if vocabulary is not None:
            net = layers.embedding(x, vocabulary, self.embed_dim, scope="embedding")
            net = self._dropped(net, "embedding")
        for i, units in enumerate(self.units, start=1):
            net = layers.bidirectional(
                net,
                _LAYERS[self.cell],
                units,
                return_sequences=True,
                scope=f"encoder{i}",
            )
            net = self._dropped(net, f"encoder{i}")
        net = without_padding(net)
        mask = None
        if layers.sequence_length(net) is not None:
            mask = layers.sequence_mask(net)
            mask = ops.reshape(mask, (B, 1, net.shape[1]))
        keys = layers.linear(
            net, self.decoder_units[-1], biases_initializer=None, scope="attention/keys"
        )
        pooled = layers.sequence_pool(net, "mean", scope="pool")
        state = tuple(
            self._start(pooled, units, f"start{i}")
            for i, units in enumerate(self.decoder_units, start=1)
        )
        return Memory(net, keys, mask, state)

    def _start(self, pooled: Tensor, units: int, scope: str):
        h = layers.fully_connected(pooled, units, ops.tanh, scope=scope)
        return (h, ops.zeros((B, units), h.dtype)) if self.cell == "lstm" else h

    def _dropped(self, net: Tensor, scope: str) -> Tensor:
        if self.keep_prob == 1.0:
            return net
        return layers.dropout(net, self.keep_prob, scope=f"{scope}/dropout")

    def _tokens(self, ids: Tensor) -> Tensor:
        net = layers.embedding(ids, self.head.outputs, self.embed_dim, scope="tokens")
        return self._dropped(net, "tokens")

    def _decoder(self):
        make = _CELLS[self.cell]
        cells = [
            make(units, scope=f"{self.cell}{i}")
            for i, units in enumerate(self.decoder_units, start=1)
        ]
        return layers.stacked_cells(cells, scope="cells")

    def _told(self, states: Tensor, memory: Memory) -> Tensor:
        """The logits of the decoder's states [B, steps, units]."""
        scores = ops.matmul(states, memory.keys, transpose_b=True)
        scores = ops.mul(scores, 1 / math.sqrt(self.decoder_units[-1]))
        if memory.mask is not None:
            scores = ops.where(memory.mask, scores, _HIDDEN)
        context = ops.matmul(ops.softmax(scores), memory.values)
        both = ops.concat([states, context], 2)
        net = layers.fully_connected(
            both, self.decoder_units[-1], ops.tanh, scope="attention/output"
        )
        net = self._dropped(net, "attention")
        return layers.linear(net, self.head.outputs, scope="logits")

    def logits(self, memory: Memory, before: Tensor) -> Tensor:
        """The logits [B, U, outputs] of all steps of targets, told the ids before."""
        states = layers.rnn(
            self._tokens(before),
            self._decoder(),
            initial_state=memory.state,
            return_sequences=True,
            scope="decoder",
        )
        return self._told(states, memory)

    def search(self, memory: Memory, beams: Beams) -> tuple[Tensor, Tensor, Tensor]:
        """The best sequences' ids [B, width, most + 1], scores and lengths."""
        width, units = beams.width, self.decoder_units[-1]
        with variable_scope("decoder"):
            decoder = self._decoder().begin(self.embed_dim, memory.values)

        def step(ids: Tensor, state: tuple):
            states, state = decoder.step(decoder.project(self._tokens(ids)), state)
            told = self._told(ops.reshape(states, (B, width, units)), memory)
            return ops.reshape(told, (width * B, self.head.outputs)), state

        # One more id than tokens: that of the end.
        return layers.beam_search(
            step,
            memory.state,
            width,
            beams.most + 1,
            self.head.end,
            length_penalty=beams.penalty,
            name="beams",
        )


def build_translator(
    network: Translator,
    input: Input,
    head: TokensHead,
    optimizer: Optimizer,
    *,
    precision: str,
    compute: str,
    weighted: bool,
    scored: bool,
    frozen: tuple[str, ...],
    whole: bool,
    l2: bool,
    clip: bool,
    rates: bool,
    last: str,
) -> Built:
    """Write the functions of a fit; settings as `build` takes them."""
    model = Model(precision, compute)
    with model.function("predict") as graph:
        _write_search(graph, network, input, head.beams)
        predicting = variables_in_use()
    if scored:
        with model.function("score") as graph:
            raw = _told_targets(network, input, head)
            loss = head.losses(raw, head.target(raw))[1]
            rows = ops.extent(B, "f64")
            graph.return_(*sums(loss, row_weights(precision, weighted), rows))
    with model.function("grad", training=True) as graph:
        graph.sample_weight = row_weights(precision, weighted)
        write_grad(graph, _told_targets(network, input, head), head, frozen)
        check_trained(network, predicting, variables_in_use())
        if whole:
            keep_rows(graph, optimizer, l2)
    return finished(model, optimizer, input, l2=l2, clip=clip, rates=rates)


def _write_search(graph, network: Translator, input: Input, beams: Beams) -> None:
    x = input.tensors(current_model().precision)
    ids, scores, lengths = network.search(network.encode(x), beams)
    graph.return_(ids, ops.cast(scores, "f64"), lengths)


def _told_targets(network: Translator, input: Input, head: TokensHead) -> Tensor:
    memory = network.encode(input.tensors(current_model().precision))
    return network.logits(memory, head.given())


def of_beams(
    program: Program, network: Translator, input: Input, beams: Beams
) -> Model:
    """A model of another search, with the declarations of `program`."""
    model = Model(program.model.precision, program.model.compute)
    with model.function("predict") as graph:
        _write_search(graph, network, input, beams)
    model.declarations = program.model.declarations
    return model
