"""Beam search over a batch: inside slimlearn's graph, and as Python loops over PyTorch.

Each contender is this file in a process of its own: ``python decoding.py KIND``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from statistics import median

import numpy as np
from pairs import compared
from peers import peers_python

ROWS, WIDTH, LENGTH = 64, 5, 20
LETTERS, SIZE, UNITS = 40, 16, 32
# A loop for each sentence, as tutorials have it; and one for all of them at once, as
# careful users write it, for which there is no goal.
TARGETS = {"torch_sentences": 20.0, "torch_batch": None}


def weights() -> tuple[np.ndarray, ...]:
    """Return states, vectors of letters, the cell's and the letters' weights."""
    rng = np.random.default_rng(0)
    shapes = (ROWS, UNITS), (LETTERS, SIZE), (SIZE + UNITS, UNITS), (UNITS, LETTERS)
    arrays = [rng.normal(size=shape).astype(np.float32) for shape in shapes]
    arrays[2] /= np.float32(np.sqrt(SIZE + UNITS))
    return tuple(arrays)


def slimlearn_(threads: int):
    """Return the search as one native call."""
    import slimlearn
    from slimlearn import layers, ops

    @slimlearn.function(n_threads=threads)
    def search(state, letters, cell, out):
        def step(ids, h):
            h = ops.tanh(ops.concat([ops.gather(letters, ids), h]) @ cell)
            return h @ out, h

        return layers.beam_search(step, state, WIDTH, LENGTH, end_id=0)[:2]

    return search


def torch_batch(threads: int):
    """Return the search as a loop over steps, for all sentences at once."""
    import torch

    torch.set_num_threads(threads)

    @torch.inference_mode()
    def search(state, letters, cell, out):
        state, letters, cell, out = map(torch.from_numpy, (state, letters, cell, out))
        rows, none = len(state), -torch.inf
        h = state.repeat_interleave(WIDTH, 0)
        ids = torch.zeros(rows * WIDTH, dtype=torch.long)
        total = torch.full((rows, WIDTH), none)
        total[:, 0] = 0
        ended = torch.zeros(rows, WIDTH, dtype=torch.bool)
        found = torch.zeros(rows, WIDTH, LENGTH, dtype=torch.long)
        first = torch.arange(rows)[:, None] * WIDTH
        stays = torch.full((LETTERS,), none)
        stays[0] = 0
        for t in range(LENGTH):
            h = torch.tanh(torch.cat([letters[ids], h], 1) @ cell)
            likely = torch.log_softmax(h @ out, -1).view(rows, WIDTH, LETTERS)
            likely = torch.where(ended[..., None], stays, likely)
            both = (total[..., None] + likely).view(rows, -1)
            total, at = both.topk(WIDTH)
            parents, ids = at // LETTERS, at % LETTERS
            found = found.gather(1, parents[..., None].expand(-1, -1, LENGTH))
            found[:, :, t] = ids
            ended = ended.gather(1, parents) | (ids == 0)
            h = h[(first + parents).view(-1)]
            ids = ids.view(-1)
            if ended.all():
                break
        return found.numpy(), total.numpy()

    return search


def torch_sentences(threads: int):
    """Return the search as a loop over sentences, and over steps for each."""
    search = torch_batch(threads)

    def each(state, *rest):
        found = [search(state[i : i + 1], *rest) for i in range(len(state))]
        return tuple(np.concatenate(arrays) for arrays in zip(*found))

    return each


def measure(rounds: int, threads: int | None = None) -> dict:
    """Compare the seconds of a search; all find the same sequences."""
    threads = threads or 2
    names = {"slimlearn_": sys.executable} | dict.fromkeys(TARGETS, peers_python())
    workers = {}
    for name, python in names.items():
        workers[name] = subprocess.Popen(
            [python, __file__, name, str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"OMP_NUM_THREADS": str(threads)},
            text=True,
        )

    def ask(name: str) -> dict:
        workers[name].stdin.write("\n")
        workers[name].stdin.flush()
        line = workers[name].stdout.readline()
        if not line:
            raise RuntimeError(f"{name} ended without an answer")
        return json.loads(line)

    found = {}
    for name, target in TARGETS.items():
        pairs = [(ask("slimlearn_"), ask(name)) for _ in range(max(3, rounds))]
        found[name] = compared(pairs, target)
        ours, theirs = (np.array(one["found"]) for one in pairs[0])
        found[name]["same"] = float((ours == theirs).all(-1).mean())
    for worker in workers.values():
        worker.stdin.close()
        worker.wait()
    return {f"{ROWS} sentences, {WIDTH} beams": found}


def work(name: str, threads: int) -> None:
    """Answer each line with the median seconds of some searches."""
    search, arrays = globals()[name](threads), weights()
    ids, _ = search(*arrays)
    for _ in sys.stdin:
        seconds = []
        for _ in range(7):
            start = time.perf_counter()
            search(*arrays)
            seconds.append(time.perf_counter() - start)
        answer = {"seconds": median(seconds), "found": ids[:, 0].tolist()}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    work(sys.argv[1], int(sys.argv[2]))
