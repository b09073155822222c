"""Docstrings, comments and documents name files, classes and members of modules that exist."""

import ast
import builtins
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "orchestra_creds"
CODE = sorted(path for top in ("src", "tests", "scripts") for path in (ROOT / top).rglob("*.py"))
DOCUMENTS = [
    ROOT / "README.md",
    *(path for path in sorted((ROOT / "docs").glob("*.md")) if path.name != "CHANGELOG.md"),
    *sorted(PACKAGE.rglob("*.c")),
    *(path for path in sorted((ROOT / "scripts").iterdir()) if path.is_file() and path.suffix in {"", ".sh"}),
]
"""Files whose whole text counts. Decisions (docs/adr) and the changelog keep the names of their time."""

FOREIGN = {
    "dotenv/variables.py": "a module of python-dotenv",
    "fs/pipe.c": "a file of Linux",
    "maps.py": "a scanned file in the output of an example",
    "credentials.py": "a module of the reader's own service",
    "config/secret_manager.py": "a module that the library replaces",
    "services/secret_manager.py": "a module that the library replaces",
    "dependencies/credentials.py": "a module that the library replaces",
}
FILE = re.compile(r"(?<![$\w./-])(?:[\w-]+/)*\w+\.(?:py|c)\b(?!\.\w)")
GOOGLE_SERVICES = frozenset({"iam", "gcp", "buckets"})
"""Modules of ours with the name of a service of Google's, whose dotted names mean Google's permissions and constraints."""
VARIABLES = frozenset({"secret.name", "table.key", "app.dependency_overrides"})
"""Attributes of an object that is called as a module is."""
MEMBER = re.compile(r"`(?:\w+[./])*(\w+)\.(\w+)(?:\(\))?`")


CLASS = re.compile(r"`([A-Z][A-Za-z]*[a-z][A-Za-z]*)`")


def prose_of(code: str) -> Iterator[str]:
    """Yield the docstrings, also those of variables, and the comments of a module."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.value.value
    for token in tokenize.generate_tokens(io.StringIO(code).readline):
        if token.type == tokenize.COMMENT:
            yield token.string


def missing_files(text: str, path: Path) -> list[str]:
    """Return the files that a text in `path` names and that are neither beside it, nor in its package, nor in the project."""
    inside = path.is_relative_to(PACKAGE) and len(path.relative_to(PACKAGE).parts) > 1
    area = PACKAGE / path.relative_to(PACKAGE).parts[0] if inside else PACKAGE
    folders = (path.parent, area, PACKAGE, ROOT)
    return [
        name for name in FILE.findall(text) if name not in FOREIGN and not any((one / name).exists() for one in folders)
    ]


def members_of(code: str) -> set[str]:
    """Return the names that a module defines or imports at any level, fields included."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(code)):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                found.add(name)
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                found.add(name)
            case ast.alias(name=name, asname=other):
                found.add(other or name)
    return found


MODULES: dict[str, set[str]] = {}
for _path in sorted(PACKAGE.rglob("*.py")):
    MODULES.setdefault(_path.stem, set()).update(members_of(_path.read_text(encoding="utf-8")))
for _path in sorted(PACKAGE.rglob("*.py")):
    MODULES.setdefault(_path.parent.name, set()).add(_path.stem)


def missing_members(text: str) -> list[str]:
    """Return what a text names as `module.member` although no module of that name has such a member."""
    return [
        f"{module}.{member}"
        for module, member in MEMBER.findall(text)
        if module in MODULES
        and member not in MODULES[module] | {"py", "pyi", "c"}
        and module not in GOOGLE_SERVICES
        and f"{module}.{member}" not in VARIABLES
    ]


def words_of(code: str) -> set[str]:
    """Return the identifiers of a module and the words of its texts, but not those of docstrings."""
    tree = ast.parse(code)
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    found = members_of(code)
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name):
                found.add(name)
            case ast.Constant(value=str(text)) if id(node) not in docstrings:
                found.update(re.findall(r"\w+", text))
    return found


WORDS = set(dir(builtins)).union(*(words_of(path.read_text(encoding="utf-8")) for path in PACKAGE.rglob("*.py")))


def missing_classes(text: str) -> list[str]:
    """Return what a text names in backticks, spelled as a class, although the package has no such word."""
    return [name for name in CLASS.findall(text) if name not in WORDS]


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_docstrings_and_comments_name_what_exists(path: Path) -> None:
    texts = list(prose_of(path.read_text(encoding="utf-8")))
    assert [name for text in texts for name in missing_files(text, path)] == []
    if path.is_relative_to(PACKAGE):
        assert [name for text in texts for name in missing_members(text) + missing_classes(text)] == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_documents_name_files_that_exist(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert missing_files(text, path) + missing_classes(text) == []


def test_names_of_other_projects_are_all_used() -> None:
    texts = "".join(path.read_text(encoding="utf-8") for path in [*CODE, *DOCUMENTS] if path != Path(__file__))
    assert [name for name in FOREIGN if name not in texts] == []


def test_an_old_name_is_found() -> None:
    code = '"""See replay.py and `transitions.after`."""\nMOST = 1\n"""As in scanner/quick.py."""\nLEAST = 0  # gitcall.py\n'
    named = [name for text in prose_of(code) for name in missing_files(text, PACKAGE / "scanner" / "rule.py")]
    assert sorted(named) == ["gitcall.py", "replay.py", "scanner/quick.py"]
    assert [name for text in prose_of(code) for name in missing_members(text)] == ["transitions.after"]
    assert missing_classes("a `Standing` is a `CredentialStatus`, `yes` or `None`") == ["Standing"]


@pytest.mark.parametrize(
    "text", ["see git/pack.py", "rule.py", "core/ports.py", "tests/test_names.py", "git/report_cache.py:12"]
)
def test_a_file_may_be_named_from_several_folders(text: str) -> None:
    assert missing_files(text, PACKAGE / "scanner" / "rule.py") == []
