"""What a rotation costs: calls, time against the latency of its calls, many credentials at once, memory, and the old procedure beside it.

Everything runs on the embedded cloud, over gRPC and HTTP. Latency is injected into every call of the cloud, in a process of its own.
"""

import argparse
import resource
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import page, shell_rotation
from benchmarks.clouds import PROJECT, Cloud, cloud, key_config
from orchestra_creds.emulator.protocol.routes import SECRET_MANAGER, rpcs
from orchestra_creds.emulator.server import control
from orchestra_creds.emulator.server.dispatch import Emulator
from orchestra_creds.emulator.store.store import Store
from orchestra_creds.gcp.rate_limit import PER_MINUTE, SHARE
from orchestra_creds.rotation.state import ANNOTATION, CurrentCredential, State, encode

LATENCY = 0.05
"""Seconds that every call takes beyond its work."""


def main() -> None:
    """Measure and print (or write into a page) the tables."""
    parser = argparse.ArgumentParser(prog="scripts/bench rotate", description=__doc__)
    parser.add_argument("--count", type=int, default=1000, help="credentials of the run over many")
    parser.add_argument("--rounds", type=int, default=5, help="rotations that are timed one by one")
    parser.add_argument("--sizes", default="100,1000,10000", help="credentials of the memory table")
    parser.add_argument("--skip", default="", help="parts to leave out: calls,one,many,memory,idle,shell")
    parser.add_argument("--write", type=Path, help="a page with marks for `rotate`; the tables go there")
    options = parser.parse_args()
    skipped = options.skip.split(",")
    parts = {
        "calls": calls,
        "one": lambda: one(options.rounds),
        "many": lambda: many(options.count),
        "memory": lambda: memory([int(size) for size in options.sizes.split(",")]),
        "idle": lambda: idle(int(options.sizes.split(",")[-1])),
        "shell": shell_rotation.beside_ours,
    }
    text = "\n".join(part() for name, part in parts.items() if name not in skipped)
    if options.write:
        page.replace(options.write, "rotate", text)
    else:
        print(text)


def calls() -> str:
    """Calls of one rotation and of one retirement, as the audit log has them."""
    rows: list[Sequence[object]] = [("calls", "changing", "reading")]
    for strategy in ("upload", "create"):
        with cloud(key_config(strategy)) as here:
            here.account()
            here.run("rotate", "--all")
            for what, days in (("rotation", 91), ("disable", 7), ("delete and destroy", 7)):
                here.advance(days)
                before = len(here.audit())
                here.run("rotate", "--all")
                entries = here.audit()[before:]
                changing = sum(entry.mutating for entry in entries)
                rows.append((f"{strategy}: {what}", changing, len(entries) - changing))
    return page.table(rows)


