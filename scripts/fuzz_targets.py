"""The parsers that read hostile bytes, each as a function of bytes that a coverage-guided fuzzer calls.

An input may be refused with the errors that the parser declares; any other exception, a crash of the C code, an input that takes more than
ten seconds, or more than 1 GiB of memory is a finding, and the fuzzer keeps the input.
"""

import argparse
import io
import os
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["orchestra_creds.scanner", "orchestra_creds.config"]):
    from orchestra_creds.config.parse import parse
    from orchestra_creds.errors import CredsError
    from orchestra_creds.scanner.baseline import file as baseline
    from orchestra_creds.scanner.content import archives, tar
    from orchestra_creds.scanner.decoding.decode import CARRIERS
    from orchestra_creds.scanner.decoding.unwrap import unwrap
    from orchestra_creds.scanner.exclusions import Exclusions
    from orchestra_creds.scanner.git import delta, pack
    from orchestra_creds.scanner.gitleaks import config
    from orchestra_creds.scanner.tree import inventory

CORPUS = Path(__file__).parents[1] / "tests" / "fuzz"
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108
"""Where files of an input go."""
LIMIT = 1 << 20
"""Bytes that an object or an archive may unfold to."""


def decoder(data: bytes) -> None:
    """Decode what stands around every match of a carrier, and look up where each decoded text came from."""
    for carrier in CARRIERS:
        pattern = re.compile((carrier.pattern or "[A-Za-z0-9+/_-]{16,40}").encode())
        ends = [(match.end(), carrier) for match in pattern.finditer(data)]
        for unwrapped, _hits in unwrap(carrier.kind, data, ends, lambda _text: [True]):
            start, end = unwrapped.outer(0, len(unwrapped.text))
            if not 0 <= start <= end <= len(data):
                raise AssertionError("the decoded text lies outside of its source")


def gitleaks_config(data: bytes) -> None:
    """Read a gitleaks configuration that stands in the scanned tree."""
    try:
        config.loads(data.decode("utf-8", "replace"), "fuzzed")
    except CredsError:
        return


def baseline_file(data: bytes) -> None:
    """Read a baseline that stands in the scanned tree."""
    try:
        baseline.loads(data.decode("utf-8", "replace"))
    except CredsError:
        return


def read_members(kind: archives.ArchiveKind, data: bytes) -> None:
    """Read every member of an archive to its end."""
    budget = archives.Budget(archives.ArchiveLimits(total=LIMIT), size=len(data))
    try:
        for member in archives.members(kind, io.BytesIO(data), budget):
            while member.data is not None and member.data.read(65_536):
                pass
    except (tar.DamagedArchiveError, archives.ArchiveLimitError):
        return


def pack_reader(data: bytes) -> None:
    """Read an index and a pack: a length in two bytes, the index, the pack."""
    length = int.from_bytes(data[:2], "big")
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        index = Path(folder, "pack-1.idx")
        index.write_bytes(data[2 : 2 + length])
        index.with_suffix(".pack").write_bytes(data[2 + length :])
        try:
            opened = pack.Pack(index, 20, check=False)
        except ValueError:
            return
        opened.has_cycle()
        for number, kind in enumerate(bytes(opened.columns.kind)):
            if kind != pack.BROKEN:
                try:
                    opened.text(number, LIMIT)
                except (*pack.DAMAGED, OverflowError):
                    continue


def delta_apply(data: bytes) -> None:
    """Apply a delta to a base, in C and in Python: a length in two bytes, the base, the delta."""
    length = int.from_bytes(data[:2], "big")
    base, change = data[2 : 2 + length], data[2 + length :]
    answers = []
    for apply in (delta.apply, delta.apply_slowly):
        try:
            answers.append(apply(base, change, LIMIT, 64, 64))
        except (ValueError, OverflowError) as error:
            answers.append(type(error))
    if answers[0] != answers[1]:
        raise AssertionError("the two implementations differ")


def own_config(data: bytes) -> None:
    """Read an orchestra-creds.toml that stands in the scanned tree."""
    try:
        parse(data.decode("utf-8", "replace"), "fuzzed")
    except CredsError:
        return


def tree_listing(data: bytes) -> None:
    """Make a tree and list it, in C and in Python: a digit says what the rest of a line names, below the last folder."""
    walk = inventory.walk
    with tempfile.TemporaryDirectory(dir=MEMORY) as top:
        plant(os.fsencode(top), data.split(b"\n")[:64])
        answers = []
        try:
            for inventory.walk in (walk, None):
                found = inventory._build_inventory(os.fsencode(top), [top], all_files=True, exclusions=Exclusions(()))  # noqa: SLF001  its caller forks
                answers.append((sorted(found.files), sorted((one.path, one.reason) for one in found.skipped)))
        finally:
            inventory.walk = walk
    if answers[0] != answers[1]:
        raise AssertionError("the two implementations differ")


def plant(folder: bytes, lines: list[bytes]) -> None:
    """Make files, folders, links and pipes; what cannot be made is left out."""
    for line in lines:
        path = folder + b"/" + line[1:].replace(b"/", b"_")
        try:
            match line[:1]:
                case b"0":
                    os.close(
                        os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
                    )  # a pipe of that name would wait for a reader
                case b"1":
                    os.mkdir(path)
                    folder = path
                case b"2":
                    os.symlink(line[1:], path)
                case b"3":
                    os.mkfifo(path)
                case b"4":
                    folder = os.path.dirname(folder) if folder.count(b"/") > 3 else folder
        except (OSError, ValueError):
            continue


TARGETS: dict[str, Callable[[bytes], None]] = {
    "decoder": decoder,
    "config": own_config,
    "gitleaks-config": gitleaks_config,
    "listing": tree_listing,
    "baseline": baseline_file,
    "tar": lambda data: read_members(archives.ArchiveKind.TAR, data),
    "zip": lambda data: read_members(archives.ArchiveKind.ZIP, data),
    "pack": pack_reader,
    "delta": delta_apply,
}


def main() -> None:
    """Fuzz one target for a while, from its corpus in `tests/fuzz`."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--seconds", type=int, default=60, help="how long (default 60)")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as grown:
        limits = [f"-max_total_time={asked.seconds}", "-timeout=10", "-rss_limit_mb=1024", "-print_final_stats=1"]
        limits.append(f"-artifact_prefix={CORPUS / asked.target}/")
        atheris.Setup([sys.argv[0], *limits, grown, str(CORPUS / asked.target)], TARGETS[asked.target])
        atheris.Fuzz()


if __name__ == "__main__":
    main()
