"""How many small faults in the pure decisions of the rotation the tests find: the mutation score.

Each mutant is the module with one change: another comparison, `or` for `and`, a condition less, a number more, a field that is not set.
The tests are collected once. For each mutant a child is forked, whose modules are changed in memory and which runs the tests that come to the
changed expression, the quickest first, until one fails. A mutant also counts as found when a test decides five times as many steps as it
does without the mutant, or takes three times its processor time: it has no end. Exit code 1: the score is below the floor, or a mutant that no
test finds is not explained in docs/mutants.md; 3: some mutants were not decided.

    scripts/bench mutants                                        # all modules
    scripts/bench mutants machine --jobs 1                       # one of them
    scripts/bench mutants --only machine.reason
    scripts/bench mutants --record FILE --sample 6               # FILE keeps which test comes to what; every sixth mutant
"""

import argparse
import ast
import contextlib
import copy
import gc
import hashlib
import importlib
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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "orchestra_creds" / "rotation"
MODULES = ("machine", "transitions", "retirement", "end_of_life", "status")
"""What decides: the next step, what follows from it, the ends, and the problems."""
TESTS = (
    "test_decisions", "test_problems", "test_machine", "test_invariants", "test_status", "test_leaked", "test_end_of_life",
    "test_isolation", "test_identity", "test_copies", "test_hooks", "test_staging", "test_refusals", "test_key_budget", "test_key_usage",
    "test_catalog", "test_issuers", "test_steps", "test_ownership",
)  # fmt: skip
SLOW = "not changing_call and not every_crash and not mistyped and not every_call and not is_a_bug"
"""What is left out from the start: sweeps over all calls of a life, and tests of types."""
FLOOR = 0.95
PAGE = ROOT / "docs" / "mutants.md"
SLOWEST = 8.0
"""Seconds; a slower test is left out."""
BUDGET = 45.0
"""Seconds of tests, as recorded, that are run for one mutant at most; one that they do not find counts as not found."""
STEPS = (5, 400)
"""A mutant without an end: a test decides so many times as many steps as without it, and so many more."""
PROCESSOR = (3.0, 15.0)
"""Likewise: so many times the processor time of its tests, and so many seconds more."""
LIMIT = 900.0
"""Seconds by the clock that one mutant gets; one that needs more was not decided."""
FOUND, ENDLESS, NOT_FOUND, BROKEN = 1, 2, 0, 99
"""What a child ends with."""

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


