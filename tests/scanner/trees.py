"""What the tests of sources and of the pipeline share: one cheap rule, fake tokens for it, and small repositories."""

import os
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from orchestra_creds.scanner.content.blobscan import examine_whole
from orchestra_creds.scanner.decoding.encoding import Utf8Converter, wide
from orchestra_creds.scanner.detection import Sighting
from orchestra_creds.scanner.engine.engine import Engine
from orchestra_creds.scanner.exclusions import Exclusions
from orchestra_creds.scanner.finding import ScanReport
from orchestra_creds.scanner.pipeline import scan
from orchestra_creds.scanner.request import ScanRequest
from orchestra_creds.scanner.rule import Rule, Severity
from orchestra_creds.scanner.samples.sample import render
from orchestra_creds.scanner.tree.inventory import BackgroundInventory, Inventory

RULE = Rule("fake-token", "a test", r"\btok_[0-9a-f]{32}\b", Severity.HIGH, "none", "none", ())
ENGINE = Engine.open([RULE])
NOW = datetime(2026, 1, 1, tzinfo=UTC)
GIT_ENV = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "A",
    "GIT_AUTHOR_EMAIL": "a@example.invalid",
    "GIT_COMMITTER_NAME": "A",
    "GIT_COMMITTER_EMAIL": "a@example.invalid",
}


def token(seed: int = 0) -> bytes:
    """A fake credential of RULE."""
    return render("tok_{hex:32}", seed=seed).encode()


def git(folder: Path, *args: str | bytes, stdin: bytes = b"") -> bytes:
    """Run the real git in a test's own repository."""
    command = ["git", "-c", "protocol.file.allow=always", *args]
    return subprocess.run(command, cwd=folder, env=GIT_ENV, input=stdin, check=True, capture_output=True).stdout


def repository(folder: Path) -> Path:
    """A new, empty repository."""
    folder.mkdir(parents=True, exist_ok=True)
    git(folder, "init", "-q", "-b", "main")
    return folder


def write(folder: Path, files: dict[str, bytes]) -> Path:
    """Write files, with the folders they need."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def look(*paths: str | Path, rules: Iterable[Rule] = (RULE,), source: str = "tree", **more: object) -> ScanReport:
    """Scan with one rule, nothing cached and nothing kept."""
    request = ScanRequest(paths=tuple(map(str, paths)), source=source, now=NOW, **more)  # type: ignore[arg-type]
    return scan(request, lambda: (tuple(rules), None))


def places(report: ScanReport) -> list[str]:
    """`path:line` of every finding, sorted."""
    return sorted(f"{place.path}:{place.line}" for finding in report.findings for place in finding.places)


def skipped(report: ScanReport) -> dict[str, str]:
    """Path to reason of what was not looked at."""
    return {item.path: item.reason for item in report.skipped}


def scan_whole(engine: Engine, data: bytes, path: str) -> list[Sighting]:
    """Scan a blob that is in memory."""
    return examine_whole(engine, data, engine.find_hits(data), path)


def as_utf8(data: bytes) -> bytes | None:
    """Return the whole of `data` as UTF-8 if it is UTF-16 or UTF-32 text."""
    name = wide(data)
    return Utf8Converter(name).feed(data, final=True) if name else None


def take_inventory(*paths: Path | str, all_files: bool = False, exclude: tuple[str, ...] = ()) -> Inventory:
    """List the files of all paths."""
    listing = BackgroundInventory(list(map(str, paths)), all_files=all_files, exclusions=Exclusions(exclude))
    try:
        return listing.inventory()
    finally:
        listing.close()
