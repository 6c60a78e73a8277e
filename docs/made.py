"""Pages that are made from what stands elsewhere: figures, notebooks, the changelog."""

from __future__ import annotations

import re
from pathlib import Path

import readme
from api import put

ROOT = Path(__file__).resolve().parents[1]

BENCHMARKS = """# Benchmarks

`make bench` trains the same networks with slimlearn and with what you would take
instead, each in its own process and in turn, with equal threads and work, and prints
the ratios beside the scores and the machine's measured limits. All figures here are
read from the records in `benchmarks/results` when the pages are built.

## Speed

{speed}

## scikit-learn's checks

Every estimator in every shape passes every check of `check_estimator`, and none is
skipped. With dropout, checks that a row of weight 2 trains as two equal rows do are
mathematically false, as each row draws units of its own; they are named as such, and
nothing else is. `python benchmarks/conformance.py` counts, for slimlearn and for what
you would take instead, set up as its documentation says:

{conformance}

## How it is measured

{how}

```{{toctree}}
:hidden:

tables
```
"""
NOTEBOOKS = """# Notebooks

As they are stored, with their outputs; the tests run them.

```{{toctree}}
:maxdepth: 1

{names}
```
"""


def write(folder: Path) -> None:
    """Write all of them into the folder of the sources."""
    how = (ROOT / "benchmarks/README.md").read_text().partition("\n")[2]
    text = BENCHMARKS.format(
        speed=readme.speed(),
        conformance=readme.conformance(),
        how=how.replace("\n## ", "\n### "),
    )
    put(folder / "benchmarks.md", text)
    tables = (ROOT / "benchmarks/tables.md").read_text()
    put(folder / "tables.md", tables.replace("](README.md", "](benchmarks.md"))

    notebooks = folder / "notebooks"
    notebooks.mkdir(exist_ok=True)
    found = sorted((ROOT / "notebooks").glob("*.ipynb"))
    for path in found:
        put(notebooks / path.name, path.read_text())
    names = "\n".join(path.stem for path in found)
    put(notebooks / "index.md", NOTEBOOKS.format(names=names))

    for name in ("CHANGELOG.md", "CONTRIBUTING.md"):
        put(folder / name.lower(), local((ROOT / name).read_text()))


def local(text: str) -> str:
    """Return a file of the top folder as a page: other files are at the source."""
    project = (ROOT / "pyproject.toml").read_text()
    source = re.search(r'^Source = "(.+)"', project, re.MULTILINE)[1]
    text = re.sub(
        r"\]\((CHANGELOG|CONTRIBUTING)\.md", lambda m: f"]({m[1].lower()}.md", text
    )
    return re.sub(
        r"\]\((?!https?:|#|changelog|contributing)", f"]({source}/blob/main/", text
    )
