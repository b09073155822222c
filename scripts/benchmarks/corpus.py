"""The labelled corpus: kinds of credentials x wrappings x places in a repository's history, among hard negatives.

Two families of labels: every kind in every plausible wrapping, at rest in HEAD; and every kind, written plainly, in
every place where git can hold it. One file holds one credential, so a finding in a file says which label it meets.
The repository is built with fixed dates and authors; the same seed gives the same object names.
"""

import os
import re
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

from benchmarks import wrappings
from benchmarks.formats import FORMATS
from benchmarks.negatives import NEGATIVES, Negative
from benchmarks.primes import Dice
from benchmarks.tokens import Format, Kind, Secret
from benchmarks.wrappings import Wrapped

WORDS: Final = (
    "billing",
    "ledger",
    "orders",
    "search",
    "gateway",
    "mailer",
    "reports",
    "catalog",
    "identity",
    "webhooks",
)
_PLAIN: Final = {Kind.DOCUMENT: "json-pretty", Kind.PEM: "key-file", Kind.FILE: "file", Kind.BINARY: "file"}


class Place(StrEnum):
    """Where in a repository a credential stands."""

    HEAD = "HEAD, packed"
    LOOSE = "HEAD, loose object"
    TREE = "working tree, untracked"
    CHANGED = "overwritten in a later commit"
    DELETED = "deleted in a later commit"
    RENAMED = "renamed in a later commit"
    BRANCH = "another branch"
    MERGE = "merge commit only"
    STASH = "stash"
    DROPPED = "dropped commit (reflog)"
    DANGLING = "dangling blob"
    COMMIT_MESSAGE = "commit message (extra)"
    TAG_MESSAGE = "tag message (extra)"


EXTRAS: Final = frozenset({Place.COMMIT_MESSAGE, Place.TAG_MESSAGE})


@dataclass(frozen=True, slots=True)
class Label:
    """One planted credential. `paths` are the names that may be reported; lines (0, 0) mean anywhere in the file."""

    format: Format
    wrapping: str
    place: Place
    paths: tuple[str, ...]
    first: int
    last: int
    oid: str = ""
    probes: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Harmless:
    """One file of hard negatives."""

    negative: Negative
    path: str


@dataclass(frozen=True, slots=True)
class Corpus:
    """A repository and what is true about it."""

    root: Path
    labels: tuple[Label, ...]
    harmless: tuple[Harmless, ...]