def _line(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def _parse(module: str) -> ast.Module:
    return ast.parse((PACKAGE / f"{module}.py").read_text(encoding="utf-8"))


def mutants_of(module: str) -> list[Mutant]:
    """Return every mutant of a module of `rotation/`, in the order of its lines."""
    tree = _parse(module)
    finder = _Finder(module, tree)
    finder.visit(tree)
    found = {mutant.name + str(mutant.line): mutant for mutant in finder.found if mutant.before != mutant.after}
    return sorted(found.values(), key=lambda mutant: mutant.line)


# -- to change a module that is loaded


def _replace_nodes(tree: ast.Module, changes: Mapping[int, Callable[[ast.expr], ast.AST]]) -> list[ast.stmt]:
    """Change expressions of a tree, named by their numbers in the order of `ast.walk`; return the top-level statements that hold them."""
    numbers = {id(node): number for number, node in enumerate(ast.walk(tree))}
    touched: list[ast.stmt] = []

    class Changer(ast.NodeTransformer):
        def visit(self, node: ast.AST) -> Any:
            number = numbers.get(id(node), -1)
            self.generic_visit(node)
            if number not in changes or not isinstance(node, ast.expr):
                return node
            touched.append(top)
            return ast.copy_location(changes[number](node), node)

    for top in tree.body:
        Changer().visit(top)
    ast.fix_missing_locations(tree)
    return list(dict.fromkeys(touched))


def _install(module: ModuleType, statements: Sequence[ast.stmt]) -> None:
    """Let functions that are loaded do what changed statements say, whoever imported them by name."""
    for statement in statements:
        if isinstance(statement, ast.FunctionDef):
            _install_function(getattr(module, statement.name), statement, module)
        elif isinstance(statement, ast.ClassDef):
            owner = getattr(module, statement.name)
            for inner in statement.body:
                there = vars(owner).get(inner.name) if isinstance(inner, ast.FunctionDef) else None
                there = there.fget if isinstance(there, property) else there
                if isinstance(there, FunctionType) and isinstance(inner, ast.FunctionDef):
                    _install_function(there, inner, module)
        else:
            _install_value(statement, module)


def _install_function(there: FunctionType, statement: ast.FunctionDef, module: ModuleType) -> None:
    plain = copy.copy(statement)
    plain.decorator_list = []
    space = dict(vars(module))
    exec(compile(ast.Module([plain], []), str(module.__file__), "exec"), space)  # noqa: S102  the mutant
    there.__code__ = space[statement.name].__code__


def _install_value(statement: ast.stmt, module: ModuleType) -> None:
    """Compute a constant of the module anew, and give it to everyone who has the old one."""
    before = dict(vars(module))
    exec(compile(ast.Module([statement], []), str(module.__file__), "exec"), vars(module))  # noqa: S102  the mutant
    for name, value in list(vars(module).items()):
        old = before.get(name)
        if name.startswith("__") or old is None or value is old:
            continue
        for other in list(sys.modules.values()):
            if isinstance(other, ModuleType) and vars(other).get(name) is old:
                setattr(other, name, value)


def _loaded(module: str) -> ModuleType:
    return sys.modules[f"orchestra_creds.rotation.{module}"]


def apply(mutant: Mutant) -> None:
    """Change the module of a mutant, for good: in a child."""
    _install(
        _loaded(mutant.module), _replace_nodes(_parse(mutant.module), {mutant.number: lambda _node: mutant.replacement})
    )


REACHED = "__reached__"


def instrument(mutants: Sequence[Mutant], reached: set[tuple[str, int]]) -> None:
    """Let every expression that a mutant changes say when it is computed."""
    by_module: dict[str, set[int]] = defaultdict(set)
    for mutant in mutants:
        by_module[mutant.module].add(mutant.number)
    for module, numbers in by_module.items():

        def note(number: int, value: Any, module: str = module) -> Any:
            reached.add((module, number))
            return value

        def wrap(number: int) -> Callable[[ast.expr], ast.AST]:
            def wrapped(node: ast.expr) -> ast.AST:
                # the mark comes first: what fails was reached, too
                mark = ast.Call(ast.Name(REACHED, ast.Load()), [ast.Constant(number), ast.Constant(None)], [])
                return ast.Subscript(ast.Tuple([mark, node], ast.Load()), ast.Constant(1), ast.Load())

            return wrapped

        vars(_loaded(module))[REACHED] = note
        _install(_loaded(module), _replace_nodes(_parse(module), {number: wrap(number) for number in numbers}))


# -- what runs in a child


@dataclass(slots=True)
class TestRecord:
    """What a test does without any mutant: its seconds, the steps that it lets the machine decide, and the expressions it comes to."""

    seconds: float
    steps: int
    reached: set[tuple[str, int]]
    digest: str


class _Observer:
    """A plugin of pytest that hears how each test of a child ends, and counts the steps that it lets the machine decide."""

    def __init__(self) -> None:
        self.steps, self.most = 0, 0
        self.failed: list[str] = []
        self.seconds: dict[str, float] = {}
        self.ends_at_failure = False

    def watch_steps(self) -> None:
        machine = _loaded("machine")
        real = machine.next_step

        def counted(situation: Any) -> Any:
            self.steps += 1
            if self.most and self.steps > self.most:
                os._exit(ENDLESS)
            return real(situation)

        machine.next_step = counted  # type: ignore[attr-defined]

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed:
            if self.ends_at_failure:
                os._exit(FOUND)
            self.failed.append(report.nodeid)
        if report.when == "call" and report.passed:
            self.seconds[report.nodeid] = report.duration


def _fork(work: Callable[[], int], limit: float) -> int | None:
    """Run a function in a child of its own process group; its exit code, or None if it took too long."""
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        errors = os.dup(2)
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        code = BROKEN
        try:
            code = work()
        except BaseException:  # noqa: BLE001  the child says why, and ends
            os.write(errors, traceback.format_exc().encode())
        finally:
            os._exit(code)
    ends = time.monotonic() + limit
    pause = 0.001
    while time.monotonic() < ends:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(pause)
        pause = min(pause * 1.5, 0.05)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


class UndecidedError(Exception):
    """A child did not do its work: that says nothing about its mutant."""


class Runner:
    """The tests that were collected, and what is known of each."""

    def __init__(self, items: Sequence[Any], observer: _Observer, records: dict[str, TestRecord]) -> None:
        self.items = {item.nodeid: item for item in items}
        self._observer, self._records = observer, records

    def _run(self, names: Sequence[str], before: Callable[[str], None]) -> None:
        for name, further in zip(names, [*names[1:], None], strict=True):
            before(name)
            item = self.items[name]
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=self.items[further] if further else None)

    def record(self, mutants: Sequence[Mutant], digests: Mapping[str, str]) -> None:
        """Run the tests that are not recorded yet, or were changed since, without any mutant.

        Raises:
            SystemExit: a test fails already.
        """
        wanted = [
            name for name in self.items if name not in self._records or self._records[name].digest != digests[name]
        ]
        if not wanted:
            return
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "record.json"

            def work() -> int:
                reached: set[tuple[str, int]] = set()
                instrument(mutants, reached)
                self._observer.watch_steps()
                seen: dict[str, Any] = {}
                for name in wanted:
                    reached.clear()
                    self._observer.steps = 0
                    self._run([name], lambda _name: None)
                    seconds = self._observer.seconds.get(name)
                    if seconds is not None:
                        seen[name] = [seconds, self._observer.steps, sorted(reached), digests[name]]
                path.write_text(json.dumps({"seen": seen, "failed": self._observer.failed}), encoding="utf-8")
                return 0

            code = _fork(work, 3600)
            found: dict[str, Any] = {"failed": ["the child died"]}
            if code == 0:
                found = json.loads(path.read_text(encoding="utf-8"))
        if found["failed"]:
            sys.exit(f"without a mutant, tests fail: {found['failed'][:5]}")
        for name, (seconds, steps, reached, digest) in found["seen"].items():
            self._records[name] = TestRecord(seconds, steps, {(module, number) for module, number in reached}, digest)

    def tests_for(self, mutant: Mutant) -> list[str]:
        """Return the tests that come to the mutant's expression, or to its module if that is computed at import, the quickest first."""
        place = (mutant.module, mutant.number)
        known = {
            name: record for name, record in self._records.items() if name in self.items and record.seconds <= SLOWEST
        }
        found = {name: one.seconds for name, one in known.items() if place in one.reached}
        if not found and mutant.function == "(module)":
            found = {n: one.seconds for n, one in known.items() if any(mod == mutant.module for mod, _ in one.reached)}
        names: list[str] = []
        spent = 0.0
        for name in sorted(found, key=found.__getitem__):
            spent += found[name]
            if spent > BUDGET and names:
                break
            names.append(name)
        return names

    def try_mutant(self, mutant: Mutant) -> str:
        """Return how the mutant was found: `test`, `end`, or empty if it was not.

        Raises:
            UndecidedError: the child died, or took too long by the clock.
        """
        names = self.tests_for(mutant)
        if not names:
            return ""
        most = int(sum(self._records[name].seconds for name in names) * PROCESSOR[0] + PROCESSOR[1])

        def limit_steps(name: str) -> None:
            times, more = STEPS
            self._observer.steps, self._observer.most = 0, self._records[name].steps * times + more

        def work() -> int:
            resource.setrlimit(resource.RLIMIT_CPU, (most, most + 5))
            apply(mutant)
            self._observer.watch_steps()
            self._observer.ends_at_failure = True
            self._run(names, limit_steps)
            return NOT_FOUND

        code = _fork(work, LIMIT)
        if code in {ENDLESS, -signal.SIGXCPU, -signal.SIGKILL}:
            return "end"
        if code not in {FOUND, NOT_FOUND}:
            raise UndecidedError(f"{mutant.name}: the child ended with {code}")
        return "test" if code == FOUND else ""


