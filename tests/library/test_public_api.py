"""The public API: what `__all__` names, what docs/library.md lists, and nothing else."""

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src" / "orchestra_creds"
PAGE = (ROOT / "docs" / "library.md").read_text(encoding="utf-8")
PUBLIC = ("orchestra_creds", "orchestra_creds.fastapi")
RE_EXPORTS = {"core/record.py"}
"""Private modules that need `__all__` for type checkers, because they hand on names of the standard library."""
SEED_NAMES = re.compile(r"vertex|gemini|redis-host|openai|memory-system", re.IGNORECASE)
"""Accounts and secrets of the project that this tool was first written for."""


def listed_names(page: str, module: str) -> list[str]:
    """Return the names in the first column of the table that the page headlines with `module`."""
    table = re.search(rf"^\| `{re.escape(module)}` \|.*\n\| --- .*\n((?:\|.*\n)+)", page, re.MULTILINE)
    return re.findall(r"^\| `(\w+)`", table[1], re.MULTILINE) if table else []


def defines_all(code: str) -> bool:
    """Return whether a module assigns `__all__` at its top level."""
    return any(
        isinstance(node, ast.Assign)
        and any(isinstance(each, ast.Name) and each.id == "__all__" for each in node.targets)
        for node in ast.parse(code).body
    )


def public_definitions(code: str) -> set[str]:
    """Return the functions and classes at a module's top level whose names have no leading underscore."""
    found = {
        n.name for n in ast.parse(code).body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    }
    return {name for name in found if not name.startswith("_")}


@pytest.mark.parametrize("module", PUBLIC)
def test_the_page_lists_what_the_module_offers(module: str) -> None:
    offered = importlib.import_module(module).__all__
    assert offered == sorted(offered)
    assert sorted(listed_names(PAGE, module)) == offered


@pytest.mark.parametrize("module", PUBLIC)
def test_everything_offered_can_be_imported(module: str) -> None:
    imported = importlib.import_module(module)
    assert all(callable(getattr(imported, name)) for name in imported.__all__)


def test_a_name_that_is_missing_on_the_page_is_noticed() -> None:
    page = "| `orchestra_creds` | what |\n| --- | --- |\n| `CredentialManager` | reads |\n\n| `other` | what |\n"
    assert listed_names(page, "orchestra_creds") == ["CredentialManager"]
    assert listed_names(page, "orchestra_creds.fastapi") == []


def test_only_the_public_modules_have_an_all() -> None:
    found = {path.relative_to(SRC).as_posix() for path in SRC.rglob("*.py") if defines_all(path.read_text("utf-8"))}
    assert found - RE_EXPORTS == {"__init__.py", "fastapi.py"}
    assert not defines_all("def make() -> None:\n    __all__ = []")


def test_a_public_module_hides_what_it_does_not_offer() -> None:
    module = importlib.import_module("orchestra_creds.fastapi")
    assert public_definitions((SRC / "fastapi.py").read_text("utf-8")) == set(module.__all__)
    assert public_definitions("def _a(): ...\nclass B: ...") == {"B"}


@pytest.mark.parametrize("page", ["library.md", "architecture.md"])
def test_the_documents_say_that_the_rest_is_private(page: str) -> None:
    text = " ".join((ROOT / "docs" / page).read_text(encoding="utf-8").split())
    assert re.search(r"Everything else in the package is private", text)


def test_the_package_alone_loads_no_library() -> None:
    code = "import sys, orchestra_creds; print([name for name in sys.modules if name.startswith('orchestra_creds.')])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_the_library_alone_loads_no_client_of_google() -> None:
    code = "import sys\nfrom orchestra_creds import CredentialManager\nprint({'google', 'grpc', 'requests'} & {*sys.modules})"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"


def test_a_type_checker_is_told_of_the_same_names() -> None:
    stub = ast.parse((SRC / "__init__.pyi").read_text("utf-8")).body
    listed = next(ast.literal_eval(node.value) for node in stub if isinstance(node, ast.Assign))
    imported = [alias.name for node in stub if isinstance(node, ast.ImportFrom) for alias in node.names]
    assert listed == sorted(imported) == importlib.import_module("orchestra_creds").__all__


def test_a_type_checker_sees_the_types(tmp_path: Path) -> None:
    user = tmp_path / "service.py"
    user.write_text("from orchestra_creds import CredentialManager\nwrong: int = CredentialManager().get_secret('a')\n")
    run = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", f"--cache-dir={tmp_path}", str(user)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert 'expression has type "str"' in run.stdout, run.stdout + run.stderr


@pytest.mark.parametrize("path", [*sorted((SRC / "library").glob("*.py")), SRC / "fastapi.py"], ids=lambda p: p.name)
def test_the_library_names_no_account_of_one_project(path: Path) -> None:
    assert SEED_NAMES.findall(path.read_text(encoding="utf-8")) == []


def test_a_name_of_one_project_is_found() -> None:
    assert SEED_NAMES.search('get_service_account_key("vertex-ai-agent")')
