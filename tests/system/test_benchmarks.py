"""Scripts of benchmarks, which no test runs: what they share is there."""

import ast
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
