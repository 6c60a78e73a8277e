"""The code of the pages runs, from top to bottom, as a reader would type it."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

ROOT = Path(__file__).resolve().parents[2]
CELL = re.compile(r"^```\{code-cell\} python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PAGES = [
    path for path in sorted(ROOT.glob("docs/**/*.md")) if CELL.search(path.read_text())
]


def cells(path: Path):
    """Yield the code of each cell, at the line of the page where it stands."""
    text = path.read_text()
    for cell in CELL.finditer(text):
        code = re.sub(r"\A:tags: .*\n", "\n", cell[1])
        yield compile(
            "\n" * text[: cell.start(1)].count("\n") + code, str(path), "exec"
        )


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_the_code_of_a_page_runs(path, tmp_path, monkeypatch):
    if "vega_datasets" in path.read_text():
        pytest.importorskip("vega_datasets", reason="the page's data are not installed")
    monkeypatch.chdir(tmp_path)
    plt.switch_backend("Agg")
    names = {"__name__": f"page_{path.stem}"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for cell in cells(path):
            exec(cell, names)
    plt.close("all")


def test_python_on_pages_is_code_that_runs():
    """A fence of plain Python would be shown and never tried."""
    for path in ROOT.glob("docs/*/*.md"):
        assert "```python" not in path.read_text(), path
