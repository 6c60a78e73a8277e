"""The code of the pages runs, from top to bottom, as a reader would type it."""

from __future__ import annotations

import ast
import re
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
from sklearn.neural_network import MLPClassifier

from slimlearn import callbacks
from slimlearn.backend.optimizer import OPTIMIZERS
from slimlearn.backend.schedule import SCHEDULES

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


def test_the_page_of_steps_names_what_there_is():
    text = (ROOT / "docs" / "guide" / "steps.md").read_text()
    told = {word.strip('"') for word in re.findall(r'`("?\w+"?)`', text)}
    kinds = {name for name in dir(callbacks) if name[0].isupper()}
    given = kinds - {"FitState", "FitStopped"} | {*OPTIMIZERS, *SCHEDULES}
    assert given - told == set()


def table(page: str) -> list[list[list[str]]]:
    """The code in each cell of the rows of a page's table."""
    text = (ROOT / "docs" / "coming" / f"{page}.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    return [
        [re.findall(r"`([^`]+)`", cell) for cell in row.strip("| ").split(" | ")]
        for row in rows
    ]


@pytest.mark.parametrize("page", ["keras", "scikit_learn", "skorch", "tf_slim"])
def test_code_in_tables_is_python(page):
    rows = table(page)
    assert len(rows) > 5
    for code in (code for row in rows for cell in row for code in cell):
        plain = code.replace("…", "...").removesuffix(".*")
        plain = re.sub(
            r"=(?=[,)]|$)", "=0", plain
        )  # `fit(…, X_val=)` names what it has
        try:
            ast.parse(plain)
        except SyntaxError:
            call = f"f({plain})"  # of keywords, such as `a=1, b=2`
            ast.parse(re.sub(r", \.\.\.\)$", ")", call))


def test_what_the_table_says_of_scikit_learn_is_there():
    theirs = MLPClassifier()
    made = MLPClassifier((2,), max_iter=1, early_stopping=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made.fit([[0.0], [1.0]] * 10, [0, 1] * 10)
    known = {*theirs.get_params(), *vars(made), "MLPClassifier", "MLPRegressor"}
    for before, *_ in table("scikit_learn"):
        for code in before:
            name, _, value = code.partition("=")
            assert name in known, code
            if value:
                MLPClassifier(**{name: ast.literal_eval(value)})._validate_params()
