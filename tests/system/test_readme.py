"""The README's Python runs, from top to bottom, as a reader would type it."""

from __future__ import annotations

import re
from pathlib import Path

README = Path(__file__).resolve().parents[2] / "README.md"


def test_the_readme_s_code_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = README.read_text()
    blocks = list(re.finditer(r"```python\n(.*?)```", text, re.DOTALL))
    assert blocks
    names = {"__name__": "readme"}
    for block in blocks:
        line = text[: block.start()].count("\n") + 1
        source = "\n" * line + block[1]  # errors name the README's own lines
        exec(compile(source, str(README), "exec"), names)


def test_the_readme_names_every_folder():
    text = README.read_text()
    for folder in ("estimators", "layers", "backend", "native", "tests", "notebooks"):
        assert f"{folder}/" in text


def test_the_readme_has_the_newest_measurements(root, monkeypatch):
    monkeypatch.syspath_prepend(str(root / "benchmarks"))
    import readme

    text = README.read_text()
    assert text == readme.written(text), "run python benchmarks/readme.py"