# -- the parent


def encode_records(records: Mapping[str, TestRecord], digest: str) -> str:
    """Return records as JSON; `digest` is that of the modules."""
    tests = {name: [one.seconds, one.steps, sorted(one.reached), one.digest] for name, one in records.items()}
    return json.dumps({"modules": digest, "tests": tests})


def decode_records(text: str, digest: str) -> dict[str, TestRecord]:
    """Return the records that JSON holds; none if the modules have changed since."""
    found = json.loads(text)
    if not isinstance(found, dict) or found.get("modules") != digest:
        return {}
    return {
        name: TestRecord(seconds, steps, {(module, number) for module, number in reached}, tests)
        for name, (seconds, steps, reached, tests) in found["tests"].items()
    }


def _digest(*paths: Path) -> str:
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in paths)).hexdigest()


def explained() -> set[str]:
    """Return the names of mutants that docs/mutants.md explains."""
    text = PAGE.read_text(encoding="utf-8") if PAGE.is_file() else ""
    return set(re.findall(r"^- `` ?(.+?) ?``", text, re.MULTILINE))


def _share(mutants: Sequence[Mutant], runner: Runner, out: Any) -> None:
    """Try some of the mutants, and write what became of each."""
    for mutant in mutants:
        try:
            how: str | None = runner.try_mutant(mutant)
        except UndecidedError as error:
            print(error, flush=True)
            how = None
        out.write(json.dumps([f"{mutant.name}@{mutant.line}", how]) + "\n")
        out.flush()


def try_all(mutants: Sequence[Mutant], runner: Runner, jobs: int) -> dict[str, str | None]:
    """Return how each mutant was found, by its name and line; one that is missing or None was not decided."""
    found: dict[str, str | None] = {}
    pipes = []
    gc.freeze()
    for number in range(jobs):
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            with os.fdopen(writer, "w") as out:
                _share(mutants[number::jobs], runner, out)
            os._exit(0)
        os.close(writer)
        pipes.append((reader, child))
    for reader, child in pipes:
        with os.fdopen(reader) as lines:
            for line in lines:
                name, how = json.loads(line)
                found[name] = how
                if how == "":
                    print(f"not found: {name}", flush=True)
        _, status = os.waitpid(child, 0)
        if status:
            print(f"a process ended with {os.waitstatus_to_exitcode(status)}: its mutants are not decided", flush=True)
    return found


