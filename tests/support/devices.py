"""A second device on which all tests can run.

The mirror has a CPU level's kernels and a memory that the host must not touch: its
pages are closed to all but what runs on the device, so code that reads or writes a
value where it lies, without the device's own copies, ends the process; and what was not
copied there is NaN. The other one is the CUDA half, `emulated` or on a GPU.
"""

import os

from slimlearn.backend import engine
from slimlearn.backend.engine.native import native

MIRROR = "mirror"
LEVEL = engine.available_isas()[0]

# () -> (copies to and from its memory so far, pieces of memory it has now)
facts = native.register_test_device(MIRROR, LEVEL)


def use(device: str) -> None:
    """Make programs that name neither a device nor a level run on this one."""
    if device != MIRROR:
        os.environ.setdefault("SLIM_TEST_CUDA", device)
        import support.cuda  # noqa: F401  it registers the emulated one
    plain = engine.compile

    def compile(text, isa=None, **options):
        if isa is None and options.get("device", "cpu") == "cpu":
            options["device"] = device
        return plain(text, isa, **options)

    engine.compile = compile
