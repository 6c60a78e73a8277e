"""Fit with the slimlearn that is installed; print where it is, its levels, a digest.

The digest must not depend on who built the module, nor for which Python.
"""

import ctypes
import hashlib
from pathlib import Path

import numpy as np

import slimlearn
from slimlearn.backend import engine

library = Path(slimlearn.__file__).parent / "lib" / "libslim.so.1"
assert ctypes.CDLL(library).slim_api_version() == 1

X = np.random.RandomState(0).normal(size=(500, 20))
y = X[:, 0] * X[:, 1] > 0
digest = hashlib.sha256()
for options in ({"dropout": 0.1}, {"precision": "float64", "batch_norm": True}):
    model = slimlearn.DNNClassifier(
        (64, 32), max_iter=10, random_state=0, n_threads=2, **options
    )
    digest.update(model.fit(X, y).predict_proba(X).tobytes())
print(slimlearn.__file__)
print(",".join(engine.available_isas()))
print(digest.hexdigest()[:16])
