"""Beam search inside the graph against one in plain NumPy."""

import numpy as np
import pytest

import slimlearn
from slimlearn import layers, ops
from slimlearn.backend import engine, reference
from slimlearn.backend.graph import Model
from slimlearn.backend.program import Program
from slimlearn.backend.shape import B


def searched(logits_of, state, width, most, end, start, alpha):
    """What `beam_search` returns, one row and one sequence after another."""
    all_ids, all_scores, all_lengths = [], [], []
    for row in state:
        beam = [([], 0.0, row, False)]
        for _ in range(most):
            found = []
            for ids, total, held, ended in beam:
                if ended:
                    found.append((ids, total, held, True))
                    continue
                logits, after = logits_of(ids[-1] if ids else start, held)
                logits = logits.astype("f8")
                log = logits - logits.max()
                log = log - np.log(np.exp(log).sum())
                for i in np.flatnonzero(log > -np.inf):
                    found.append(([*ids, int(i)], total + log[i], after, i == end))
            key = [total / ((5 + len(ids)) / 6) ** alpha for ids, total, *_ in found]
            # Rounded, as sums in another order differ in their last bits.
            order = np.argsort(-np.round(key, 9), kind="stable")[:width]
            beam = [found[i] for i in order]
            if all(ended for *_, ended in beam):
                break
        missing = [([], -np.inf, None, True)] * (width - len(beam))
        beam += missing
        all_ids.append([ids + [end] * (most - len(ids)) for ids, *_ in beam])
        all_scores.append([t / ((5 + len(i)) / 6) ** alpha for i, t, *_ in beam])
        all_lengths.append([len(ids) for ids, *_ in beam])
    return np.array(all_ids), np.array(all_scores), np.array(all_lengths)


def recurrent(size, vocabulary, seed, levels=None):
    """A step as a graph and as NumPy; `levels` logits are whole, so that some tie."""
    rng = np.random.default_rng(seed)
    e, w = rng.normal(size=(vocabulary, size)), rng.normal(size=(size, size))
    u = 1.5 * rng.normal(size=(size, vocabulary))

    def step(ids, h):
        x, table = ops.array(e), ops.array(w)
        h = ops.tanh(ops.gather(x, ids) + h @ table)
        logits = h @ ops.array(u)
        if levels:
            logits = ops.round(logits * levels)
        return logits, h

    def plain(i, h):
        h = np.tanh(e[i] + h @ w)
        logits = h @ u
        return (np.round(logits * levels) if levels else logits), h

    return step, plain


@pytest.mark.parametrize("width", [1, 2, 5])
@pytest.mark.parametrize(
    ("rows", "vocabulary", "most", "alpha"),
    [(1, 1, 1, 0.0), (3, 2, 4, 0.6), (4, 7, 1, 1.0), (7, 12, 9, 0.0), (2, 30, 12, 1.0)],
)
@pytest.mark.parametrize("levels", [None, 1])
def test_as_in_numpy(width, rows, vocabulary, most, alpha, levels):
    for seed in range(3):
        step, plain = recurrent(5, vocabulary, seed, levels)
        end, start = seed % vocabulary, (seed + 1) % vocabulary
        state = np.random.default_rng(seed + 9).normal(size=(rows, 5))

        @slimlearn.function
        def search(h, step=step, end=end, start=start):
            return layers.beam_search(
                step, h, width, most, end, start, length_penalty=alpha
            )

        ids, scores, lengths = search(state)
        want = searched(plain, state, width, most, end, start, alpha)
        np.testing.assert_allclose(scores, want[1], 1e-9, 1e-9)
        np.testing.assert_array_equal(ids, want[0])
        np.testing.assert_array_equal(lengths, want[2])
        assert (ids.dtype, lengths.dtype) == ("i4", "i4")


def table(logits):
    """A step whose logits depend on the last id alone."""
    return lambda ids, state: (ops.gather(ops.array(logits), ids), state)


def test_width_one_takes_the_likeliest():
    step, plain = recurrent(6, 20, 3)
    state = np.random.default_rng(0).normal(size=(5, 6))
    ids, _, lengths = slimlearn.function(
        lambda h: layers.beam_search(step, h, 1, 15, end_id=2)
    )(state)
    for row, h in enumerate(state):
        last, taken = 2, []
        while len(taken) < 15 and (not taken or last != 2):
            logits, h = plain(last, h)
            last = int(np.argmax(logits))
            taken.append(last)
        assert ids[row, 0, : lengths[row, 0]].tolist() == taken


def test_the_end_at_once_ends_the_loop():
    """A loop that went on would run into the step that is not finite."""

    def step(ids, state):
        count = state + 1
        logits = ops.array(np.array([9.0, 1.0, 0.0]))
        logits = ops.broadcast_to(logits, (*ids.shape, 3))
        late = ops.reshape(count > 1, (*ids.shape, 1))
        return ops.where(late, float("nan"), logits), count

    @slimlearn.function
    def search(x, width):
        return layers.beam_search(step, x, width, 50, 0)

    ids, scores, lengths = search(np.zeros(4, "i4"), 1)
    assert lengths.tolist() == [[1]] * 4
    assert np.isfinite(scores).all()
    assert (ids == 0).all()


def test_the_penalty_prefers_longer_ones():
    # From 1: the end with 0.55, or 2 with 0.45, from which the end is sure.
    logits = np.log([[1, 1e-9, 1e-9], [0.55, 1e-9, 0.45], [1, 1e-9, 1e-9]])
    first = []
    for alpha in (0.0, 3.0):
        ids, scores, lengths = slimlearn.function(
            lambda x, alpha=alpha: layers.beam_search(
                table(logits), x, 2, 5, 0, start_id=1, length_penalty=alpha
            )
        )(np.zeros(1))
        first.append((ids[0, 0].tolist(), lengths[0].tolist()))
        np.testing.assert_allclose(
            np.sort(scores[0] * ((5 + lengths[0]) / 6) ** alpha), np.log([0.45, 0.55])
        )
    assert first == [([0] * 5, [1, 2]), ([2, 0, 0, 0, 0], [2, 1])]