class _Git:
    """Git with a fixed author, a clock that moves one minute a commit, and nobody's configuration."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._minute = 0

    def __call__(self, *arguments: str, data: bytes = b"") -> str:
        self._minute += 1
        stamp = f"{1_700_000_000 + 60 * self._minute} +0000"
        who = {"NAME": "Dana Example", "EMAIL": "dana@initech.io", "DATE": stamp}
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.root),
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            **{f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in who.items()},
        }
        settings = ("-c", "gc.auto=0", "-c", "core.autocrlf=false", "-c", "core.hooksPath=/dev/null")
        command = ["git", "-C", str(self.root), *settings, *arguments]
        return (
            subprocess.run(command, input=data, env=environment, check=True, capture_output=True)
            .stdout.decode()
            .strip()
        )

    def commit(self, message: str) -> None:
        self("add", "-A")
        self("commit", "-q", "-m", message)


class _Planter:
    """Makes credentials and writes their files; keeps the labels."""

    def __init__(self, git: _Git, rng: Dice) -> None:
        self.git, self.rng = git, rng
        self.labels: list[Label] = []
        self._number = 0

    def folder(self) -> str:
        self._number += 1
        return f"services/{WORDS[self._number % len(WORDS)]}{self._number:04d}"

    def write(self, path: str, data: bytes) -> None:
        target = self.git.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)

    def plant(self, kind: Format, wrapping: str, place: Place, *, later: str = "") -> Wrapped:
        """One credential in one file of the working tree. `later` is the name that the file will be given."""
        secret, wrapped = self.make(kind, wrapping)
        path = f"{self.folder()}/{wrapped.name}"
        self.write(path, wrapped.data)
        paths = (path, f"{path.rsplit('/', 1)[0]}/{later}{wrapped.name}") if later else (path,)
        self.add(kind, wrapping, place, secret, wrapped, paths=paths)
        return wrapped

    def make(self, kind: Format, wrapping: str) -> tuple[Secret, Wrapped]:
        secret = kind.make(self.rng)
        wrap = next(item.wrap for item in wrappings.WRAPPINGS if item.name == wrapping)
        return secret, wrap(secret, self.rng)

    def add(
        self,
        kind: Format,
        wrapping: str,
        place: Place,
        secret: Secret,
        wrapped: Wrapped,
        *,
        paths: tuple[str, ...] = (),
        oid: str = "",
    ) -> None:
        self.labels.append(Label(kind, wrapping, place, paths, wrapped.first, wrapped.last, oid, _probes(secret)))


def _probes(secret: Secret) -> tuple[str, ...]:
    """Texts that only a report of this very credential can contain: the value, or the random parts of a long one."""
    if secret.kind not in {Kind.DOCUMENT, Kind.PEM, Kind.FILE}:
        return tuple(text for _, text in secret.values if text)
    runs = re.findall(r"[A-Za-z0-9+/_-]{20,}", secret.text.replace("\\n", " "))
    return tuple(run for run in runs if re.search("[A-Z]", run) and re.search("[a-z]", run) and re.search("[0-9]", run))


def _plain(kind: Format) -> str:
    return _PLAIN.get(kind.kind, "env")


def build(root: Path, seed: int, *, formats: Sequence[Format] = FORMATS, copies: int = 3) -> Corpus:
    """Builds the repository in the empty folder `root`. `copies` is the number of files of each hard negative."""
    git, rng = _Git(root), Dice(seed)
    root.mkdir(parents=True, exist_ok=True)
    git("init", "-q", "-b", "main")
    planter = _Planter(git, rng)
    planter.write("README.md", b"# Services\n\nEvery folder is one service.\n")
    git.commit("Start")

    harmless = _harmless(planter, copies)
    for kind in formats:
        for wrapping in wrappings.plausible(kind.kind):
            planter.plant(kind, wrapping.name, Place.HEAD)
    _plant_all(planter, formats, Place.DELETED)
    _plant_all(planter, formats, Place.CHANGED)
    _plant_all(planter, formats, Place.RENAMED, later="old-")
    git.commit("Add the services")
    git("repack", "-adq")

    _later(planter)
    git.commit("Tidy up")
    _branches(planter, formats)
    _unreachable(planter, formats)
    _messages(planter, formats)
    _plant_all(planter, formats, Place.LOOSE)
    git.commit("Add more services")
    _stash(planter, formats)
    _plant_all(planter, formats, Place.TREE)
    return Corpus(root, tuple(planter.labels), harmless)


def _plant_all(planter: _Planter, formats: Iterable[Format], place: Place, *, later: str = "") -> None:
    for kind in formats:
        planter.plant(kind, _plain(kind), place, later=later)


def _harmless(planter: _Planter, copies: int) -> tuple[Harmless, ...]:
    files = []
    for negative in NEGATIVES:
        for _ in range(copies):
            data = negative.make(planter.rng)
            path = f"{planter.folder()}/{negative.path}"
            planter.write(path, data.encode() if isinstance(data, str) else data)
            files.append(Harmless(negative, path))
    return tuple(files)


def _later(planter: _Planter) -> None:
    """What a later commit does to the files that are not to stay."""
    for label in planter.labels:
        if label.place is Place.DELETED:
            (planter.git.root / label.paths[0]).unlink()
        elif label.place is Place.CHANGED:
            planter.write(label.paths[0], b"# moved to the secret manager\nPORT=8080\n")
        elif label.place is Place.RENAMED:
            (planter.git.root / label.paths[0]).rename(planter.git.root / label.paths[1])


def _branches(planter: _Planter, formats: Sequence[Format]) -> None:
    git = planter.git
    git("checkout", "-q", "-b", "feature")
    _plant_all(planter, formats, Place.BRANCH)
    git.commit("Try a feature")
    git("checkout", "-q", "-b", "side", "main")
    planter.write("docs/side.md", b"# Side\n")
    git.commit("Write a page")
    git("checkout", "-q", "main")
    planter.write("docs/main.md", b"# Main\n")
    git.commit("Write another page")
    git("merge", "-q", "--no-ff", "--no-commit", "side")
    _plant_all(planter, formats, Place.MERGE)
    git.commit("Merge the page")
    for label in planter.labels:
        if label.place is Place.MERGE:
            (git.root / label.paths[0]).unlink()
    git.commit("Take back what the merge brought")


def _unreachable(planter: _Planter, formats: Sequence[Format]) -> None:
    git = planter.git
    _plant_all(planter, formats, Place.DROPPED)
    git.commit("Add too much")
    git("reset", "-q", "--hard", "HEAD~1")
    for kind in formats:
        wrapping = _plain(kind)
        secret, wrapped = planter.make(kind, wrapping)
        oid = git("hash-object", "-w", "--no-filters", "--stdin", data=wrapped.data)
        planter.add(kind, wrapping, Place.DANGLING, secret, wrapped, oid=oid)


def _messages(planter: _Planter, formats: Sequence[Format]) -> None:
    """Credentials in the messages of commits and annotated tags: reported apart, as most scanners read files only."""
    git = planter.git
    for kind in (kind for kind in formats if kind.kind is Kind.TOKEN):
        for place in sorted(EXTRAS):
            secret, wrapped = planter.make(kind, "markdown-prose")
            if place is Place.COMMIT_MESSAGE:
                git("commit", "-q", "--allow-empty", "-F", "-", data=wrapped.data)
                oid = git("rev-parse", "HEAD")
            else:
                git("tag", "-a", f"v{len(planter.labels)}", "-F", "-", data=wrapped.data)
                oid = git("rev-parse", f"v{len(planter.labels)}")
            planter.add(kind, "message", place, secret, wrapped, oid=oid)


def _stash(planter: _Planter, formats: Sequence[Format]) -> None:
    _plant_all(planter, formats, Place.STASH)
    planter.git("add", "-A")
    planter.git("stash", "-q")