def one(rounds: int) -> str:
    """Wall time of one rotation inside a running program, against the sum of the latencies of its calls."""
    rows: list[Sequence[object]] = [("one rotation, upload", "seconds", "calls x latency + settle", "ratio")]
    for settle in (0, 2):
        with cloud(key_config("upload", f"{settle}s")) as here:
            here.account()
            here.run("rotate", "--all")
            walls, sums = [], []
            for _ in range(rounds):
                here.advance(91)
                here.change(LATENCY)
                before = len(here.audit())
                _, answer, _ = here.run("rotate", "--all", "--jobs", "1")
                assert answer["credentials"][0]["outcome"] == "rotated", answer
                walls.append(_steps_took(here))
                sums.append((len(here.audit()) - before) * LATENCY + settle)
                here.change(0)
                here.advance(7)
                here.run("rotate", "--all")
                here.advance(7)
                here.run("rotate", "--all")
            middle = sorted(range(rounds), key=lambda number: walls[number] / sums[number])[rounds // 2]
            rows.append(
                (
                    f"settle {settle} s",
                    f"{walls[middle]:.2f}",
                    f"{sums[middle]:.2f}",
                    f"{walls[middle] / sums[middle]:.2f}",
                )
            )
    return page.table(rows)


def _steps_took(here: Cloud) -> float:
    """Seconds between the first and the last call of the last run, as the cloud's own log has them, plus one latency."""
    entries = here.audit()
    last = max(number for number, entry in enumerate(entries) if entry.method.endswith("UpdateSecret"))
    first = last
    while first and (entries[first].time - entries[first - 1].time).total_seconds() < 30:
        first -= 1
    return float((entries[last].time - entries[first].time).total_seconds()) + LATENCY


def many(count: int) -> str:
    """Credentials a minute with workers, at an injected latency, against latency and workers alone."""
    rows: list[Sequence[object]] = [
        (
            f"kind generated, {LATENCY * 1000:.0f} ms a call",
            "credentials",
            "seconds",
            "a minute",
            "calls x latency / workers",
            "ratio",
        )
    ]
    for workers in (1, 8, 32):
        number = max(count * workers // 32, 20)
        with cloud() as here:
            here.secrets(number)
            here.change(LATENCY)
            before = len(here.audit())
            seconds, answer, _ = here.run("rotate", "--due", "--from-labels", "--jobs", str(workers))
            assert {each["outcome"] for each in answer["credentials"]} == {"rotated"}, answer["credentials"][:3]
            bound = (len(here.audit()) - before) * LATENCY / workers
            rows.append(
                (
                    f"{workers} workers",
                    number,
                    f"{seconds:.1f}",
                    f"{60 * number / seconds:.0f}",
                    f"{bound:.1f}",
                    f"{seconds / bound:.2f}",
                )
            )
    return page.table(rows)


def memory(sizes: Sequence[int]) -> str:
    """Peak memory of a run with nothing to do, and how long it takes, over more and more credentials."""
    rows: list[Sequence[object]] = [("nothing is due", "seconds", "peak memory (MiB)", "changing calls")]
    for size in sizes:
        with cloud() as here:
            here.secrets(size)
            _issue_directly(here, size)
            before = len(here.audit())
            seconds, answer, peak = here.run("rotate", "--due", "--from-labels", "--jobs", "4")
            assert len(answer["credentials"]) == size
            changing = sum(entry.mutating for entry in here.audit()[before:])
            rows.append((f"{size} credentials", f"{seconds:.1f}", f"{peak / 2**20:.0f}", changing))
    return page.table(rows)


WITHOUT_READS = """
from datetime import UTC, datetime
from orchestra_creds.__main__ import main
from orchestra_creds.core.cloud_types import Version, VersionState
from orchestra_creds.gcp.secrets import SecretManagerStore
made = datetime.now(UTC)
SecretManagerStore.get_version = lambda _self, name, _version: Version(name, 1, VersionState.ENABLED, made, "")
main()
"""
"""The command, whose reads of versions are answered at once and by nobody."""


def idle(size: int) -> str:
    """What the two verbs of every night cost when nothing is due: reads of versions, and the time with and without them.

    The time at Google is that of the quota: nine tenths of 600 reads a minute.
    """
    rows: list[Sequence[object]] = [
        (
            f"nothing is due, {size} credentials",
            "seconds",
            "version reads",
            "most for one credential",
            "other calls",
            "seconds without these reads",
            "minutes at the quota of reads",
        )
    ]
    with cloud() as here:
        here.secrets(size)
        _issue_directly(here, size)
        for verb in (("rotate", "--due", "--jobs", "4"), ("status", "--check")):
            before = len(here.audit())
            seconds, answer, _ = here.run(*verb, "--from-labels")
            assert len(answer["credentials"]) == size
            entries = here.audit()[before:]
            read = Counter(entry.resource.partition("/versions/")[0] for entry in entries if _is_version_read(entry))
            without = min(here.run(*verb, "--from-labels", program=WITHOUT)[0] for _ in range(3))
            rows.append(
                (
                    " ".join(verb[:2]),
                    f"{seconds:.1f}",
                    sum(read.values()),
                    max(read.values()),
                    len(entries) - sum(read.values()),
                    f"{without:.1f}",
                    f"{sum(read.values()) / (PER_MINUTE['secretmanager:read'] * SHARE):.0f}",
                )
            )
    return page.table(rows)


def _is_version_read(entry: Any) -> bool:
    return str(entry.method).endswith(("GetSecretVersion", "AccessSecretVersion"))


WITHOUT = (sys.executable, "-c", WITHOUT_READS)


def _issue_directly(here: Cloud, size: int) -> None:
    """Give every secret a version and a state, without the minutes that real rotations would take."""
    store = Store(here.state)
    emulator = Emulator(store, control.SERVICES)
    state = encode(State(generation=1, current=CurrentCredential("first", (1,), store.now())))
    for number in range(size):
        name = f"projects/{PROJECT}/secrets/c{number:05}"
        add, update = f"{SECRET_MANAGER}/AddSecretVersion", f"{SECRET_MANAGER}/UpdateSecret"
        emulator.rpc(add, rpcs()[add].request(parent=name, payload={"data": b"x"}), {})
        secret = {"name": name, "annotations": {ANNOTATION: state}}
        emulator.rpc(update, rpcs()[update].request(secret=secret, update_mask={"paths": ["annotations"]}), {})
    store.close()


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    main()
