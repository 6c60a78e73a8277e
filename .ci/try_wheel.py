"""Fit with the slimlearn that is installed; print where it is, its levels, a digest.

The digest must not depend on who built the module, nor for which Python. The library
beside it answers as the module does, on each level, and C finds it by pkg-config.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import slimlearn
from slimlearn.backend import engine

package = Path(slimlearn.__file__).parent
example = Path(__file__).resolve().parents[1] / "examples/c_api"

X = np.random.RandomState(0).normal(size=(500, 20))
y = X[:, 0] * X[:, 1] > 0
digest = hashlib.sha256()
for options in ({"dropout": 0.1}, {"precision": "float64", "batch_norm": True}):
    model = slimlearn.DNNClassifier(
        (64, 32), max_iter=10, random_state=0, n_threads=2, **options
    )
    digest.update(model.fit(X, y).predict_proba(X).tobytes())


def run(*command, **variables) -> str:
    """What a command says of the first rows."""
    rows = "\n".join(" ".join(map(repr, row)) for row in X[:5].tolist())
    return subprocess.check_output(
        [str(word) for word in command],
        input=rows,
        text=True,
        env=os.environ | variables,
    )


with tempfile.TemporaryDirectory() as folder:
    file = Path(folder) / "model.slim"
    model.save(file)
    loaded = slimlearn.load(file)
    assert (loaded.predict_proba(X) == model.predict_proba(X)).all()
    library = package / "lib/libslim.so.1"
    for level in engine.available_isas():
        told = run(
            sys.executable, example / "predict.py", library, file, SLIM_ISA=level
        )
        found = [line.split() for line in told.splitlines()]
        assert [row[0] for row in found] == list(map(str, model.predict(X[:5]))), told
        numbers = np.array([row[1:] for row in found], float)
        np.testing.assert_allclose(numbers, model.predict_proba(X[:5]), rtol=1e-9)
    if shutil.which("pkg-config") and shutil.which("cc"):
        place = {"PKG_CONFIG_PATH": str(package / "lib/pkgconfig")}
        flags = run("pkg-config", "--cflags", "--libs", "slim", **place).split()
        program = Path(folder) / "predict"
        run("cc", "-std=c99", example / "predict.c", "-o", program, *flags)
        same = run(program, file, LD_LIBRARY_PATH=str(package / "lib"), SLIM_ISA=level)
        assert [line.split()[0] for line in same.splitlines()] == [r[0] for r in found]
print(slimlearn.__file__)
print(",".join(engine.available_isas()))
print(digest.hexdigest()[:16])
