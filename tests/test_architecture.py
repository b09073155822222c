"""The dependency rule of docs/architecture.md, read from the syntax tree: imports inside functions count too."""

import ast
from pathlib import Path

import pytest

SRC = Path(__file__).parents[1] / "src" / "orchestra_creds"
LAYER = {
    "__main__": 6,
    "cli": 5,
    "library": 5,
    "fastapi": 6,
    "bootstrap": 4,
    "rotation": 3,
    "manage": 3,
    "scanner": 3,
    "setup": 3,
    "gcp": 3,
    "github": 3,
    "notify": 3,
    "schedule": 3,
    "emulator": 3,
    "render": 3,
    "config": 3,
    "folders": 2,
    "textfile": 2,
    "outfile": 2,
    "parallel": 2,
    "core": 1,
    "errors": 0,
    "__init__": 6,
}
ALLOWED_BESIDE = {
    ("render", "emulator"): {
        "emulator.protocol.faults.FaultSettings",
        "emulator.server.control.Daemon",
        "emulator.store.store.AuditEntry",
    },
    ("render", "scanner"): {"scanner.finding", "scanner.rule", "scanner.source"},
    ("render", "setup"): {"setup.change"},
    ("render", "rotation"): {"rotation.outcome", "rotation.status", "rotation.journal"},
}
"""What one service may read of another: data types only."""

OWNER = {
    "typer": ("cli",),
    "fastapi": ("fastapi",),
    "rich": ("render",),
    "jinja2": ("render",),
    "google": ("gcp", "emulator"),
    "google_crc32c": ("gcp", "emulator"),
    "grpc": ("gcp", "emulator"),
    "grpc_status": ("gcp", "emulator"),
    "hyperscan": ("scanner",),
    "isal": ("scanner",),
    "re2": ("scanner", "emulator"),
    "zstandard": ("scanner",),
    "subprocess": (
        "scanner.git.process",
        "rotation.programs",
        "schedule.programs",
        "cli.value_command",
        "cli.supervise",
    ),
}


def imports(tree: ast.AST) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "use absolute imports"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def violations(here: str, names: set[str]) -> list[str]:
    """Every import in module `here` (dotted, below the package) that the rule forbids."""
    top = here.split(".", maxsplit=1)[0]
    if top not in LAYER:
        return [f"{here}: give the new module a layer"]
    wrong = []
    for name in sorted(names):
        if name.startswith("orchestra_creds."):
            below = name.removeprefix("orchestra_creds.")
            target = below.split(".")[0]
            beside = any(below == m or below.startswith(m + ".") for m in ALLOWED_BESIDE.get((top, target), ()))
            if target in LAYER and target != top and not (LAYER[target] < LAYER[top] or beside):
                wrong.append(f"{here} must not import {name}")
        owners = OWNER.get(name.split(".")[0])
        if owners is not None and not any(here == o or here.startswith(o + ".") for o in owners):
            wrong.append(f"{here} must not import {name}: only {', '.join(owners)} may")
    return wrong


@pytest.mark.parametrize("path", sorted(SRC.rglob("*.py")), ids=lambda p: str(p.relative_to(SRC)))
def test_imports_point_inwards(path: Path) -> None:
    here = ".".join(path.relative_to(SRC).with_suffix("").parts).removesuffix(".__init__")
    assert violations(here, imports(ast.parse(path.read_text()))) == []


@pytest.mark.parametrize(
    ("here", "code"),
    [
        ("core.ports", "import orchestra_creds.scanner.rule"),
        ("scanner.engine.engine", "from orchestra_creds.render import sarif"),
        ("cli.scan", "import subprocess"),
        ("scanner.rule", "def late():\n    from google.auth import default"),
        ("render.json", "from orchestra_creds.scanner import engine"),
        ("novelty", "import os"),
    ],
)
def test_a_forbidden_import_is_named(here: str, code: str) -> None:
    assert len(violations(here, imports(ast.parse(code)))) == 1


def test_core_and_errors_import_only_the_standard_library() -> None:
    import sys

    for path in [SRC / "errors.py", *sorted((SRC / "core").glob("*.py"))]:
        for name in imports(ast.parse(path.read_text())):
            top = name.split(".")[0]
            assert top == "orchestra_creds" or top in sys.stdlib_module_names, f"{path.name} imports {name}"


def test_package_files_are_empty() -> None:
    for path in SRC.rglob("__init__.py"):
        if path.parent != SRC:
            assert path.read_text() == "", f"{path} must be empty"


def test_the_top_level_holds_what_the_design_names() -> None:
    allowed = {"pyproject.toml", "README.md", "src", "tests", "docs", "scripts", "LICENSE"}
    visible = {p.name for p in SRC.parents[1].iterdir() if not p.name.startswith(".")}
    assert {name for name in visible - allowed if not name.endswith(".lock")} == set()
