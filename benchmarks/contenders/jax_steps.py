"""JAX with each step jitted: XLA's convolutions are slow inside a scan on a CPU."""

from functools import lru_cache, partial

import jax
from contenders.jax_scan import Scan, step


@lru_cache(maxsize=8)
def step_of(static):
    """Return the jitted step; it gathers its own rows."""

    @partial(jax.jit, donate_argnums=0)
    def jitted(carry, X, y, rows):
        return step(static, carry, (X[rows], y[rows]))[0]

    return jitted


class Steps(Scan):
    """A network and its steps, behind fit, predict and score."""

    def epoch(self, static, rows):
        """Return what moves the weights through all rows once."""
        move, batch = step_of(static), self.case.batch

        def epoch(static, carry, X, y):
            key, mine = jax.random.split(carry[-1])
            carry = (*carry[:-1], key)
            order = jax.random.permutation(mine, rows)
            for first in range(0, rows, batch):
                carry = move(carry, X, y, order[first : first + batch])
            return carry

        return epoch


def prepare(case, epochs):
    """Return the steps of a case, not yet run."""
    return Steps(case, epochs)
