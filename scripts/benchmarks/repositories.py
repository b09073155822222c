"""What the speed of scanners is measured on: a repository built here, repositories of packages' releases, or given ones.

The built repository is the same in every run of the same version: seeded text, fixed dates and author. It has about
200 MB of blobs: some thousand source-like files, of which a few hundred change again and again in small edits (so that
the pack is rich in deltas), lockfiles and data, pictures that do not compress, and a handful of planted credentials
which stay for many revisions, as leaked ones do.
"""

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Final

from benchmarks.formats import FORMATS
from benchmarks.negatives import NEGATIVES
from benchmarks.primes import Dice
from benchmarks.tokens import Kind, fill

SEED: Final = 20
FILES, HOT, COMMITS, EDITS = 2600, 320, 1500, 4
WARY, LOOKALIKES = 0.010, 0.25
"""Share of lines with words like `password`, and of the hard negatives' lines that is mixed in: together as frequent as in
the sources of Django 5.2, where 1.2 % of the lines have such a word and 0.16 % a long random run."""
_START: Final = 1_600_000_000
_NOUNS: Final = tuple(
    re.findall(
        r"\w+",
        "order invoice ledger account session request response ticket cache worker queue event handler parser buffer config "
        "schema record index cursor batch stream channel client server router filter policy report user group member price "
        "currency address shipment carrier stock warehouse product catalog search result page widget layout theme color",
    )
)
_VERBS: Final = tuple(
    re.findall(r"\w+", "get set make load store parse check find build send read write open close update remove merge")
)
_LINES: Final = (
    "    {v}_{n} = self.{n}.{v}({n}, timeout={d})",
    "def {v}_{n}(self, {n}: {N}, *, limit: int = {d}) -> {N} | None:",
    '    """{V} the {n} of one {m}; raises {N}Error when the {m} is closed."""',
    "    if {n} is None or {n}.{m}_id != {m}.id:",
    '        raise {N}Error(f"no {n} for {{{m}!r}}")',
    "    return [{n}.{v}() for {n} in self._{m}s if {n}.active]",
    "  const {n}{N} = await this.{m}.{v}({{ id: {n}.id, page: {d} }});",
    "export function {v}{N}({n}: {N}, options: Partial<{M}Options> = {{}}): Promise<{M}> {{",
    "        logger.info('{v} {n}', extra={{'{m}': {m}.name, 'count': {d}}})",
    "    assert {v}_{n}({m}) == {d}",
    "  - name: {n}-{m}-{d}",
    "    image: registry.initech.io/{n}/{m}:{d}.{d}",
    "# the {n} is kept until its {m} has been {v}",
    "",
    "        self.assertEqual({n}.{m}, {d})",
    'type {N}{M} struct {{ {N} string `json:"{n}"`; {M} int64 `json:"{m}_id"` }}',
    '    <div class="{n}-{m}" id="{n}{d}"><span>{V} the {m}</span></div>',
)

_WARY: Final = (
    "    {n}_token = request.headers.get('X-{N}-Token')",
    "        password = form.cleaned_data['{n}_password']",
    "    {v}_password(self.{n}, {m}.password, salt={m}.salt)",
    '    secret_key: str = Field(alias="{n}_secret_key")',
    "  const apiKey = settings.{n}.apiKey ?? await {v}{M}Key();",
    "    # the token of the {n} is read with the {m}, never logged",
    '        self.assertContains(response, "The {n} password is wrong")',
)
"""Lines with words that a scanner stops at, and nothing behind them."""


def _shelf(rng: Dice) -> list[str]:
    """Lines to write files from: code of no sense, and the lines of files that look as if they held credentials."""
    lines = []
    for _ in range(40_000):
        noun, other, verb = rng.choice(_NOUNS), rng.choice(_NOUNS), rng.choice(_VERBS)
        words = {"n": noun, "m": other, "v": verb, "N": noun.title(), "M": other.title(), "V": verb.title()}
        form = rng.choice(_WARY if rng.random() < WARY else _LINES)
        lines.append(form.format(**words, d=rng.randint(1, 9999)))
    for negative in NEGATIVES:
        text = negative.make(rng)
        if isinstance(text, str):
            lines += [line for line in text.splitlines() if len(line) < 400 and rng.random() < LOOKALIKES]
    return lines


