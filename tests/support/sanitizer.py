"""Whether this process runs under AddressSanitizer, as ``make sanitize`` does."""

import os

import pytest

SANITIZED = "asan" in os.environ.get("LD_PRELOAD", "")

not_sanitized = pytest.mark.skipif(
    SANITIZED, reason="the sanitizer has allocators of its own"
)
