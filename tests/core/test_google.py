"""Facts of Google stand in one module: no other file of the program writes them out again."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestra_creds.core import google

SRC = Path(google.__file__).parents[1]
FACTS = {value for name, value in vars(google).items() if name.isupper() and isinstance(value, str)} - {google.OWNER}
IMITATION = ("emulator/", "scanner/")
"""The emulator writes Google's answers out by itself, the scanner its rules."""


def copies(code: str) -> Iterator[str]:
    """Yield every fact that the code writes out; a text that only holds one, such as a hint, is none."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in FACTS:
            yield node.value


@pytest.mark.parametrize("path", sorted(SRC.rglob("*.py")), ids=lambda path: str(path.relative_to(SRC)))
def test_no_fact_stands_twice(path: Path) -> None:
    if path != Path(google.__file__) and not str(path.relative_to(SRC)).startswith(IMITATION):
        assert list(copies(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "code", ['ROLE = "roles/run.invoker"', 'labels = {"managed-by": x}', 'name = f"{account}-key"', 'a = "managed-by"']
)
def test_a_copy_is_named(code: str) -> None:
    assert len(list(copies(code))) == 1
