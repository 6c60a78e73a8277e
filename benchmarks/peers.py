"""The peers' environment: made at its first use from requirements.txt.

``BENCH_PYTHON`` names the Python of one that is there already.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
PEERS = HERE.parent / ".bench-venv"


def peers_python() -> str:
    """Return its Python; installs what requirements.txt says now."""
    if given := os.environ.get("BENCH_PYTHON"):
        return given
    python = PEERS / "bin" / "python"
    requirements = HERE / "requirements.txt"
    stamp = PEERS / "requirements.txt"
    if not stamp.exists() or stamp.read_text() != requirements.read_text():
        subprocess.run([sys.executable, "-m", "venv", PEERS], check=True)
        install = [python, "-m", "pip", "install", "--quiet", "-r", requirements]
        subprocess.run(install, check=True)
        stamp.write_text(requirements.read_text())
    return str(python)
