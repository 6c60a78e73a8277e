"""A disk that is full."""

import resource
from contextlib import contextmanager


@contextmanager
def largest_file(size: int):
    """Let no file of this process grow beyond `size` bytes."""
    kind = resource.RLIMIT_FSIZE
    before = resource.getrlimit(kind)
    resource.setrlimit(kind, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(kind, before)
