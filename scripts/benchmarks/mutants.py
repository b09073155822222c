"""How many small faults in the pure decisions of the rotation the tests find: the mutation score.

Each mutant is the module with one change: another comparison, `or` for `and`, a condition less, a number more, a field that is not set.
A mutant counts as found when a test fails, or has no end. Of each mutant only the tests are run that come to the changed line, the
quickest first; the modules are changed in memory, in a child process. Exit code 1: the score is below the floor, or a mutant
that no test finds is not explained in docs/mutants.md.

    scripts/bench mutants                       # all modules
    scripts/bench mutants machine --jobs 2      # one of them
    scripts/bench mutants --only machine.reason
"""

import argparse
import ast
import contextlib
import copy
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import re
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "orchestra_creds" / "rotation"
MODULES = ("machine", "transitions", "retirement", "end_of_life", "status")
"""What decides: the next step, what follows from it, the ends, and the problems."""
TESTS = (
    "test_machine", "test_invariants", "test_status", "test_leaked", "test_end_of_life", "test_isolation", "test_identity",
    "test_copies", "test_hooks", "test_staging", "test_refusals", "test_key_budget", "test_key_usage", "test_catalog",
    "test_issuers", "test_steps", "test_decisions", "test_problems",
)  # fmt: skip
SLOW = "not changing_call and not every_crash and not mistyped and not every_call and not is_a_bug"
"""What is left out from the start: sweeps over all calls of a life, and tests of types."""
FLOOR = 0.95
PAGE = ROOT / "docs" / "mutants.md"
PRELOADED = (
    "pytest", "hypothesis", "hypothesis.strategies", "grpc", "requests", "google.cloud.iam_admin_v1", "google.cloud.secretmanager_v1",
    "google.auth.transport.requests", "google.oauth2.service_account", "cryptography.x509", "googleapiclient", "psycopg",
    "orchestra_creds.gcp.session", "orchestra_creds.gcp.keys", "orchestra_creds.gcp.secrets", "orchestra_creds.gcp.tokens",
    "orchestra_creds.emulator.server.control",
)  # fmt: skip
"""Imported once, before any child; nothing of the rotation is among them."""
KEY_PAIRS = 48
ERRORS = os.dup(2)
"""Where a child complains, whose own output goes nowhere."""
SLOWEST = 8.0
"""Seconds; a slower test is left out."""
LIMIT = 900.0
"""Seconds by the clock that one mutant gets; one that needs more was not decided, and counts as not found."""
PROCESSOR = (3.0, 20.0)
"""A mutant without an end: it took so many times the processor time of its tests, and so many seconds more."""

