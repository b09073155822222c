"""What loads when: measured by the list of imported modules, never by time.

Three devices make a start short and code harder to read: `core.record` instead of dataclasses, `TYPE_CHECKING = False` instead of
typing's own, and imports inside functions. Only the modules of the fast path may use them. Doors may import inside functions too.
"""

import ast
import base64
import os
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from orchestra_creds.cli.app import VERBS
from orchestra_creds.scanner.samples.sample import render
from tests.scanner.trees import git, repository, write

HEAVY = {"google", "grpc", "requests", "rich", "jinja2", "pydantic", "cryptography", "asyncio", "tomlkit"}
PEM = f"-----BEGIN RSA {'PRIVATE'} KEY-----\nmore bytes than a page of a manual shows\n".encode()
PROBE = """
import sys
sys.argv = ["orchestra-creds", *sys.argv[1:]]
from orchestra_creds import __main__
__main__.end = sys.exit
try:
    __main__.main()
except SystemExit:
    pass
print(*sys.modules, file=sys.stderr)
"""


def modules_of(*arguments: str, cwd: Path | None = None, variables: Mapping[str, str] | None = None) -> set[str]:
    """The modules that a run of the program loads."""
    command = [sys.executable, "-c", PROBE, *arguments]
    run = subprocess.run(
        command, capture_output=True, text=True, check=True, cwd=cwd, env={**os.environ, **(variables or {})}
    )
    return set(run.stderr.splitlines()[-1].split())


def loaded_by(*arguments: str, cwd: Path | None = None) -> set[str]:
    """The packages and modules at the top of those names."""
    return {name.partition(".")[0] for name in modules_of(*arguments, cwd=cwd)}


@pytest.mark.parametrize("arguments", [["--help"], ["completion", "bash"], *([verb, "--help"] for verb in VERBS)])
def test_help_and_completion_load_nothing_heavy(arguments: list[str]) -> None:
    assert loaded_by(*arguments) & HEAVY == set()


@pytest.mark.parametrize("arguments", [["--help"], ["completion", "bash"]])
def test_the_root_loads_no_verb(arguments: list[str]) -> None:
    loaded = modules_of(*arguments)
    assert "orchestra_creds.cli.completion" in loaded
    assert {f"orchestra_creds.cli.{verb}" for verb in VERBS if verb != "completion"} & loaded == set()


def test_a_shell_that_completes_a_verb_loads_no_verb() -> None:
    ask = {"_ORCHESTRA_CREDS_COMPLETE": "complete_bash", "COMP_WORDS": "orchestra-creds s", "COMP_CWORD": "1"}
    assert {f"orchestra_creds.cli.{verb}" for verb in VERBS if verb != "completion"} & modules_of(
        variables=ask
    ) == set()


def test_the_history_of_this_machine_opens_no_cloud(tmp_path: Path) -> None:
    state = {"ORCHESTRA_CREDS_STATE_DIR": str(tmp_path / "state")}
    loaded = modules_of("rotate", "history", "--project", "some-project", cwd=tmp_path, variables=state)
    assert {name.partition(".")[0] for name in loaded} & (HEAVY - {"rich"}) == set()


def test_the_version_is_told_before_typer_is_loaded() -> None:
    assert loaded_by("--version") & (HEAVY | {"typer", "dataclasses"}) == set()


@pytest.mark.parametrize("arguments", [["scan", "file.txt"], ["scan", "file.txt", "--format", "json"]])
def test_a_scan_of_a_file_loads_no_cloud_and_no_renderer(arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / "file.txt").write_text("nothing to see\n")
    assert loaded_by(*arguments, cwd=tmp_path) & HEAVY == set()


