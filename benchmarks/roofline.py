"""The machine's limits, measured in the same run as the jobs they bound."""

from __future__ import annotations

import ctypes
import subprocess
import tempfile
from pathlib import Path

# A limit is the best of some short looks: a machine that is shared is never faster.
_SECONDS, _TIMES = 0.05, 5

SOURCE = Path(__file__).with_name("roofline.cpp")


class Machine:
    """Compiles the probe once and measures when asked."""

    def __init__(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            library = Path(folder) / "roofline.so"
            flags = "-O3 -march=native -fopenmp -ffp-contract=fast -shared -fPIC"
            subprocess.run(["g++", *flags.split(), SOURCE, "-o", library], check=True)
            self._probe = ctypes.CDLL(str(library))
        self._probe.fma_peak.restype = ctypes.c_double
        self._probe.bandwidth.restype = ctypes.c_double

    def fma_peak(self, threads: int) -> float:
        """Return FLOP/s in float32."""
        seconds = ctypes.c_double(_SECONDS)
        return max(self._probe.fma_peak(threads, seconds) for _ in range(_TIMES))

    def bandwidth(self, threads: int, working_set: int) -> float:
        """Return bytes/s over a working set of so many bytes."""
        size, seconds = ctypes.c_int64(working_set), ctypes.c_double(_SECONDS)
        ask = self._probe.bandwidth
        return max(ask(threads, size, seconds) for _ in range(_TIMES))

    def step_seconds(self, case) -> dict[str, float]:
        """Return the least time of a step: arithmetic, then the update's bytes."""
        peak = self.fma_peak(case.threads)
        rate = self.bandwidth(case.threads, 16 * case.parameters())
        return {
            "fma_peak": peak,
            "bandwidth": rate,
            "seconds": case.flops() / peak + case.update_bytes() / rate,
        }