_COMPARISONS: Mapping[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
_OPERATORS: Mapping[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr, ast.Mult: ast.Div, ast.Div: ast.Mult,
}  # fmt: skip
_CALLS = {"any": "all", "all": "any", "min": "max", "max": "min"}


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of one module: where, and the text before and after it."""

    module: str
    function: str
    line: int
    before: str
    after: str
    number: int
    """Of the changed node, in the order of `ast.walk`."""
    replacement: ast.AST = field(repr=False)

    @property
    def name(self) -> str:
        """What docs/mutants.md calls it; without the line, which moves."""
        return f"{self.module}.{self.function}: {self.before} -> {self.after}"


class _Finder(ast.NodeVisitor):
    """Collects the changes of one module, each as a function that makes it in a copy of the tree."""

    def __init__(self, module: str, tree: ast.Module) -> None:
        self._module, self._tree = module, tree
        self._nodes = {id(node): number for number, node in enumerate(ast.walk(tree))}
        self._scope: list[str] = []
        self.found: list[Mutant] = []

    def _add(self, node: ast.expr, replacement: ast.AST) -> None:
        text = (_line(ast.unparse(node)), _line(ast.unparse(replacement)))
        place = ".".join(self._scope) or "(module)"
        self.found.append(Mutant(self._module, place, node.lineno, *text, self._nodes[id(node)], replacement))

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._scope.append(node.name)
        for statement in node.body:
            self.visit(statement)
        self._scope.pop()

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        if any(isinstance(base, ast.Name) and base.id.endswith("Enum") for base in node.bases):
            return
        self._scope.append(node.name)
        for statement in node.body:
            if isinstance(statement, ast.FunctionDef):
                self.visit(statement)
        self._scope.pop()

    def visit_Compare(self, node: ast.Compare) -> None:
        for number, operator in enumerate(node.ops):
            changed = copy.deepcopy(node)
            changed.ops[number] = _COMPARISONS[type(operator)]()
            self._add(node, changed)
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        changed = copy.deepcopy(node)
        changed.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        self._add(node, changed)
        for number in range(len(node.values)):
            left = [copy.deepcopy(value) for n, value in enumerate(node.values) if n != number]
            self._add(node, left[0] if len(left) == 1 else ast.BoolOp(node.op, left))
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        if isinstance(node.op, ast.Not):
            self._add(node, copy.deepcopy(node.operand))
        self.generic_visit(node)

    def visit_If(self, node: ast.If) -> None:
        self._negate(node.test)
        self.generic_visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self._negate(node.test)
        self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        for test in node.ifs:
            self._negate(test)
        self.generic_visit(node)

    def _negate(self, test: ast.expr) -> None:
        if isinstance(test, ast.Compare) or (isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not)):
            return  # its own change does that
        self._add(test, ast.UnaryOp(ast.Not(), copy.deepcopy(test)))

    def visit_BinOp(self, node: ast.BinOp) -> None:
        if type(node.op) in _OPERATORS and not isinstance(node.left, (ast.JoinedStr, ast.Constant)):
            changed = copy.deepcopy(node)
            changed.op = _OPERATORS[type(node.op)]()
            self._add(node, changed)
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, bool):
            self._add(node, ast.Constant(not node.value))
        elif isinstance(node.value, int):
            self._add(node, ast.Constant(node.value + 1))

    def visit_Call(self, node: ast.Call) -> None:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name in _CALLS:
            changed = copy.deepcopy(node)
            changed.func = ast.Name(_CALLS[name], ast.Load())
            self._add(node, changed)
        if name in {"replace", "Predecessor", "CurrentCredential", "Successor"}:
            for number, keyword in enumerate(node.keywords):
                if keyword.arg is not None:
                    changed = copy.deepcopy(node)
                    del changed.keywords[number]
                    self._add(node, changed)
        self.generic_visit(node)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """Leave texts alone: what a message says is checked by reading it."""

    def visit_Raise(self, node: ast.Raise) -> None:
        """Leave texts of errors alone."""

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)


def tree_of(mutant: Mutant) -> ast.Module:
    """Return the whole module with the change."""
    tree = ast.parse((PACKAGE / f"{mutant.module}.py").read_text(encoding="utf-8"))
    target = next(node for number, node in enumerate(ast.walk(tree)) if number == mutant.number)
    ast.copy_location(mutant.replacement, target)
    for parent in ast.walk(tree):
        for name, value in ast.iter_fields(parent):
            if value is target:
                setattr(parent, name, mutant.replacement)
            elif isinstance(value, list) and any(item is target for item in value):
                value[next(n for n, item in enumerate(value) if item is target)] = mutant.replacement
    return ast.fix_missing_locations(tree)


def _line(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def mutants_of(module: str) -> list[Mutant]:
    """Return every mutant of a module of `rotation/`, in the order of its lines."""
    tree = ast.parse((PACKAGE / f"{module}.py").read_text(encoding="utf-8"))
    finder = _Finder(module, tree)
    finder.visit(tree)
    found = {mutant.name + str(mutant.line): mutant for mutant in finder.found if mutant.before != mutant.after}
    return sorted(found.values(), key=lambda mutant: mutant.line)


# -- what runs in a child


class _Loader(importlib.abc.Loader):
    def __init__(self, tree: ast.Module, path: Path) -> None:
        self._tree, self._path = tree, path

    def exec_module(self, module: Any) -> None:
        exec(compile(self._tree, str(self._path), "exec"), module.__dict__)  # noqa: S102  the mutant


class _Importer(importlib.abc.MetaPathFinder):
    """Gives the mutant instead of its module."""

    def __init__(self, mutant: Mutant) -> None:
        self._name = f"orchestra_creds.rotation.{mutant.module}"
        self._loader = _Loader(tree_of(mutant), PACKAGE / f"{mutant.module}.py")

    def find_spec(self, fullname: str, _path: Any = None, _target: Any = None) -> importlib.machinery.ModuleSpec | None:
        return importlib.util.spec_from_loader(fullname, self._loader) if fullname == self._name else None


class _Recorder:
    """A plugin of pytest: how long each test took, and which lines of the modules it came to."""

    def __init__(self, modules: Sequence[str]) -> None:
        self._paths = {str(PACKAGE / f"{module}.py"): module for module in modules}
        self._lines: set[tuple[str, int]] = set()
        self.seen: dict[str, tuple[float, list[tuple[str, int]]]] = {}
        self.failed: list[str] = []

    def _trace(self, frame: FrameType, _event: str, _argument: Any) -> Any:
        code: CodeType = frame.f_code
        return self._note if code.co_filename in self._paths else None

    def _note(self, frame: FrameType, _event: str, _argument: Any) -> Any:
        self._lines.add((self._paths[frame.f_code.co_filename], frame.f_lineno))
        return self._note

    def pytest_runtest_setup(self) -> None:
        self._lines.clear()
        sys.settrace(self._trace)

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed:
            self.failed.append(report.nodeid)
        if report.when == "call" and report.passed:
            self.seen[report.nodeid] = (report.duration, sorted(self._lines))

    def pytest_runtest_teardown(self) -> None:
        sys.settrace(None)


def _run_tests(names: Sequence[str], plugins: Sequence[Any] = ()) -> int:
    """Run tests in this process, output to nowhere; return pytest's exit code."""
    import pytest

    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    options = [
        "-x",
        "-q",
        "--no-header",
        "--tb=no",
        "-p",
        "no:cacheprovider",
        "-W",
        "ignore::pytest.PytestAssertRewriteWarning",
    ]
    return int(pytest.main([*(options if not plugins else [*options[1:], "-k", SLOW]), *names], plugins=list(plugins)))


def _stock_key_pairs(pairs: list[Any]) -> None:
    """Let the tests draw key pairs from a stock, for each takes 50 ms."""
    from cryptography.hazmat.primitives.asymmetric import rsa

    real, stock = rsa.generate_private_key, iter(pairs)

    def draw(public_exponent: int, key_size: int, backend: Any = None) -> Any:
        return next(stock, None) or real(public_exponent, key_size, backend)

    rsa.generate_private_key = draw


def _fork(work: Any, limit: float) -> int | None:
    """Run a function in a child of its own process group; its exit code, or None if it took too long."""
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        code = 99
        try:
            code = work()
        except BaseException:  # noqa: BLE001  the child says why, and ends
            os.write(ERRORS, traceback.format_exc().encode())
        finally:
            os._exit(code)
    ends = time.monotonic() + limit
    while time.monotonic() < ends:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


# -- the parent


def record(
    modules: Sequence[str], tests: Sequence[str], pairs: list[Any]
) -> dict[str, tuple[float, set[tuple[str, int]]]]:
    """Return the seconds and the lines of each test, of a run without any mutant.

    Raises:
        SystemExit: a test fails already.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "record.json"

        def work() -> int:
            _stock_key_pairs(pairs)
            recorder = _Recorder(modules)
            code = _run_tests(tests, [recorder])
            path.write_text(
                json.dumps({"seen": recorder.seen, "failed": recorder.failed, "code": code}), encoding="utf-8"
            )
            return 0

        _fork(work, 3600)
        found = json.loads(path.read_text(encoding="utf-8"))
    if found["failed"] or found["code"]:
        sys.exit(f"without a mutant, tests fail (pytest: {found['code']}): {found['failed'][:5]}")
    return {
        name: (seconds, {(module, line) for module, line in lines})
        for name, (seconds, lines) in found["seen"].items()
        if seconds <= SLOWEST
    }


def encode_record(recorded: Mapping[str, tuple[float, set[tuple[str, int]]]]) -> str:
    """Return a record as JSON."""
    return json.dumps({name: [seconds, sorted(lines)] for name, (seconds, lines) in recorded.items()})


def decode_record(text: str) -> dict[str, tuple[float, set[tuple[str, int]]]]:
    """Return the record that JSON holds."""
    found = json.loads(text)
    return {name: (seconds, {(module, line) for module, line in lines}) for name, (seconds, lines) in found.items()}


def tests_for(mutant: Mutant, recorded: Mapping[str, tuple[float, set[tuple[str, int]]]]) -> list[str]:
    """Return the tests that come to the mutant's line, or to its module if it is outside of functions, the quickest first."""
    wanted = (mutant.module, mutant.line)
    by_line = {name: seconds for name, (seconds, lines) in recorded.items() if wanted in lines}
    if not by_line and mutant.function == "(module)":
        by_line = {
            name: seconds
            for name, (seconds, lines) in recorded.items()
            if any(mod == mutant.module for mod, _ in lines)
        }
    return sorted(by_line, key=by_line.__getitem__)


def try_mutant(mutant: Mutant, names: Sequence[str], seconds: float, pairs: list[Any]) -> str:
    """Return how the mutant was found: `test`, `time`, or empty if it was not. Its tests take so many `seconds`."""
    if not names:
        return ""
    most = int(seconds * PROCESSOR[0] + PROCESSOR[1])

    def work() -> int:
        resource.setrlimit(resource.RLIMIT_CPU, (most, most + 5))
        sys.meta_path.insert(0, _Importer(mutant))
        _stock_key_pairs(pairs)
        return _run_tests(names)

    code = _fork(work, LIMIT)
    if code in {-signal.SIGXCPU, -signal.SIGKILL}:
        return "time"
    return "" if code in {0, None} else "test"


def explained() -> set[str]:
    """Return the names of mutants that docs/mutants.md explains."""
    text = PAGE.read_text(encoding="utf-8") if PAGE.is_file() else ""
    return set(re.findall(r"^- `` ?(.+?) ?``", text, re.MULTILINE))


def preload() -> list[Any]:
    """Import what no mutant touches, and draw key pairs."""
    sys.path.insert(0, str(ROOT))
    os.chdir(ROOT)
    os.environ["GRPC_VERBOSITY"] = "NONE"
    for name in PRELOADED:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    loaded = [name for name in sys.modules if name.startswith("orchestra_creds.rotation.")]
    if loaded:
        sys.exit(f"imported too early: {loaded}")
    from cryptography.hazmat.primitives.asymmetric import rsa

    return [rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(KEY_PAIRS)]


def shares(mutants: Sequence[Mutant], jobs: int) -> Iterator[list[Mutant]]:
    """Yield the mutants of each process."""
    for number in range(jobs):
        yield list(mutants[number::jobs])


def run(mutants: Sequence[Mutant], recorded: Any, pairs: list[Any], jobs: int) -> dict[str, str]:
    """Return how each mutant was found, by its name and line."""
    found: dict[str, str] = {}
    pipes = []
    for share in shares(mutants, jobs):
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            with os.fdopen(writer, "w") as out:
                for mutant in share:
                    names = tests_for(mutant, recorded)
                    how = try_mutant(mutant, names, sum(recorded[name][0] for name in names), pairs)
                    out.write(json.dumps([f"{mutant.name}@{mutant.line}", how]) + "\n")
                    out.flush()
            os._exit(0)
        os.close(writer)
        pipes.append((reader, child))
    for reader, child in pipes:
        with os.fdopen(reader) as lines:
            for line in lines:
                name, how = json.loads(line)
                found[name] = how
                if not how:
                    print(f"not found: {name}", flush=True)
        os.waitpid(child, 0)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="*", choices=[*MODULES, []], help="modules of rotation/; all if none is named")
    parser.add_argument("--jobs", type=int, default=2, help="processes (2)")
    parser.add_argument("--only", default="", help="only mutants whose name holds this text")
    parser.add_argument(
        "--record", type=Path, help="keep in this file which lines each test comes to, and read it if it is there"
    )
    parser.add_argument("--list", action="store_true", help="only list the mutants")
    parser.add_argument("--sample", type=int, default=0, help="only every Nth mutant")
    options = parser.parse_args()
    modules = options.modules or MODULES
    mutants = [mutant for module in modules for mutant in mutants_of(module)]
    if options.only:
        mutants = [mutant for mutant in mutants if options.only in mutant.name]
    if options.sample:
        mutants = mutants[:: options.sample]
    if options.list:
        for mutant in mutants:
            print(f"{mutant.module}.py:{mutant.line}: {mutant.name}")
        return 0
    began = time.monotonic()
    pairs = preload()
    tests = [f"tests/rotation/{name}.py" for name in TESTS if (ROOT / "tests" / "rotation" / f"{name}.py").is_file()]
    if options.record and options.record.is_file():
        recorded = decode_record(options.record.read_text(encoding="utf-8"))
    else:
        recorded = record(MODULES if options.record else modules, tests, pairs)
    if options.record:
        options.record.write_text(encode_record(recorded), encoding="utf-8")
    print(f"{len(recorded)} tests, {len(mutants)} mutants; recorded in {time.monotonic() - began:.0f} s", flush=True)
    found = run(mutants, recorded, pairs, options.jobs)
    return report(mutants, found, began)


def report(mutants: Sequence[Mutant], found: Mapping[str, str], began: float) -> int:
    """Print the score of each module and every mutant that no test found; return the exit code."""
    known = explained()
    totals: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    unexplained = 0
    for mutant in mutants:
        how, total = found.get(f"{mutant.name}@{mutant.line}", ""), totals[mutant.module]
        total[0] += 1
        total[1] += bool(how)
        total[2] += how == "time"
        if not how:
            why = "explained" if mutant.name in known else "NOT FOUND"
            unexplained += mutant.name not in known
            print(f"{why}: {mutant.module}.py:{mutant.line}: {mutant.name}")
    for module, (count, caught, late) in totals.items():
        print(f"{module}: {caught} of {count} found ({caught / count:.1%}), {late} of them by time")
    count, caught = (sum(total[n] for total in totals.values()) for n in (0, 1))
    print(
        f"all: {caught} of {count} found ({caught / count:.1%}), {unexplained} not explained, {time.monotonic() - began:.0f} s"
    )
    return 0 if caught / count >= FLOOR and not unexplained else 1


if __name__ == "__main__":
    sys.exit(main())