SRC = Path(__file__).parents[1] / "src" / "orchestra_creds"
FAST_PATH = [
    "__main__",
    "bootstrap.clock",
    "bootstrap.scanning",
    "cli.core_dumps",
    "cli.fast_scan",
    "cli.stderr",
    "cli.version",
    "core.material",
    "core.progress",
    "core.record",
    "core.text",
    "errors",
    "folders",
    "render.formats",
    "render.json_pieces",
    "render.numbers",
    "render.report",
    "render.scan_json",
    "render.scan_text",
    "render.style",
    "render.terminal",
    "scanner.absence",
    "scanner.baseline.report",
    "scanner.buffers",
    "scanner.cache_files",
    "scanner.checks.arguments",
    "scanner.checks.binding",
    "scanner.checks.judge",
    "scanner.checks.kubernetes",
    "scanner.checks.letters",
    "scanner.checks.names",
    "scanner.checks.tokens",
    "scanner.checks.checksums",
    "scanner.checks.der",
    "scanner.checks.entropy",
    "scanner.checks.generic",
    "scanner.checks.google",
    "scanner.checks.jwt",
    "scanner.checks.pem",
    "scanner.checks.plausible",
    "scanner.checks.private_keys",
    "scanner.checks.registry",
    "scanner.checks.verdict",
    "scanner.content.archives",
    "scanner.content.blobscan",
    "scanner.content.compressed",
    "scanner.content.explore",
    "scanner.content.formats",
    "scanner.content.lfs",
    "scanner.content.locate",
    "scanner.content.tar",
    "scanner.decoding.decode",
    "scanner.decoding.encoding",
    "scanner.decoding.unwrap",
    "scanner.detection",
    "scanner.engine.bounded_regex",
    "scanner.engine.budget",
    "scanner.engine.compiled_cache",
    "scanner.engine.confirm",
    "scanner.engine.database",
    "scanner.engine.engine",
    "scanner.engine.overlap",
    "scanner.engine.patterns",
    "scanner.engine.prefilter",
    "scanner.exclusions",
    "scanner.file_names",
    "scanner.finding",
    "scanner.fingerprint",
    "scanner.git.attribution",
    "scanner.git.batch_reader",
    "scanner.git.collect",
    "scanner.git.control_files",
    "scanner.git.delta",
    "scanner.git.delta_scan",
    "scanner.git.history",
    "scanner.git.jobs",
    "scanner.git.objects",
    "scanner.git.pack",
    "scanner.git.process",
    "scanner.git.report_cache",
    "scanner.git.repository",
    "scanner.git.scan_cache",
    "scanner.git.staged_precheck",
    "scanner.git.stored_spans",
    "scanner.git.watch",
    "scanner.gitleaks.setup",
    "scanner.native",
    "scanner.native_files",
    "scanner.opened_source",
    "scanner.parallel.children",
    "scanner.parallel.wire",
    "scanner.parallel.workers",
    "scanner.pipeline",
    "scanner.private",
    "scanner.request",
    "scanner.rule",
    "scanner.safe_open",
    "scanner.source",
    "scanner.sources.history",
    "scanner.lfs_objects",
    "scanner.libraries",
    "scanner.sources.shared",
    "scanner.sources.staged",
    "scanner.git.submodules",
    "scanner.sources.tree",
    "scanner.tree.batch_scan",
    "scanner.tree.inventory",
    "scanner.tree.large_files",
    "scanner.tree.tree_scan",
]
"""The modules that `--version` and plain scans load: staged, of files, of a history, and of a history that was scanned before."""


class Door(NamedTuple):
    """A module that may import some packages inside functions."""

    packages: tuple[str, ...]
    reason: str


DOORS = {
    "__init__": Door(("orchestra_creds.library",), "`import orchestra_creds` is part of every start"),
    "bootstrap.cloud": Door(
        ("orchestra_creds.gcp", "orchestra_creds.emulator"), "google and grpc: 600 ms, after their logging is off"
    ),
    "cli.app": Door(("importlib",), "a verb is imported when it is called"),
    "bootstrap.rotation": Door(("orchestra_creds.bootstrap.issuers",), "cryptography and requests: 100 ms"),
    "bootstrap.setup": Door(("orchestra_creds.gcp",), "google and grpc: 600 ms, not for help and completion"),
    "cli.emulator": Door(
        ("orchestra_creds.emulator", "orchestra_creds.render.emulator"),
        "google and grpc: 600 ms, not for help and completion",
    ),
    "config.edit": Door(("tomlkit",), "only `setup add` writes into the file"),
    "github.actions": Door(("nacl",), "an optional dependency"),
    "render.page": Door(("jinja2",), "only HTML pages have templates"),
    "render.result": Door(("rich",), "only a terminal gets a table with borders"),
    "rotation.issuers.postgres": Door(("psycopg",), "an optional dependency"),
    "textfile": Door(("tomlkit",), "only for a file that is no TOML"),
}


class Devices(NamedTuple):
    """The devices of the fast path that a module uses."""

    record: bool
    own_type_checking: bool
    late_imports: set[str]


def devices(code: str) -> Devices:
    """Read the devices from the syntax tree; `import_module` and `__import__` inside a function count as `importlib`."""
    tree = ast.parse(code)
    nodes = list(ast.walk(tree))
    functions = [node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    late = {name for function in functions for node in ast.walk(function) for name in imported(node)}
    return Devices(
        any(name.startswith("orchestra_creds.core.record") for node in nodes for name in imported(node)),
        any(
            isinstance(node, ast.Assign | ast.AnnAssign)
            and isinstance(node.value, ast.Constant)
            and "TYPE_CHECKING" in {name.id for name in ast.walk(node) if isinstance(name, ast.Name)}
            for node in nodes
        ),
        late,
    )


def imported(node: ast.AST) -> set[str]:
    """The dotted names that an import statement, or a call that imports, brings in."""
    match node:
        case ast.Import():
            return {alias.name for alias in node.names}
        case ast.ImportFrom():
            return {f"{node.module}.{alias.name}" for alias in node.names}
        case ast.Call(func=ast.Name(id="import_module" | "__import__") | ast.Attribute(attr="import_module")):
            return {"importlib"}
    return set()


def breaches(module: str, used: Devices) -> list[str]:
    """The devices that a module must not use: each a sentence."""
    if module in FAST_PATH:
        return []
    allowed = DOORS[module].packages if module in DOORS else ()
    late = [n for n in sorted(used.late_imports) if not any(n == a or n.startswith(a + ".") for a in allowed)]
    found = ["it imports core.record"] * used.record + ["it sets TYPE_CHECKING"] * used.own_type_checking
    return [f"{module}: {what}" for what in [*found, *(f"it imports {name} inside a function" for name in late)]]


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(SRC).with_suffix("").parts)


