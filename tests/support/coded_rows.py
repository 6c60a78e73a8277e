"""Rows that are held as codes of 16 bits."""

import numpy as np

from slimlearn.backend.coded import Coded


def coded_rows(rows: int = 70, width: int = 5, seed: int = 0) -> Coded:
    """Two columns of codes, along curves of 9 and 300 knots."""
    rng = np.random.default_rng(seed)
    codes = np.stack([rng.integers(0, 8 << 6, rows), rng.integers(0, 300, rows)], 1)
    knots = np.append(rng.normal(size=309), 0.0).astype(np.float32)
    numbers = np.array([(0, 0, 6), (1, 9, 0)])[rng.integers(0, 2, width)]
    return Coded(codes.astype(np.uint16), numbers, knots)
