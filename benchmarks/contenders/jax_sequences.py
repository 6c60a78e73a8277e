"""JAX's side of layers over sequences: a jitted lax.scan, or a block of products."""

import jax
import jax.numpy as jnp
import numpy as np


def _lstm(p, x, h):
    h, c = h
    i, f, g, o = jnp.split(x + h @ p["u"], 4, -1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    h = jax.nn.sigmoid(o) * jnp.tanh(c)
    return h, (h, c)


def _gru(p, x, h):
    xz, xr, xn = jnp.split(x, 3, -1)
    hz, hr, hn = jnp.split(h @ p["u"] + p["d"], 3, -1)
    z, r = jax.nn.sigmoid(xz + hz), jax.nn.sigmoid(xr + hr)
    n = jnp.tanh(xn + r * hn)
    h = z * h + (1 - z) * n
    return h, h


def _recurrent(case, step, lengths):
    def total(p, x):
        zeros = jnp.zeros((case.batch, case.units))
        x = jnp.swapaxes(x @ p["w"] + p["b"], 0, 1)
        used = None
        if lengths is not None:
            used = (jnp.arange(case.steps)[:, None] < lengths)[..., None]

        def masked(state, slices):
            x, used = slices
            output, new = step(p, x, state)
            if used is not None:
                new = jax.tree.map(lambda a, b: jnp.where(used, a, b), new, state)
                output = jnp.where(used, output, 0)
            return new, output

        start = (zeros, zeros) if case.layer == "lstm" else zeros
        return jax.lax.scan(masked, start, (x, used))[1].sum()

    return total


def _normed(p, x, name):
    x = x - x.mean(-1, keepdims=True)
    x = x * jax.lax.rsqrt((x * x).mean(-1, keepdims=True) + 1e-5)
    return x * p[f"{name}_scale"] + p[f"{name}_offset"]


def _block(case):
    def total(p, x):
        heads = [
            (x @ p[f"{k}_w"] + p[f"{k}_b"]).reshape(*x.shape[:2], 4, -1) for k in "qkv"
        ]
        mixed = jax.nn.dot_product_attention(*heads).reshape(x.shape)
        x = _normed(p, x + mixed @ p["o_w"] + p["o_b"], "first")
        inner = jax.nn.relu(x @ p["i_w"] + p["i_b"])
        return _normed(p, x + inner @ p["j_w"] + p["j_b"], "second").sum()

    return total


def prepare(case, X, lengths):
    """Return what sums the outputs and finds the gradients."""
    rng, n, units = np.random.default_rng(0), case.features, case.units
    if case.layer == "block":
        shapes = {f"{k}_w": (n, n) for k in "qkvo"} | {f"{k}_b": (n,) for k in "qkvo"}
        shapes |= {"i_w": (n, units), "i_b": (units,), "j_w": (units, n), "j_b": (n,)}
        for norm in ("first", "second"):
            shapes |= {f"{norm}_scale": (n,), f"{norm}_offset": (n,)}
        total = _block(case)
    else:
        width = {"lstm": 4, "gru": 3}[case.layer] * units
        shapes = {"w": (n, width), "u": (units, width), "b": (width,), "d": (width,)}
        step = {"lstm": _lstm, "gru": _gru}[case.layer]
        total = _recurrent(case, step, lengths)
    p = {k: rng.standard_normal(s).astype(np.float32) / 12 for k, s in shapes.items()}
    both = jax.jit(jax.value_and_grad(total))
    p, x = jax.device_put((p, X))
    return lambda: jax.block_until_ready(both(p, x))
