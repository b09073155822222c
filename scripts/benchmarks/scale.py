"""How cost grows with work: each row at three sizes, with the exponent.

The exponent is log(cost ratio) / log(size ratio) from the first size to the last, after the cost of a start is taken off: 1 is linear, 0
is flat. Costs are seconds of all processors and the peak memory of one process, as the kernel counts them (never less than this benchmark
takes itself), or, for the verbs of the cloud, seconds by the clock against an embedded cloud that answers every call after `--delay`.
"""

import argparse
import hashlib
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks import page
from orchestra_creds.emulator.store.store import AuditEntry, Store
from orchestra_creds.scanner.samples.sample import render

COMMAND: Final = str(Path(sys.executable).with_name("orchestra-creds"))
PROJECT: Final = "demo-project"
SHARE: Final = 4
"""By what the sizes of a quick run are smaller."""


class Spent(NamedTuple):
    """What a run took: seconds by the clock and of all processors, and bytes of the largest process."""

    wall: float
    cpu: float
    memory: float


@dataclass(frozen=True, slots=True)
class Place:
    """Folders of one measurement."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """The variables of a run: nobody else's state."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ORCHESTRA_CREDS_")}
        folders = {f"ORCHESTRA_CREDS_{kind}_DIR": str(self.folder / kind.lower()) for kind in ("STATE", "CACHE")}
        return kept | folders | {"GIT_CONFIG_GLOBAL": os.devnull}

    def run(self, *arguments: str, codes: Sequence[int] = (0,), **variables: str) -> Spent:
        """Run the program in the folder.

        Raises:
            SystemExit: it ended with another code.
        """
        began = time.perf_counter()
        process = subprocess.Popen(
            [COMMAND, *arguments],
            cwd=self.folder,
            env=self.environment | variables,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        assert process.stderr is not None
        said = process.stderr.read().decode()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        process.stderr.close()
        if process.returncode not in codes:
            raise SystemExit(f"{' '.join(arguments)} ended with {process.returncode}: {said}")
        return Spent(time.perf_counter() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


Measure = Callable[[Place, int], Iterator[tuple[str, Spent]]]
"""Makes work of a size in a place, and yields what each way of doing it took."""


def packs(place: Place, size: int) -> Iterator[tuple[str, Spent]]:
    """A history of 200 objects for each pack."""
    repository = place.folder / "r"
    _fast_import(repository, commits=size, files=100, packs=size)
    (place.folder / "a.txt").write_text("nothing\n")
    place.run("scan", "a.txt")  # compiles the rules
    yield "history of packs, first", place.run("scan", "--history", "r")
    yield "history of packs, again", place.run("scan", "--history", "r")


def loose(place: Place, size: int) -> Iterator[tuple[str, Spent]]:
    """A history of loose objects, 13 that count for each 19."""
    repository = place.folder / "r"
    _fast_import(repository, commits=size // 19, files=6, packs=0)
    (place.folder / "a.txt").write_text("nothing\n")
    place.run("scan", "a.txt")  # compiles the rules
    time.sleep(4)  # until the times of the folders are old enough to tell
    yield "loose objects, first", place.run("scan", "--history", "r")
    yield "loose objects, again", place.run("scan", "--history", "r")


def _fast_import(repository: Path, *, commits: int, files: int, packs: int) -> None:
    """Make a repository with so many packs, or with loose objects only."""
    git = ["git", "-C", str(repository), "-c", "gc.auto=0"]
    subprocess.run(["git", "init", "-q", "-b", "main", str(repository)], check=True)
    subprocess.run([*git, "config", "gc.auto", "0"], check=True)
    for part in range(packs or 1):
        lines = []
        for number in range(part * commits // (packs or 1), (part + 1) * commits // (packs or 1)):
            lines.append(
                f"commit refs/heads/main\ncommitter A <a@example.invalid> {1_700_000_000 + number} +0000\ndata 4\nwork\n"
            )
            if number and number == part * commits // (packs or 1):
                lines.append("from refs/heads/main^0\n")
            for file in range(files):
                text = hashlib.sha256(f"{number} {file}".encode()).hexdigest() * 4
                lines.append(f"M 644 inline d{file % 7}/f{file}-{number % 50}.txt\ndata {len(text)}\n{text}\n")
        subprocess.run(
            [*git, "-c", "fastimport.unpackLimit=1", "fast-import", "--quiet"],
            input="".join(lines).encode(),
            check=True,
        )
    if not packs:
        folder = repository / ".git" / "objects" / "pack"
        for pack in list(folder.glob("*.pack")):
            moved = repository / "moved"
            pack.rename(moved)
            for beside in folder.iterdir():
                beside.unlink()
            with moved.open("rb") as content:
                subprocess.run([*git, "unpack-objects", "-q"], stdin=content, check=True)
            moved.unlink()


def journal(place: Place, size: int) -> Iterator[tuple[str, Spent]]:
    """A journal of so many lines."""
    state = place.folder / "state"
    state.mkdir(mode=0o700)
    before = "0" * 64
    with (state / f"rotations-{PROJECT}.2026.jsonl").open("wb") as file:
        for number in range(size):
            entry = {
                "time": f"2026-01-01T00:{number // 60 % 60:02}:{number % 60:02}.000+00:00",
                "run": "20260101000000-abcdef12",
                "credential": f"credential-{number % 200:03}",
                "generation": number // 2400,
                "step": "stage",
                "resource": f"credential-{number % 200:03}-staging",
                "outcome": "done",
                "note": "",
                "before": before,
            }
            line = json.dumps(entry, separators=(",", ":")).encode()
            before = hashlib.sha256(line).hexdigest()
            file.write(line + b"\n")
    history = ("rotate", "history", "--project", PROJECT)
    yield "journal, rotate history --limit 20", place.run(*history, "--limit", "20")
    yield "journal, rotate history --verify", place.run(*history, "--limit", "20", "--verify")


def gitleaks(place: Place, size: int) -> Iterator[tuple[str, Spent]]:
    """A gitleaks configuration of so many rules, compiled before."""
    rule = '[[rules]]\nid = "rule-{0}"\nregex = "prefix{0}_[0-9a-f]{{32}}"\nkeywords = ["prefix{0}_"]\n'
    (place.folder / ".gitleaks.toml").write_text("".join(rule.format(number) for number in range(size)))
    (place.folder / "a.txt").write_text("nothing\n")
    place.run("scan", ".")
    yield "gitleaks configuration, rules", place.run("scan", ".")


def log(place: Place, size: int) -> Iterator[tuple[str, Spent]]:
    """A log of the embedded cloud of so many entries."""
    (place.folder / "state").mkdir(mode=0o700)
    store = Store(place.folder / "state" / "emulator.db")
    with store.transaction() as txn:
        for number in range(size):
            txn.record(AuditEntry(txn.now, "m", str(number), "c", "OK", mutating=False))
    store.close()
    yield "emulator log --limit 10", place.run("emulator", "log", "--limit", "10")


def findings(place: Place, size: int) -> Iterator[tuple[str, Spent]]:
    """So many findings, 100 in a file."""
    folder = place.folder / "files"
    folder.mkdir()
    for first in range(0, size, 100):
        lines = (
            f"TOKEN_{number} = " + render("gh" + "p_{crc62:30}", seed=number) for number in range(first, first + 100)
        )
        (folder / f"{first}.txt").write_text("\n".join(lines) + "\n")
    place.run("scan", "--exit-zero", str(folder), "-o", "out")
    for form in ("json", "sarif", "html", "table"):
        yield f"findings, report {form}", place.run("scan", "--exit-zero", str(folder), "-f", form, "-o", "out")


def large_file(place: Place, size: int) -> Iterator[tuple[str, Spent]]:
    """One file of so many megabytes."""
    block = "".join(
        f"2026-01-01 level=info request={n} handled in {n % 97} ms path=/v1/things/{n}\n" for n in range(14_000)
    )
    folder = place.folder / "files"
    folder.mkdir()
    with (folder / "large.log").open("w") as file:
        for _ in range(size):
            file.write(block[: 1 << 20])
    place.run("scan", str(folder), "--max-size", "9GB")
    for jobs in ("1", "2"):
        yield f"one file, megabytes, --jobs {jobs}", place.run("scan", str(folder), "--max-size", "9GB", "--jobs", jobs)


ROWS: Final[Sequence[tuple[Measure, Sequence[int]]]] = (
    (packs, (10, 50, 200)),
    (loose, (10_000, 40_000, 160_000)),
    (journal, (50_000, 200_000, 876_000)),
    (gitleaks, (125, 500, 2_000)),
    (log, (1_000, 10_000, 100_000)),
    (findings, (1_000, 10_000, 100_000)),
    (large_file, (100, 400, 1_600)),
)
"""What is measured, and the sizes."""


def measured(rows: Sequence[tuple[Measure, Sequence[int]]], share: int) -> str:
    """One line for each way and cost."""
    with tempfile.TemporaryDirectory() as folder:
        start = Place(Path(folder)).run("--version")
    lines: list[Sequence[object]] = [("row", "sizes", "processor s", "exponent", "MB", "exponent ")]
    for measure, sizes in rows:
        smaller = [max(size // share, 10) for size in sizes]
        found: dict[str, list[Spent]] = {}
        for size in smaller:
            with tempfile.TemporaryDirectory() as folder:
                for name, spent in measure(Place(Path(folder)), size):
                    found.setdefault(name, []).append(spent)
        for name, spents in found.items():
            ratio = smaller[-1] / smaller[0]
            lines.append(
                (
                    name,
                    " / ".join(f"{size:,}" for size in smaller),
                    " / ".join(f"{one.cpu:.2f}" for one in spents),
                    f"{_exponent([one.cpu - start.cpu for one in spents], ratio):.1f}",
                    " / ".join(f"{one.memory / 1e6:.0f}" for one in spents),
                    f"{_exponent([one.memory - start.memory for one in spents], ratio):.1f}",
                )
            )
    return page.table(lines)


def _exponent(costs: Sequence[float], ratio: float) -> float:
    first, last = max(costs[0], 1e-3), max(costs[-1], 1e-3)
    return math.log(last / first) / math.log(ratio)


def at_latency(sizes: Sequence[int], delay: str) -> str:
    """Seconds by the clock of the verbs of the cloud, at so many resources, when every call takes `delay`."""
    rows: list[Sequence[object]] = [("verb", *(f"{size}" for size in sizes))]
    found: dict[str, list[str]] = {}
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            place = Place(Path(folder))
            for name, seconds in _verbs(place, size, delay):
                found.setdefault(name, []).append(f"{seconds:.1f}")
    return page.table(rows + [(name, *seconds) for name, seconds in found.items()])


def _verbs(place: Place, size: int, delay: str) -> Iterator[tuple[str, float]]:
    names = [f"secret-{number}" for number in range(size)]
    accounts = [f"account-{number}" for number in range(size)]
    text = f'schema = 1\n[project]\nid = "{PROJECT}"\n[environments.dev]\n'
    text += "".join(f"[service_accounts.{name}]\n" for name in accounts)
    text += "".join(f'[secrets.{name}]\nenvironments = ["dev"]\nconsumers = ["account-0"]\n' for name in names)
    keys = "".join(
        f'[credentials.{name}]\nkind = "service-account-key"\naccount = "{name}"\nsettle = "0s"\nrequire_unused = "0s"\n'
        for name in accounts
    )
    (place.folder / "orchestra-creds.toml").write_text(text + keys)
    (place.folder / ".env").write_text("".join(f"SECRET_{number}_DEV=value-{number}\n" for number in range(size)))
    (place.folder / ".env").chmod(0o600)
    local = {"ORCHESTRA_CREDS_BACKEND": "local"}
    place.run("emulator", "start", "--no-strict")
    try:
        place.run("setup", "--yes", "--allow-widening", codes=(0, 1), **local)
        place.run("secret", "import-env", ".env", "--yes", **local)
        place.run("emulator", "fault", "*", "--code", "OK", "--delay", delay, "--times", "0")
        every = ("status", "setup --check", "secret import-env .env --yes", "doctor", "run --env dev -- true")
        for verb in every:
            yield verb, place.run(*verb.split(), codes=(0, 1), **local).wall
        for strategy in ("upload", "auto"):
            chosen = keys.replace("[credentials.", f"[credentials.{strategy}-").replace(
                'settle = "0s"', f'settle = "0s"\nstrategy = "{strategy}"'
            )
            (place.folder / "keys.toml").write_text(text + chosen)
            jobs = ("--jobs", str(min(size, 64)), "--config", "keys.toml")
            yield (
                f"rotate --all -j N, keys, {strategy}",
                place.run("rotate", "--all", *jobs, codes=(0, 1), **local).wall,
            )
    finally:
        place.run("emulator", "stop", codes=(0, 1))


def main() -> None:
    """Measure and print (or write into a page) the tables."""
    parser = argparse.ArgumentParser(prog="scripts/bench scale", description=__doc__)
    parser.add_argument("--only", help="rows by name, with commas", default="")
    parser.add_argument("--quick", action="store_true", help=f"sizes divided by {SHARE}")
    parser.add_argument("--delay", default="1s", help="how long every call of the embedded cloud takes")
    parser.add_argument("--calls", default="4,8,16", help="resources for the verbs of the cloud; empty for none")
    parser.add_argument("--write", type=Path, help="a page with marks for `bench scale`; the tables go there")
    options = parser.parse_args()
    only = {name for name in options.only.split(",") if name}
    rows = [(measure, sizes) for measure, sizes in ROWS if not only or measure.__name__ in only]
    text = measured(rows, SHARE if options.quick else 1) if rows else ""
    if options.calls:
        sizes = [int(size) for size in options.calls.split(",")]
        text += f"\nSeconds by the clock, every call takes {options.delay}:\n\n{at_latency(sizes, options.delay)}"
    if options.write:
        page.replace(options.write, "bench scale", text)
    else:
        print(text)


if __name__ == "__main__":
    main()
