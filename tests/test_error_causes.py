"""No decision is taken by the wording of an error: a cause is a class or a field, read from the syntax tree of all of src."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SRC = Path(__file__).parents[1] / "src" / "orchestra_creds"
SEARCHES = {
    "startswith",
    "endswith",
    "find",
    "index",
    "count",
    "match",
    "search",
    "fullmatch",
    "findall",
    "split",
    "partition",
}
TEXTS = {"args", "message", "reason_text"}


def _is_error_class(node: ast.expr | None) -> bool:
    """Return whether an annotation names an exception."""
    return node is not None and any(
        name.endswith(("Error", "Exception"))
        for word in ast.walk(node)
        for name in (getattr(word, "id", ""), getattr(word, "attr", ""))
    )


def _errors(node: ast.AST) -> set[str]:
    """Return the names that hold an exception by this one node."""
    match node:
        case ast.ExceptHandler(name=str(name)):
            return {name}
        case ast.arg(arg=name, annotation=annotation) if _is_error_class(annotation):
            return {name}
        case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation) if _is_error_class(annotation):
            return {name}
    return set()


def _texts(node: ast.AST, errors: set[str], texts: set[str]) -> Iterator[ast.AST]:
    """Yield the parts of an expression that are an error's text: `str(error)`, `error.args`, `f"{error}"`, or a name for one."""
    for part in ast.walk(node):
        match part:
            case ast.Call(func=ast.Name(id="str" | "repr" | "format"), args=[ast.Name(id=name), *_]) if name in errors:
                yield part
            case ast.Attribute(value=ast.Name(id=name), attr=attribute) if name in errors and attribute in TEXTS:
                yield part
            case ast.FormattedValue(value=ast.Name(id=name)) if name in errors:
                yield part
            case ast.Name(id=name, ctx=ast.Load()) if name in texts:
                yield part


def _is_text(value: ast.expr) -> bool:
    """Return whether an assigned expression can be the text itself: not a call that only takes it as an argument."""
    while isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute):
        value = value.func.value  # str(error).lower() is a text, parse(str(error)) is none
    return isinstance(value, ast.Call | ast.JoinedStr | ast.Attribute | ast.Subscript) and not (
        isinstance(value, ast.Call)
        and not (isinstance(value.func, ast.Name) and value.func.id in {"str", "repr", "format"})
    )


def comparisons(code: str) -> list[int]:
    """Return the lines that compare or search the text of an exception."""
    tree = ast.parse(code)
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return sorted({line for scope in (tree, *functions) for line in _comparisons_in(scope)})


def _comparisons_in(scope: ast.Module | ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[int]:
    """Yield the lines of one function, or of the module's own statements."""
    inside = (
        [scope, *ast.walk(scope)]
        if not isinstance(scope, ast.Module)
        else [
            part
            for node in scope.body
            if not isinstance(node, ast.FunctionDef | ast.ClassDef)
            for part in ast.walk(node)
        ]
    )
    errors = {name for node in inside for name in _errors(node)}
    texts: set[str] = set()
    for node in inside:
        if isinstance(node, ast.Assign) and _is_text(node.value) and any(_texts(node.value, errors, texts)):
            texts |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    for node in inside:
        if isinstance(node, ast.Compare):
            parts: list[ast.AST] = [node]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in SEARCHES:
            parts = [node.func.value, *node.args]
        elif isinstance(node, ast.Match):
            parts = [node.subject]
        else:
            continue
        if any(any(_texts(part, errors, texts)) for part in parts):
            yield node.lineno


@pytest.mark.parametrize("path", sorted(SRC.rglob("*.py")), ids=lambda path: str(path.relative_to(SRC)))
def test_no_decision_reads_the_text_of_an_error(path: Path) -> None:
    assert comparisons(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "decision",
    [
        'if "permission" in str(error): raise',
        'if str(error).startswith("not found"): raise',
        'if error.args[0] == "gone": raise',
        'if re.search("exists", str(error)): raise',
        'if "x" not in f"{error}": raise',
        'text = str(error).lower()\n    if "denied" in text: raise',
        'match str(error):\n        case "gone": raise',
    ],
)
def test_a_decision_by_the_text_is_named(decision: str) -> None:
    code = f"import re\ntry:\n    work()\nexcept ValueError as error:\n    {decision}\n"
    assert len(comparisons(code)) == 1


def test_a_parameter_that_is_an_error_counts_too() -> None:
    assert comparisons('def is_gone(error: CredsError) -> bool:\n    return "gone" in str(error)\n') == [2]


@pytest.mark.parametrize(
    "use", ["print(str(error))", "raise Other(str(error)) from error", "if error.code == 5: raise"]
)
def test_passing_an_error_on_is_no_decision(use: str) -> None:
    assert comparisons(f"try:\n    work()\nexcept ValueError as error:\n    {use}\n") == []
