"""Microseconds of a training step on a GPU: slimlearn, PyTorch and JAX, side by side.

    python benchmarks/gpu.py [results.json]

Every contender trains one dense network with SGD and momentum on rows that lie on the
GPU already, epoch after epoch, shuffled. PyTorch runs eagerly, compiled
(``mode="max-autotune"``) and as a CUDA graph of its step; JAX runs an epoch as a jitted
scan. A time is the slope between a short and a long run, so that neither compiling nor
the way to the GPU counts; a fit of two steps shows what a start takes with the kernels
in the disk cache.
"""

import itertools
import json
import sys
import time

import numpy as np
from sklearn.datasets import load_digits

CASES = {
    # name: (rows, columns, hidden units, classes, batch)
    "digits 64-100-10, batch 32": (1797, 64, (100,), 10, 32),
    "fashion 784-256-128-10, batch 128": (60000, 784, (256, 128), 10, 128),
    "wide 784-2048-2048-10, batch 1024": (60000, 784, (2048, 2048), 10, 1024),
}


def data(rows, columns, classes):
    """Return X and y; digits are real, the others noise of their size."""
    if columns == 64:
        X, y = load_digits(return_X_y=True)
        return (X / 16).astype(np.float32), y.astype(np.int64)
    rng = np.random.default_rng(0)
    X = rng.random((rows, columns), dtype=np.float32)
    return X, rng.integers(0, classes, rows)


def slope(run, steps):
    """Return seconds of a step: `run(epochs)` for a short and a long time."""
    run(1)
    few = 2
    start = time.perf_counter()
    run(few)
    once = (time.perf_counter() - start) / few
    more = few + int(np.clip(1.5 / once, 4, 400))
    times = []
    for epochs in (few, more):
        start = time.perf_counter()
        run(epochs)
        times.append(time.perf_counter() - start)
    return (times[1] - times[0]) / (more - few) / steps


def slimlearn(X, y, hidden, classes, batch):
    from slimlearn import DNNClassifier

    def run(epochs):
        DNNClassifier(
            hidden_units=hidden,
            batch_size=batch,
            max_iter=epochs,
            optimizer="sgd",
            learning_rate=0.01,
            tol=0.0,
            n_iter_no_change=epochs + 1,
            random_state=0,
            device="cuda",
        ).fit(X, y)

    return run


def network(torch, sizes):
    layers = []
    for a, b in itertools.pairwise(sizes):
        layers += [torch.nn.Linear(a, b), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1]).cuda()


def pytorch(X, y, hidden, classes, batch, how):
    import torch

    torch.set_float32_matmul_precision("highest")
    X, y = torch.from_numpy(X).cuda(), torch.from_numpy(y).cuda()
    net = network(torch, (X.shape[1], *hidden, classes))
    optimizer = torch.optim.SGD(net.parameters(), 0.01, momentum=0.9, fused=True)
    loss_of = torch.nn.CrossEntropyLoss()
    rows = X.shape[0] // batch * batch  # a graph takes batches of one size

    def step(xb, yb):
        optimizer.zero_grad(set_to_none=how != "graph")
        loss = loss_of(net(xb), yb)
        loss.backward()
        optimizer.step()

    if how == "compiled":
        forward = torch.compile(net, mode="max-autotune")

        def step(xb, yb):
            optimizer.zero_grad()
            loss_of(forward(xb), yb).backward()
            optimizer.step()

    if how == "graph":
        xs, ys = X[:batch].clone(), y[:batch].clone()
        side = torch.cuda.Stream()
        with torch.cuda.stream(side):
            for _ in range(3):
                step(xs, ys)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            step(xs, ys)

    def run(epochs):
        for _ in range(epochs):
            order = torch.randperm(X.shape[0], device="cuda")
            for i in range(0, rows, batch):
                index = order[i : i + batch]
                if how == "graph":
                    torch.index_select(X, 0, index, out=xs)
                    torch.index_select(y, 0, index, out=ys)
                    graph.replay()
                else:
                    step(X[index], y[index])
        torch.cuda.synchronize()

    return run


def jax(X, y, hidden, classes, batch):
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_default_matmul_precision", "highest")
    rng = np.random.default_rng(0)
    sizes = (X.shape[1], *hidden, classes)
    params = [
        (jnp.asarray(rng.normal(0, 0.05, (a, b)), jnp.float32), jnp.zeros(b))
        for a, b in itertools.pairwise(sizes)
    ]
    X, y = jnp.asarray(X), jnp.asarray(y)
    steps = X.shape[0] // batch

    def loss(params, xb, yb):
        for w, b in params[:-1]:
            xb = jax.nn.relu(xb @ w + b)
        logits = xb @ params[-1][0] + params[-1][1]
        return -jnp.mean(jax.nn.log_softmax(logits)[jnp.arange(batch), yb])

    def one(state, index):
        params, speed = state
        grads = jax.grad(loss)(params, X[index], y[index])
        speed = jax.tree.map(lambda v, g: 0.9 * v + g, speed, grads)
        return (jax.tree.map(lambda p, v: p - 0.01 * v, params, speed), speed), None

    @jax.jit
    def epoch(state, key):
        order = jax.random.permutation(key, X.shape[0])[: steps * batch]
        return jax.lax.scan(one, state, order.reshape(steps, batch))[0]

    state = params, jax.tree.map(jnp.zeros_like, params)

    def run(epochs):
        now = state
        for i in range(epochs):
            now = epoch(now, jax.random.key(i))
        jax.block_until_ready(now)

    return run


CONTENDERS = {
    "slimlearn": slimlearn,
    "PyTorch": lambda *a: pytorch(*a, "eager"),
    "PyTorch, graph": lambda *a: pytorch(*a, "graph"),
    "PyTorch, compiled": lambda *a: pytorch(*a, "compiled"),
    "JAX, scan": jax,
}


def main():
    """Print the table; write it where the command line says."""
    found = {}
    wanted = sys.argv[2:] or list(CONTENDERS)
    for case, (rows, columns, hidden, classes, batch) in CASES.items():
        X, y = data(rows, columns, classes)
        steps = -(-len(X) // batch)
        found[case] = {}
        for name in wanted:
            start = time.perf_counter()
            try:
                run = CONTENDERS[name](X, y, hidden, classes, batch)
                seconds = slope(run, steps)
            except Exception as error:  # one that is not there must not end the others
                print(f"{case}: {name}: {type(error).__name__}: {str(error)[:300]}")
                continue
            found[case][name] = seconds * 1e6
            took = time.perf_counter() - start
            print(f"{case}: {name}: {seconds * 1e6:.1f} us a step (in {took:.0f} s)")
            sys.stdout.flush()
        if "slimlearn" in wanted and "slimlearn" in found[case]:
            X1, y1 = X[: batch * 2], y[: batch * 2]
            run = slimlearn(X1, y1, hidden, classes, batch)
            run(1)
            start = time.perf_counter()
            run(1)
            found[case]["start ms"] = (time.perf_counter() - start) * 1e3
            print(f"{case}: a fit of two steps {found[case]['start ms']:.1f} ms")
    if len(sys.argv) > 1:
        with open(sys.argv[1], "w") as file:
            json.dump(found, file, indent=1)


if __name__ == "__main__":
    main()