class Mutation:
    """A plugin of pytest that tries mutants with the tests that it collects."""

    def __init__(self, mutants: Sequence[Mutant], options: argparse.Namespace) -> None:
        self._mutants, self._options = mutants, options
        self._observer = _Observer()
        self.code = BROKEN

    def pytest_configure(self, config: Any) -> None:
        """Listen to the tests."""
        config.pluginmanager.register(self._observer)

    def pytest_runtestloop(self, session: Any) -> bool:
        """In place of running each test once."""
        began, path = time.monotonic(), self._options.record
        every = [mutant for module in MODULES for mutant in mutants_of(module)]
        for module in MODULES:
            importlib.import_module(f"orchestra_creds.rotation.{module}")
        digest = _digest(*(PACKAGE / f"{module}.py" for module in MODULES), Path(__file__))
        records = decode_records(path.read_text(encoding="utf-8"), digest) if path and path.is_file() else {}
        shared = [
            path for path in sorted((ROOT / "tests" / "rotation").glob("*.py")) if not path.name.startswith("test_")
        ]
        digests = {item.nodeid: _digest(*shared, Path(item.path)) for item in session.items}
        session.config._tmp_path_factory.getbasetemp()  # noqa: SLF001  made once, before any child
        runner = Runner(session.items, self._observer, records)
        runner.record(every, digests)
        if path:
            path.write_text(encode_records(records, digest), encoding="utf-8")
        seconds = time.monotonic() - began
        print(f"{len(records)} tests, {len(self._mutants)} mutants; recorded in {seconds:.0f} s", flush=True)
        found = try_all(self._mutants, runner, self._options.jobs)
        self.code = report(self._mutants, found, began)
        return True


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="*", choices=[*MODULES, []], help="modules of rotation/; all if none is named")
    parser.add_argument("--jobs", type=int, default=2, help="processes (2)")
    parser.add_argument("--only", default="", help="only mutants whose name holds this text")
    parser.add_argument(
        "--record", type=Path, help="keep in this file what each test comes to, and read it if it is there"
    )
    parser.add_argument(
        "--tests", nargs="+", default=TESTS, help="files of tests/rotation, without .py; all that decide"
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
    if options.record:
        options.record = options.record.absolute()
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    os.environ["GRPC_VERBOSITY"] = "NONE"
    tests = [
        f"tests/rotation/{name}.py" for name in options.tests if (ROOT / "tests" / "rotation" / f"{name}.py").is_file()
    ]
    settings.register_profile("mutants", deadline=None, derandomize=True, database=None)
    mutation = Mutation(mutants, options)
    with tempfile.TemporaryDirectory() as folder:
        common = [
            "-q",
            "-s",
            "--no-header",
            "--no-summary",
            "-p",
            "no:cacheprovider",
            f"--basetemp={folder}/tests",
            "-k",
            SLOW,
            "--hypothesis-profile=mutants",
            "-W",
            "ignore::pytest.PytestAssertRewriteWarning",
        ]
        pytest.main([*common, *tests], plugins=[mutation])
    return mutation.code


def report(mutants: Sequence[Mutant], found: Mapping[str, str | None], began: float) -> int:
    """Print the score of each module and every mutant that no test found; return the exit code."""
    known = explained()
    totals: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    unexplained, undecided = 0, 0
    for mutant in mutants:
        how, total = found.get(f"{mutant.name}@{mutant.line}"), totals[mutant.module]
        if how is None:
            undecided += 1
            print(f"NOT DECIDED: {mutant.module}.py:{mutant.line}: {mutant.name}")
            continue
        total[0] += 1
        total[1] += bool(how)
        total[2] += how == "end"
        if not how:
            why = "explained" if mutant.name in known else "NOT FOUND"
            unexplained += mutant.name not in known
            print(f"{why}: {mutant.module}.py:{mutant.line}: {mutant.name}")
    for module, (count, caught, late) in totals.items():
        if count:
            print(f"{module}: {caught} of {count} found ({caught / count:.1%}), {late} of them had no end")
    count, caught = (sum(total[n] for total in totals.values()) for n in (0, 1))
    score = caught / count if count else 0.0
    print(
        f"all: {caught} of {count} found ({score:.1%}), {unexplained} not explained, {undecided} not decided, "
        f"{time.monotonic() - began:.0f} s"
    )
    if undecided or not count:
        return 3
    return 0 if score >= FLOOR and not unexplained else 1


if __name__ == "__main__":
    sys.exit(main())
