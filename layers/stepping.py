"""A cell over the steps of sequences [B, T, …]."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from slimlearn.backend import ops
from slimlearn.backend.graph import Tensor, current_graph, type_text
from slimlearn.layers import cells, sequence, states, utils
from slimlearn.layers.names import variable_scope
from slimlearn.layers.scope import add_arg_scope


@add_arg_scope
def rnn(
    inputs: Tensor,
    cell: cells.Cell | Callable,
    initial_state: Any = None,
    sequence_length: Tensor | None = None,
    return_sequences: bool = False,
    return_state: bool = False,
    go_backwards: bool = False,
    recompute_steps: bool = False,
    outputs_collections: str | Sequence[str] | None = None,
    scope: str | None = None,
):
    """Run a cell over the steps of sequences.

    Parameters
    ----------
    inputs : Tensor
        [B, T, …]
    cell : Cell or callable
        From `lstm_cell` and its like or `stacked_cells`. Or a function
        ``cell(x, state)`` that returns an output and the next state: `x` is one step of
        `inputs`, [B, …]. It may use layers; their variables are those of all steps.
    initial_state : Tensor or tuple of them, optional
        What the first step gets; zeros by default. A function needs it.
    sequence_length : Tensor, optional
        i32[B], how many steps of each row are used, the first ones; by default as
        `layers.sequence_length` says. Behind them a row keeps its state and outputs
        zeros, and what stands in `inputs` is not read.
    return_sequences : bool, default=False
        Return the outputs of all steps, not the last one alone.
    return_state : bool, default=False
        Return the last state, too.
    go_backwards : bool, default=False
        Begin with the last step. An output stands where its input stood.
    recompute_steps : bool, default=False
        As `recompute` of `ops.scan`: keep only the states for the backward pass.
    outputs_collections : str or sequence of str, optional
        As in `fully_connected`.
    scope : str, optional
        ``rnn`` by default.

    Returns
    -------
    outputs : Tensor
        [B, …], or [B, T, …] with `return_sequences`. Of a row without steps the last
        one is what a cell's initial state shows, or a function's zeros.
    state : Tensor or tuple of them, as `initial_state`
        Only with `return_state`.

    Raises
    ------
    ValueError
        If inputs have no steps, a function comes without `initial_state`, or a state
        changes its type.

    Examples
    --------
    A layer of one's own, a leaky sum::

        def leaky(x, state):
            state = 0.9 * state + slim.linear(x, 16)
            return ops.tanh(state), state

        net = slim.rnn(x, leaky, initial_state=ops.zeros((x.shape[0], 16)))
    """
    utils.check_float("rnn", inputs, min_rank=2)
    with variable_scope(scope, "rnn") as layer:
        mask, batch = None, inputs
        if sequence_length is None:
            sequence_length = sequence.sequence_length(inputs)
        if sequence_length is not None:
            mask = sequence.sequence_mask(inputs, sequence_length)
            inputs = states.rows_where(mask, inputs, 0.0)
        # Slices of the first axis lie where they are computed and read. But a function
        # whose rows are apart is run in pieces of a batch, so that they stay first.
        axis = 0 if current_graph().training else 1
        if axis == 0:
            inputs = _turned(inputs)
            mask = None if mask is None else _turned(mask)
        shown = None
        if isinstance(cell, cells.Cell):
            if inputs.rank != 3:
                raise ValueError(
                    f"rnn: this cell reads [B, T, features], %{inputs.name} is "
                    f"{type_text(*inputs.type)}"
                )
            features = utils.feature_count("rnn", inputs)
            project, step = cell.begin(features, batch)
            shown = None if return_sequences else cell.shown
            inputs = project(inputs)
            if initial_state is None:
                initial_state = states.zero_state(cell.state_size, batch)
            states.check_state(layer.name, initial_state, cell.state_size, batch)
        else:
            step = cell
            if not callable(cell):
                raise TypeError(
                    "rnn: cell must be a cell such as lstm_cell(64), or a function "
                    f"(x, state) -> (output, state); got {cell!r}"
                )
            if initial_state is None:
                raise ValueError(
                    "rnn: the length of a function's state is not known: give "
                    "initial_state, such as ops.zeros((x.shape[0], 64))"
                )

        def masked(state, slices):
            x, used = slices
            made = step(x, state)
            if not isinstance(made, tuple) or len(made) != 2:
                raise TypeError(
                    "rnn: a cell returns its output and the next state, as in "
                    f"`return output, state`; got {made!r}"
                )
            output, new = made
            if used is not None:
                new = states.choose(used, new, state, layer.name)
            if shown is not None:
                output = None
            elif used is not None:
                output = states.rows_where(used, output, 0.0)
            return new, output

        state, outputs = ops.scan(
            masked,
            initial_state,
            (inputs, mask),
            axis=axis,
            reverse=go_backwards,
            recompute=recompute_steps,
            name="steps",
        )
        if shown is not None:
            outputs = shown(state)
        elif not return_sequences:
            outputs = _last(outputs, axis, sequence_length, go_backwards)
        elif axis == 0:
            outputs = _turned(outputs)
        utils.collect_named_outputs(outputs_collections, layer.name, outputs)
        return (outputs, state) if return_state else outputs


def _turned(a: Tensor) -> Tensor:
    """Return [T, B, …] for [B, T, …], and the other way."""
    return ops.swapaxes(a, 0, 1)


def _last(
    outputs: Tensor, axis: int, lengths: Tensor | None, backwards: bool
) -> Tensor:
    """Return the output of the step that a row ends with; T is `axis`."""
    steps = outputs.shape[axis]
    if isinstance(steps, int) and (backwards or lengths is None):
        at = 0 if backwards else -1
        return outputs[at] if axis == 0 else outputs[:, at]
    ends = ops.constant(0, "i32", (1,)) if backwards else lengths - 1
    places = ops.expand_dims(ops.iota(steps), 1 - axis)
    ends = ops.equal(places, ops.expand_dims(ends, axis))
    return ops.reduce_sum(states.rows_where(ends, outputs, 0.0), [axis])