def test_what_a_model_forbids_is_not_found():
    logits = np.array([[0.0, -np.inf, 1.0], [0.0, -np.inf, 1.0], [0.0, -np.inf, 1.0]])
    ids, scores, lengths = slimlearn.function(
        lambda x: layers.beam_search(table(logits), x, 4, 2, 0)
    )(np.zeros((2, 3)))
    assert not (ids == 1).any()
    assert lengths.tolist() == [[2, 1, 2, 0]] * 2
    assert (scores[:, 3] == -np.inf).all()
    assert np.isfinite(scores[:, :3]).all()


def network(precision="f32", width=3):
    """Two states, one of them whole numbers, ids of one's own for each row, layers."""
    model = Model(precision)
    with model.function("predict") as graph:
        x = ops.input_("X", (B, 8), precision)
        first = ops.input_("first", (B,), "i32")

        def step(ids, state):
            z = layers.embedding(ids, 11, 4, scope="letters")
            h = ops.concat([z, state["h"], ops.repeat(x, width, 0)])
            h = layers.fully_connected(h, 8, ops.tanh, scope="cell")
            logits = layers.linear(h, 11, scope="logits")
            late = ops.cast(ops.reshape(state["n"], (-1, 1)), precision)
            ends = ops.one_hot(ops.constant(0, "i32", ids.shape), 11, dtype=precision)
            return logits + 0.3 * late * ends, {"h": h, "n": state["n"] + 1}

        state = {"h": x * 0.5, "n": ops.cast(first * 0, "i32")}
        graph.return_(*layers.beam_search(step, state, width, 10, 0, first))
    return model


def test_parameters_states_and_starts():
    model = network()
    program = Program(str(model), model=model)
    rng = np.random.default_rng(4)
    for array in program.weights.values():
        array[...] = rng.normal(size=array.shape)
    sources = {
        "X": 3 * rng.normal(size=(9, 8)).astype("f4"),
        "first": rng.integers(0, 11, 9).astype("i4"),
    }
    run = engine.compile(str(model)).run
    rows = np.arange(9)
    got = run("predict", sources, program, rows=rows)
    want = reference.run(model, "predict", sources, program.weights).returns
    np.testing.assert_array_equal(got[0], want[0])
    np.testing.assert_allclose(got[1], want[1], 1e-5)
    np.testing.assert_array_equal(got[2], want[2])
    assert len(np.unique(got[2])) > 2
    for n_threads in (1, 2):
        again = run("predict", sources, program, rows=rows, n_threads=n_threads)
        assert all(a.tobytes() == b.tobytes() for a, b in zip(got, again, strict=True))
    for row in rows:  # alone as among others
        alone = run("predict", sources, program, rows=rows[row : row + 1])
        for a, b in zip(alone, got, strict=True):
            assert a.tobytes() == b[row : row + 1].tobytes()


def wrong(**changes):
    given = {
        "step": table(np.zeros((3, 3))),
        "state": "x",
        "width": 2,
        "maximum_length": 4,
        "end_id": 0,
        **changes,
    }

    def build(x):
        if given["state"] == "x":
            given["state"] = x
        return layers.beam_search(**given)

    return slimlearn.function(build)


@pytest.mark.parametrize(
    ("changes", "error", "match"),
    [
        ({"step": 3}, TypeError, "step is a function, got 3"),
        ({"width": 0}, ValueError, "width is 0, needs 1 to"),
        ({"width": 2.0}, TypeError, "width is 2.0 of type float, needs a whole number"),
        ({"maximum_length": 0}, ValueError, "maximum_length is 0, needs 1"),
        ({"end_id": -1}, ValueError, "end_id is -1, needs 0"),
        ({"end_id": 3}, ValueError, "logits of 3 ids, end_id is 3: needs 0 to 2"),
        ({"start_id": -2}, ValueError, "start_id is -2"),
        ({"length_penalty": "a"}, ValueError, "length_penalty is 'a' of type"),
        ({"length_penalty": np.inf}, ValueError, "length_penalty is inf"),
        ({"state": None}, ValueError, "state holds no tensor"),
        ({"step": lambda ids, s: s}, TypeError, "must return logits and the next"),
        ({"step": lambda ids, s: (s[:1], s)}, ValueError, "as logits, needs floats of"),
        ({"step": lambda i, s: (table(np.zeros((3, 3)))(i, s)[0], None)}, ValueError,
         "hands on None as state, needs a tensor"),
        ({"step": lambda i, s: (table(np.zeros((3, 3)))(i, s)[0], s[:, :1])},
         ValueError, "changes the shape of carried value 6"),
    ],
)  # fmt: skip
def test_what_is_refused(changes, error, match):
    with pytest.raises(error, match=match) as caught:
        wrong(**changes)(np.zeros((5, 2)))
    assert str(caught.value).startswith(("[beam_search beam_search]", "[while_loop"))


def test_rows_that_differ_are_refused():
    def build(x, y):
        return layers.beam_search(table(np.zeros((3, 3))), (x, y), 2, 4, 0)

    with pytest.raises(ValueError, match=r"%x1 is f64\[4\], needs a row for each of"):
        slimlearn.function(build)(np.zeros((5, 2)), np.zeros(4))
    with pytest.raises(ValueError, match="x0 is f64"):
        slimlearn.function(build)(np.zeros(()), np.zeros(4))