class _Files:
    """The state of every file, and how it changes."""

    def __init__(self, rng: Dice) -> None:
        self.rng = rng
        self.shelf = _shelf(rng)
        suffixes = ("py", "ts", "go", "yaml", "md", "json", "js", "html")
        self.names = [
            f"{rng.choice(_NOUNS)}/{rng.choice(_NOUNS)}/{rng.choice(_VERBS)}_{n}.{rng.choice(suffixes)}"
            for n in range(FILES)
        ]
        self.lines = [rng.choices(self.shelf, k=rng.randint(80, 560)) for _ in self.names]
        kinds = [kind for kind in FORMATS if kind.kind in {Kind.TOKEN, Kind.PAIR, Kind.URL}]
        self.planted = [kinds[rng.randrange(len(kinds))] for _ in range(60)]

    def text(self, number: int) -> bytes:
        return "\n".join(self.lines[number]).encode() + b"\n"

    def edit(self, number: int) -> None:
        """A small change: a run of lines replaced, grown or cut; now and then somebody commits a credential."""
        lines, rng = self.lines[number], self.rng
        for _ in range(rng.randint(1, 4)):
            start = rng.randrange(len(lines))
            lines[start : start + rng.randint(0, 3)] = rng.choices(self.shelf, k=rng.randint(0, 4))
        if len(lines) < 60:
            lines += rng.choices(self.shelf, k=80)
        if self.planted and rng.random() < 0.01:
            secret = self.planted.pop().make(rng)
            lines[len(lines) // 2 : len(lines) // 2] = [f'{name} = "{text}"' for name, text in secret.values]


def _data(text: bytes) -> bytes:
    return b"data %d\n" % len(text) + text + b"\n"


def _stream(rng: Dice) -> Iterator[bytes]:
    """A stream for `git fast-import`."""
    files = _Files(rng)
    who = b"Dana Example <dana@initech.io>"

    def commit(number: int) -> bytes:
        stamp = b"%d +0000" % (_START + 3600 * number)
        message = f"{rng.choice(_VERBS).title()} the {rng.choice(_NOUNS)} ({number})"
        return b"commit refs/heads/main\ncommitter " + who + b" " + stamp + b"\n" + _data(message.encode())

    yield commit(0)
    for number, name in enumerate(files.names):
        yield b"M 100644 inline " + name.encode() + b"\n" + _data(files.text(number))
    for number in range(40):
        yield b"M 100644 inline assets/picture%d.png\n" % number + _data(
            b"\x89PNG\r\n\x1a\n" + rng.randbytes(rng.randint(60_000, 500_000))
        )
    for number in range(1, COMMITS):
        yield commit(number)
        for hot in sorted(rng.sample(range(HOT), EDITS)):
            files.edit(hot)
            yield b"M 100644 inline " + files.names[hot].encode() + b"\n" + _data(files.text(hot))
        if number % 40 == 0:
            yield b"M 100644 inline assets/picture%d.png\n" % (number % 11) + _data(
                b"\x89PNG\r\n\x1a\n" + rng.randbytes(200_000)
            )
            lock = "".join(fill("{az:9}==1.{d:1} --hash=sha256:{hex:64}\n", rng) for _ in range(400))
            yield b"M 100644 inline requirements.lock\n" + _data(lock.encode())
    yield b"done\n"


def git(*arguments: str | Path) -> str:
    """Runs git and returns what it prints."""
    return subprocess.check_output(["git", *map(str, arguments)], text=True)


def built(work: Path) -> Path:
    """The built repository, bare; made once in a work folder."""
    path = work / "built.git"
    if not path.exists():
        unready = Path(tempfile.mkdtemp(prefix="built-", dir=work))
        git("init", "-q", "--bare", "-b", "main", unready)
        command = ["git", "-C", str(unready), "fast-import", "--quiet", "--done"]
        with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
            pipe: IO[bytes] | None = process.stdin
            if pipe is None:
                raise SystemExit("no pipe to git fast-import")
            for part in _stream(Dice(SEED)):
                pipe.write(part)
            pipe.close()
        _pack(unready)
        unready.rename(path)
    return path


def tree(work: Path, size: int = 100_000_000) -> Path:
    """A folder of about `size` bytes in files, without git: the tree of the built repository and more of its kind."""
    path = work / "tree"
    if not path.exists():
        unready = Path(tempfile.mkdtemp(prefix="tree-", dir=work))
        export(built(work), unready)
        rng = Dice(SEED + 1)
        shelf = _shelf(rng)
        total = sum(file.stat().st_size for file in unready.rglob("*") if file.is_file())
        number = 0
        while total < size:
            folder = unready / "packages" / f"{rng.choice(_NOUNS)}{number % 211}"
            folder.mkdir(parents=True, exist_ok=True)
            text = "\n".join(rng.choices(shelf, k=rng.randint(60, 500)))
            (folder / f"{rng.choice(_VERBS)}_{number}.js").write_text(text)
            number, total = number + 1, total + len(text)
        unready.rename(path)
    return path


def export(repository: Path, folder: Path) -> None:
    """The tree of HEAD as plain files."""
    folder.mkdir(parents=True, exist_ok=True)
    with subprocess.Popen(["git", "-C", str(repository), "archive", "HEAD"], stdout=subprocess.PIPE) as process:
        subprocess.run(["tar", "-x", "-C", str(folder)], stdin=process.stdout, check=True)


def cloned(source: Path, work: Path) -> Path:
    """A bare copy of a given repository, so that a scan can change nothing of it."""
    path = work / f"{re.sub(r'[^A-Za-z0-9.-]+', '-', source.resolve().name)}.git"
    if not path.exists():
        git("clone", "-q", "--mirror", "--no-hardlinks", source.resolve(), path)
    return path


def from_releases(name: str, count: int, work: Path, python: Path) -> Path:
    """A repository whose commits are successive source releases of a package: every second one of the newest.

    `pip` downloads them with whatever index it is configured for; a release that cannot be had is left out.
    """
    path = work / f"{name}-{count}.git"
    if path.exists():
        return path
    releases = work / "releases" / name
    releases.mkdir(parents=True, exist_ok=True)
    listed = subprocess.check_output(
        [python, "-m", "pip", "index", "versions", name], stderr=subprocess.DEVNULL, text=True
    )
    versions = re.findall(r"^Available versions: (.*)$", listed, re.MULTILINE)[0].split(", ")[: 2 * count : 2]
    unready = Path(tempfile.mkdtemp(dir=work))
    git("init", "-q", "-b", "main", unready)
    for number, version in enumerate(reversed(versions)):
        archive = _release(name, version, releases, python)
        if archive is None:
            print(f"left out {name} {version}", file=sys.stderr)
            continue
        git("-C", unready, "rm", "-q", "-r", "--ignore-unmatch", ".")
        _unpack(archive, unready)
        git("-C", unready, "add", "-A", "--force")
        stamp = f"{_START + 86400 * number} +0000"
        who = ("-c", "user.name=Dana Example", "-c", "user.email=dana@initech.io")
        git("-C", unready, *who, "commit", "-q", "--no-verify", f"--date={stamp}", "-m", f"{name} {version}")
    _pack(unready)
    (unready / ".git").rename(path)
    git("-C", path, "config", "core.bare", "true")
    return path


def _release(name: str, version: str, releases: Path, python: Path) -> Path | None:
    def found() -> Path | None:
        wanted = f"{name}-{version}".lower().replace("_", "-")
        return next(
            (file for file in releases.glob("*.tar.gz") if file.name[:-7].lower().replace("_", "-") == wanted), None
        )

    if found() is None:
        fetch: list[str | Path] = [
            python,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
            "--no-binary",
            ":all:",
        ]
        subprocess.run(
            [*fetch, "--dest", releases, f"{name}=={version}"], check=False, capture_output=True, timeout=300
        )
    return found()


def _unpack(archive: Path, folder: Path) -> None:
    tar = ["tar", "-x", "-z", "--strip-components=1", "--exclude=.git", "--no-same-permissions"]
    subprocess.run([*tar, "-C", str(folder), "-f", str(archive)], check=True)


def _pack(repository: Path) -> None:
    git("-C", repository, "-c", "pack.threads=0", "repack", "-q", "-a", "-d", "-f")


def size(repository: Path) -> tuple[int, int]:
    """Number and bytes of all blobs."""
    listed = git(
        "-C", repository, "cat-file", "--batch-all-objects", "--unordered", "--batch-check=%(objecttype) %(objectsize)"
    )
    sizes = [int(line[5:]) for line in listed.splitlines() if line.startswith("blob ")]
    return len(sizes), sum(sizes)


def staged(work: Path) -> Path:
    """A clone of the built repository with four small files staged."""
    path = work / "staged"
    if not path.exists():
        git("clone", "-q", built(work), path)
        rng = Dice(SEED + 2)
        shelf = _shelf(rng)
        for number in range(4):
            (path / f"new_{number}.py").write_text("\n".join(rng.choices(shelf, k=60)) + "\n")
        git("-C", path, "add", "-A")
    return path


__all__: Sequence[str] = ("built", "cloned", "export", "from_releases", "git", "size", "staged", "tree")
