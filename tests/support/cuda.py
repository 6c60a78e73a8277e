"""The CUDA half for the tests: on a GPU where there is one, else on the host."""

import os

from slimlearn.backend import engine
from slimlearn.backend.engine.native import native

# `SLIM_TEST_CUDA=emulated` keeps the tests off a GPU that is there.
CUDA = os.environ.get("SLIM_TEST_CUDA") or (
    "cuda" if engine.has("cuda") else "emulated"
)
if CUDA == "emulated":
    native.register_emulated_device(CUDA)
