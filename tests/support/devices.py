"""A second device: a CPU level's kernels with a memory that the host must not touch.

Its pages are closed to all but what runs on the device, so code that reads or writes a
value where it lies, without the device's own copies, ends the process; and what was not
copied there is NaN.
"""

from slimlearn.backend import engine
from slimlearn.backend.engine.native import native

MIRROR = "mirror"
LEVEL = engine.available_isas()[0]

# () -> (copies to and from its memory so far, pieces of memory it has now)
facts = native.register_test_device(MIRROR, LEVEL)


def use(device: str) -> None:
    """Make programs that name neither a device nor a level run on this one."""
    plain = engine.compile

    def compile(text, isa=None, **options):
        if isa is None and options.get("device", "cpu") == "cpu":
            options["device"] = device
        return plain(text, isa, **options)

    engine.compile = compile