SOURCES = {module_name(path): path for path in sorted(SRC.rglob("*.py"))}
USED = {module: devices(path.read_text(encoding="utf-8")) for module, path in SOURCES.items()}


@pytest.mark.parametrize("module", SOURCES)
def test_only_the_fast_path_uses_its_devices(module: str) -> None:
    assert breaches(module, USED[module]) == []


@pytest.mark.parametrize(
    ("module", "code"),
    [
        ("cli.rotate", "from orchestra_creds.core.record import dataclass"),
        ("cli.rotate", "from orchestra_creds.core import record"),
        ("setup.plan", "TYPE_CHECKING = False"),
        ("setup.plan", "TYPE_CHECKING: bool = False"),
        ("cli.rotate", "def late():\n    import json"),
        (
            "cli.rotate",
            "class Verb:\n    async def late(self):\n        if self:\n            from orchestra_creds import outfile",
        ),
        ("cli.rotate", "def late():\n    importlib.import_module('json')"),
        ("render.page", "def late():\n    import rich"),
        ("render.page", "TYPE_CHECKING = False"),
        ("render.page", "def late():\n    import jinja2ish"),
    ],
)
def test_a_device_elsewhere_is_named(module: str, code: str) -> None:
    assert len(breaches(module, devices(code))) == 1


@pytest.mark.parametrize(
    ("module", "code"),
    [
        ("cli.rotate", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import json"),
        ("cli.rotate", "if sys.platform != 'win32':\n    import resource"),
        ("render.page", "def late():\n    from jinja2 import Environment"),
        ("scanner.pipeline", "TYPE_CHECKING = False\ndef late():\n    import json"),
    ],
)
def test_what_is_allowed_is_not_named(module: str, code: str) -> None:
    assert breaches(module, devices(code)) == []


def test_every_door_is_one() -> None:
    unused = [
        f"{module}: {package}"
        for module, door in DOORS.items()
        for package in door.packages
        if not any(f"{name}.".startswith(f"{package}.") for name in USED[module].late_imports)
    ]
    assert unused == []


def test_ruff_has_the_same_exceptions() -> None:
    """Ruff's import rule is off for the modules of the two lists that need it off, and for no other module."""
    settings = tomllib.loads((SRC.parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["ruff"]["lint"]
    excepted = [
        name for name, rules in settings["per-file-ignores"].items() if "PLC0415" in rules and name.startswith("src/")
    ]
    ours = {
        name: path
        for name, path in SOURCES.items()
        if name in {*FAST_PATH, *DOORS} and USED[name].late_imports - {"importlib"}
    }
    assert sorted(excepted) == sorted(str(path.relative_to(SRC.parents[1])) for path in ours.values())
    assert "PLC0415" not in settings["ignore"]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Our modules that the runs of the fast path load, once the rules are compiled."""
    folder = tmp_path_factory.mktemp("fast")
    variables = {f"ORCHESTRA_CREDS_{name}_DIR": str(folder / name) for name in ("CACHE", "STATE")}
    repo = write(repository(folder / "repository"), {"clean.txt": b"nothing\n"})
    git(repo, "add", ".")
    git(repo, "commit", "-qm", "one")
    modules_of("scan", ".", cwd=repo, variables=variables)
    runs = [("--version",), ("scan", "--staged"), ("scan", "clean.txt"), ("scan", "--history"), ("scan", "--history")]
    loaded = {name for run in runs for name in modules_of(*run, cwd=repo, variables=variables)}
    token = render("gh" + "p_{crc62:30}", seed=7).encode()
    write(repo, {"token.txt": token, "encoded.txt": base64.b64encode(b"token = " + token), "pem.txt": PEM})
    git(repo, "add", ".")
    for run in (("scan", "--staged"), ("scan", ".", "--format", "json")):
        loaded |= modules_of(*run, cwd=repo, variables=variables)
    names = {name.removeprefix("orchestra_creds.") for name in loaded if name.startswith("orchestra_creds.")}
    return names & {*SOURCES}


def test_the_list_of_the_fast_path_is_what_loads(measured: set[str]) -> None:
    assert measured == set(FAST_PATH)
