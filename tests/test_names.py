"""Names of the package: one class for one name, verbs for what a function does, and the words of the glossary."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SRC = ROOT / "src" / "orchestra_creds"
GLOSSARY = ROOT / "docs" / "glossary.md"
MODULES = {path.relative_to(SRC): path.read_text(encoding="utf-8") for path in sorted(SRC.rglob("*.py"))}

IRREGULAR = frozenset(
    """
    been begun bent bitten blown borne bought bound broken brought built caught chosen come crept dealt done drawn driven eaten
    fallen fed felt fled flown forgotten found frozen given gone got gotten grown heard held hidden hung kept known laid led
    left lent lost made meant met paid proven ridden risen said seen sent shot shown slept sold sought spent spoken spun stolen
    stood struck stuck sung sunk swept sworn swung taken taught thought thrown told torn understood won worn written
    """.split()  # noqa: SIM905  a list of words reads best as words
)
NO_PARTICIPLES = frozenset({"embed", "exceed", "feed", "need", "proceed", "seed", "shred", "speed", "succeed"})
GOOGLE_FOLDERS = frozenset({"gcp", "emulator"})
GOOGLE_WORDS = frozenset({"payload"})
"""Words of Google's API, which its adapters and the emulator must use."""
BARE_PARTICIPLES_THAT_STAY: dict[str, str] = {}
"""Function names that are allowed all the same, each with its reason."""


def classes(code: str) -> Iterator[str]:
    """Yield the names of all classes, without underscores in front: `_Plan` reads as `Plan`."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ClassDef):
            yield node.name.lstrip("_")


def duplicates(modules: dict[Path, str]) -> dict[str, list[str]]:
    """Return the class names that stand for several things, with the files that define them."""
    found: dict[str, list[str]] = defaultdict(list)
    for path, code in modules.items():
        for name in classes(code):
            found[name].append(str(path))
    return {name: paths for name, paths in found.items() if len(paths) > 1}


def is_bare_participle(name: str) -> bool:
    """Return whether a function's name is one word in the form of a past participle."""
    word = name.strip("_")
    return word in IRREGULAR or (word.endswith("ed") and word.isalpha() and word not in NO_PARTICIPLES)


def functions(code: str) -> Iterator[str]:
    """Yield the names of all functions and methods, nested ones too."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name


def identifiers(code: str) -> Iterator[str]:
    """Yield every name that the code defines or uses, and no text."""
    for node in ast.walk(ast.parse(code)):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.Name(id=name) | ast.arg(arg=name) | ast.Attribute(attr=name):
                yield name


def words(name: str) -> set[str]:
    """Return the words of an identifier, in lower case and without a plural's s: `StepExecutor` has those of `step_executor`."""
    found = {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)}
    return found | {word.removesuffix("s") for word in found}


def glossary() -> list[tuple[list[str], list[str]]]:
    """Return the terms of each row, and the words that it forbids in identifiers."""
    rows = re.findall(r"^\| ([^|]+) \| [^|]+ \| ([^|]+) \|$", GLOSSARY.read_text(encoding="utf-8"), re.MULTILINE)
    return [(_listed(terms), _listed(never)) for terms, never in rows if set(terms) != {"-"} and terms != "term"]


def _listed(cell: str) -> list[str]:
    return [part.strip() for part in cell.split(",") if part.strip() not in {"", "\N{EN DASH}"}]


def test_no_class_name_stands_for_two_things() -> None:
    assert duplicates(MODULES) == {}


def test_a_second_class_of_a_name_is_reported() -> None:
    twice = {Path("one.py"): "class Plan: ...", Path("two.py"): "def work():\n    class _Plan: ..."}
    assert duplicates(twice) == {"Plan": ["one.py", "two.py"]}


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_a_function_is_named_for_what_it_does_or_returns(path: Path) -> None:
    bare = {name for name in functions(MODULES[path]) if is_bare_participle(name)}
    assert bare - set(BARE_PARTICIPLES_THAT_STAY) == set()


def test_few_bare_participles_stay_and_each_is_used() -> None:
    used = {name for code in MODULES.values() for name in functions(code)}
    assert len(BARE_PARTICIPLES_THAT_STAY) <= 20
    assert set(BARE_PARTICIPLES_THAT_STAY) <= used
    assert all(BARE_PARTICIPLES_THAT_STAY.values())


@pytest.mark.parametrize("name", ["told", "_kept", "rotated", "opened", "made"])
def test_a_bare_participle_is_recognized(name: str) -> None:
    assert is_bare_participle(name)


@pytest.mark.parametrize("name", ["rotate_credentials", "need", "read", "merged_policy", "is_enabled", "embed"])
def test_verbs_nouns_and_longer_names_are_none(name: str) -> None:
    assert not is_bare_participle(name)


def test_every_term_of_the_glossary_is_used() -> None:
    text = re.sub(r"[_\s]+", " ", " ".join(MODULES.values())).lower()
    unused = [term for terms, _ in glossary() for term in terms if not re.search(rf"\b{re.escape(term.lower())}", text)]
    assert glossary()
    assert unused == []


def test_no_identifier_holds_a_word_that_the_glossary_forbids() -> None:
    forbidden = {word for _, never in glossary() for word in never}
    wrong = {
        f"{path}: {name}"
        for path, code in MODULES.items()
        for name in identifiers(code)
        if words(name) & (forbidden - (GOOGLE_WORDS if path.parts[0] in GOOGLE_FOLDERS else set()))
    }
    assert wrong == set()


@pytest.mark.parametrize("name", ["find_candidates_of", "_FirstCandidate", "one_candidate", "CANDIDATES"])
def test_a_forbidden_word_is_found_in_any_spelling(name: str) -> None:
    assert "candidate" in words(name)
