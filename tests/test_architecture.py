"""The structure is a test: imports go one way, files and functions fit a head."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "chargeback_worker"
FILE_LINES_MAX = 345
FUNCTION_LINES_MAX = 60
CHARTER_LINES_MAX = 25

SOURCES = [path for path in sorted(PACKAGE.rglob("*.py")) if "migrations" not in path.parts]
PACKAGES = [path for path in SOURCES if path.name == "__init__.py"]


def _functions(tree: ast.AST) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            yield node.name, node.end_lineno - node.lineno + 1


def test_imports_go_down_the_layers_and_never_back() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_no_file_and_no_function_outgrows_a_head() -> None:
    long_files = {
        str(path.relative_to(ROOT)): lines
        for path in SOURCES
        if (lines := path.read_text().count("\n")) > FILE_LINES_MAX
    }
    long_functions = {
        f"{path.relative_to(ROOT)}:{name}": lines
        for path in SOURCES
        for name, lines in _functions(ast.parse(path.read_text()))
        if lines > FUNCTION_LINES_MAX
    }
    assert (long_files, long_functions) == ({}, {})


@pytest.mark.parametrize("path", PACKAGES, ids=lambda path: path.parent.name)
def test_every_package_has_a_charter_that_fits_a_screen(path: Path) -> None:
    charter = ast.get_docstring(ast.parse(path.read_text()))
    assert charter, f"{path} says nothing of what it owns"
    assert charter.count("\n") < CHARTER_LINES_MAX


def test_no_clock_is_read_below_the_doors() -> None:
    pure = ["usage", "allocation", "invoicing", "documents", "simulation", "pipeline", "reports"]
    told = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for room in pure
        for path in sorted((PACKAGE / room).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and node.attr in ("now", "utcnow", "today")
        and isinstance(node.value, ast.Name)
        and node.value.id in ("datetime", "date")
    ]
    assert told == []


def test_no_float_takes_part_where_money_is() -> None:
    """Simulation is left out: it computes costs in floats because CostTracker does."""
    exact = [PACKAGE / "money.py", *(PACKAGE / "usage").rglob("*.py")]
    for room in ("allocation", "invoicing", "documents"):
        exact += (PACKAGE / room).rglob("*.py")
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in exact
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.Constant) and isinstance(node.value, float))
        or (isinstance(node, ast.Name) and node.id == "float")
    ]
    assert found == []
