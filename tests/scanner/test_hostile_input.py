"""A scanned tree is hostile. Every case comes with its control: what it would have done to a scan that takes no care."""

import gzip
import io
import os
import resource
import signal
import socket
import stat
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from orchestra_creds.core.text import visible
from orchestra_creds.render.formats import FORMATS
from orchestra_creds.render.report import render
from orchestra_creds.scanner.content.archives import ArchiveLimits
from orchestra_creds.scanner.content.explore import Explorer
from orchestra_creds.scanner.safe_open import MOST_OPEN, TreeOpener
from tests.scanner.trees import ENGINE, RULE, git, look, places, repository, skipped, token, write


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """What a scan of `tmp_path/tree` must never read."""
    return write(tmp_path / "outside", {"secret.txt": token(9), "sub/deep.txt": token(8)})


@contextmanager
def alarm(seconds: int) -> Iterator[None]:
    """Fail where a scan blocks."""

    def ring(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


# ---- links --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("in_git", [False, True])
def test_a_link_leads_nowhere(in_git: bool, tmp_path: Path, outside: Path) -> None:
    tree = write(tmp_path / "tree", {"a.txt": token(1)})
    (tree / "file").symlink_to(outside / "secret.txt")
    (tree / "folder").symlink_to(outside)
    (tree / "up").symlink_to("..")
    (tree / "round").symlink_to("round")
    if in_git:
        repository(tree)
    assert (tree / "file").read_bytes() == token(9)  # the control: following it reads what lies outside
    report = look(tree)
    assert places(report) == ["a.txt:1"]
    assert report.complete


def test_the_text_of_a_link_is_scanned_as_git_keeps_it(tmp_path: Path) -> None:
    (write(tmp_path / "tree", {"a": b""}) / "link").symlink_to(token(1).decode())
    assert places(look(tmp_path / "tree")) == ["link:1"]


def test_an_index_that_names_files_behind_a_link_reads_nothing_there(tmp_path: Path, outside: Path) -> None:
    tree = write(repository(tmp_path / "tree"), {"d/secret.txt": b"tracked", "a": token(1)})
    git(tree, "add", ".")
    (tree / "d/secret.txt").unlink()
    (tree / "d").rmdir()
    (tree / "d").symlink_to(outside)
    assert (tree / "d/secret.txt").read_bytes() == token(9)  # the control: the tracked path opens the foreign file
    assert b"d/secret.txt" in git(tree, "ls-files")
    assert places(look(tree)) == ["a:1"]


def test_a_submodule_that_became_a_link_is_not_entered(tmp_path: Path, outside: Path) -> None:
    repository(outside)
    git(outside, "add", ".")
    git(outside, "commit", "-qm", "one")
    tree = write(repository(tmp_path / "tree"), {"a": token(1)})
    commit = git(outside, "rev-parse", "HEAD").decode().strip()
    git(tree, "update-index", "--add", "--cacheinfo", f"160000,{commit},sub")
    (tree / "sub").symlink_to(outside)
    assert (tree / "sub/secret.txt").exists()  # the control
    assert places(look(tree)) == ["a:1"]


@pytest.mark.parametrize("path", [b"../outside/secret.txt", b"a/../../outside/secret.txt", b"..", b"a/.."])
def test_a_path_that_climbs_is_refused(path: bytes, tmp_path: Path, outside: Path) -> None:
    tree = write(tmp_path / "tree", {"a/b": b""})
    assert (tree / os.fsdecode(path)).exists()  # the control
    with pytest.raises(OSError, match="leaves the tree"):
        os.close(TreeOpener(os.fsencode(tree)).open(path))


def test_a_folder_that_turns_into_a_link_while_it_is_read_leads_nowhere(tmp_path: Path, outside: Path) -> None:
    tree = write(tmp_path / "tree", {"d/secret.txt": b"inside"})
    descent = TreeOpener(os.fsencode(tree))
    (tree / "d").rename(tree / "was")
    (tree / "d").symlink_to(outside)
    with pytest.raises(OSError, match=r"Not a directory|symbolic link"):
        descent.open(b"d/secret.txt")
    descent.close()


# ---- what is no file ----------------------------------------------------------------------------------------------


def test_pipes_sockets_and_devices_are_named_and_never_opened(tmp_path: Path) -> None:
    tree = write(tmp_path / "tree", {"a": token(1)})
    os.mkfifo(tree / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tree / "socket"))
        with alarm(20):
            report = look(tree)
    assert skipped(report) == {"pipe": "a named pipe, not a file", "socket": "a socket, not a file"}
    assert places(report) == ["a:1"]
    assert report.exit_code == 5


def test_reading_a_pipe_would_block_for_ever(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(TimeoutError), alarm(1):
        (tmp_path / "pipe").read_bytes()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes device nodes")
def test_a_device_that_never_ends_is_named(tmp_path: Path) -> None:
    write(tmp_path, {"a": b""})
    try:
        os.mknod(tmp_path / "zero", stat.S_IFCHR | 0o600, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("this container makes no device nodes")
    with alarm(20):
        assert skipped(look(tmp_path)) == {"zero": "a device, not a file"}


def test_a_tracked_file_that_became_a_pipe_is_named(tmp_path: Path) -> None:
    tree = write(repository(tmp_path / "tree"), {"a": b"x", "b": token(1)})
    git(tree, "add", ".")
    (tree / "a").unlink()
    os.mkfifo(tree / "a")
    with alarm(20):
        assert skipped(look(tree)) == {"a": "a named pipe, not a file"}


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_a_pipe_or_device_that_is_named_on_the_command_line_is_no_file(kind: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    path = tmp_path / "pipe" if kind == "pipe" else Path("/dev/null")
    with alarm(20):
        assert look(path).exit_code == 5


@pytest.mark.unprivileged
def test_what_may_not_be_read_is_named(tmp_path: Path) -> None:
    write(tmp_path, {"a": token(1), "b": b"", "d/c": b""})
    (tmp_path / "b").chmod(0)
    (tmp_path / "d").chmod(0)
    report = look(tmp_path)
    (tmp_path / "d").chmod(0o700)
    assert skipped(report) == {"b": "permission denied", "d": "cannot be listed: permission denied"}


def test_a_file_that_shrinks_or_grows_while_it_is_read_ends(tmp_path: Path) -> None:
    from orchestra_creds.scanner.tree.batch_scan import BATCH

    path = write(tmp_path, {"log": b"x" * (20 * BATCH)}) / "log"
    stop = threading.Event()

    def change() -> None:
        with path.open("r+b") as file:
            while not stop.is_set():
                file.truncate(1000)
                file.truncate(20 * BATCH)
                file.seek(0, io.SEEK_END)
                file.write(b"y" * 100_000)

    thread = threading.Thread(target=change)
    thread.start()
    try:
        with alarm(60):
            for _ in range(3):
                assert look(tmp_path).findings == ()
    finally:
        stop.set()
        thread.join()


def test_a_map_of_a_file_that_shrinks_would_kill_the_process(tmp_path: Path) -> None:
    code = (
        "import mmap, os, sys; f = open(sys.argv[1], 'r+b'); m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ);"
        "os.ftruncate(f.fileno(), 0); m[5000]"
    )
    path = write(tmp_path, {"x": b"x" * 10_000}) / "x"
    run = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, check=False)
    assert run.returncode == -signal.SIGBUS


# ---- shapes -------------------------------------------------------------------------------------------------------


def test_a_tree_deeper_than_any_path_may_be_is_read_to_its_end(tmp_path: Path) -> None:
    name, depth = "d" * 100, MOST_OPEN + 20
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir(name, dir_fd=here)
        below = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    file = os.open("leaf", os.O_WRONLY | os.O_CREAT, dir_fd=here)
    os.write(file, token(1))
    os.close(file)
    os.close(here)
    with pytest.raises(OSError, match="too long"):  # the control: no path leads there
        os.stat(os.path.join(tmp_path, *[name] * depth, "leaf"))
    try:
        report = look(tmp_path)
        assert places(report) == ["/".join([name] * depth) + "/leaf:1"]
        assert report.complete
    finally:
        subprocess.run(["rm", "-rf", str(tmp_path / name)], check=True)


def test_deep_nesting_takes_few_descriptors(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["d"] * 300)
    deep.mkdir(parents=True)
    (deep / "leaf").write_bytes(token(1))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    in_use = len(os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (in_use + MOST_OPEN + 30, hard))
    try:
        assert places(look(tmp_path)) == ["/".join(["d"] * 300) + "/leaf:1"]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


MEASURED = """
import resource, sys
from tests.scanner.trees import look, places
from pathlib import Path
look(Path(sys.argv[1]))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(*places(look(Path(sys.argv[2]))), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_one_line_of_a_gigabyte_takes_no_memory(tmp_path: Path) -> None:
    warm = write(tmp_path / "warm", {"a": token(1) + b"x" * (5 << 20)})
    tree = write(tmp_path / "tree", {"line": token(1) + b" "})
    with (tree / "line").open("r+b") as file:
        file.truncate(1 << 30)  # zeros without a line break, and without their blocks on the disk
        file.seek(0, io.SEEK_END)
        file.write(b" " + token(2))
    run = subprocess.run(
        [sys.executable, "-c", MEASURED, str(warm), str(tree)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    *found, grown = run.stdout.split()
    assert found == ["line:1", "line:1"]
    assert int(grown) < 30_000  # KB; the control is the file's own 1,048,576


# ---- archives -----------------------------------------------------------------------------------------------------


def explore(content: bytes, limits: ArchiveLimits) -> Explorer:
    explorer = Explorer(ENGINE, limits=limits)
    explorer.scan_bytes(content, "a")
    return explorer


def test_a_gzip_bomb_ends_at_the_limit() -> None:
    bomb = gzip.compress(gzip.compress(b"\0" * (64 << 20)))
    assert len(bomb) < 2000  # the control: it unfolds 30,000 times
    explorer = explore(bomb, ArchiveLimits(floor=4 << 20))
    assert [item.reason for item in explorer.gathered.skipped] == ["decompresses to more than 200 times its size"]
    assert explorer.gathered.size < 10 << 20


def test_a_zip_whose_members_overlap_ends_at_the_limit() -> None:
    """Many names for one compressed member: the size of the file grows by a name, what it unfolds to by megabytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", b"\0" * (1 << 20))
        one = archive.infolist()[0]
        archive.filelist += [one] * 500
        archive.NameToInfo |= {f"{n}": one for n in range(500)}
    explorer = explore(out.getvalue(), ArchiveLimits(floor=4 << 20))
    assert len(out.getvalue()) < 40_000  # the control: 500 MB in 40 kB
    assert explorer.gathered.skipped
    assert explorer.gathered.size < 12 << 20


def test_an_archive_that_holds_itself_ends_at_the_depth() -> None:
    def nested(levels: int) -> bytes:
        content = token(1)
        for _ in range(levels):
            out = io.BytesIO()
            with zipfile.ZipFile(out, "w") as archive:
                archive.writestr("a.zip", content)
            content = out.getvalue()
        return content

    explorer = explore(nested(40), ArchiveLimits(depth=5))
    assert [item.path for item in explorer.gathered.skipped] == ["a" + "!a.zip" * 5]
    assert (
        len(explore(nested(5), ArchiveLimits(depth=5)).gathered.sightings) == 1
    )  # the control: it is the depth that ends it


def test_a_member_cannot_be_written_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tree").mkdir()
    monkeypatch.chdir(tmp_path / "tree")
    with zipfile.ZipFile("a.zip", "w") as archive:
        archive.writestr(zipfile.ZipInfo("../climbed"), token(1))
    assert [s.place.path for s in explore(Path("a.zip").read_bytes(), ArchiveLimits()).gathered.sightings] == [
        "a!../climbed"
    ]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["tree"]


# ---- names --------------------------------------------------------------------------------------------------------

NAMES = [
    b"a\nfake:1:1 low rule",
    b"\x1b]0;owned\x07\x1b[2J",
    b"\xff\xfe",
    "\u202egpj.exe".encode(),
    b"\r::error::x",
    b"<script>",
]


@pytest.mark.parametrize("format_", FORMATS)
def test_names_cannot_speak_to_a_terminal_a_browser_or_a_runner(format_: str, tmp_path: Path) -> None:
    for number, name in enumerate(NAMES):
        with open(os.path.join(os.fsencode(tmp_path), name), "wb") as file:
            file.write(token(number))
    report = look(tmp_path)
    assert len(report.findings) == len(NAMES)
    assert any("\x1b" in finding.first.path for finding in report.findings)  # the control: the report holds it as it is
    text = render(report, format_)
    for evil in ("\x1b", "\x07", "\r", "\u202e"):
        assert evil not in text or (format_ in {"json", "sarif", "gitleaks"} and evil == "\u202e")
    assert "<script>" not in text or format_ != "html"
    text.encode("utf-8")  # no lone surrogate
    if format_ == "table":
        assert not any(line.startswith("fake:1:1") for line in text.splitlines())
    if format_ == "github":
        assert not any(line.startswith("::error::x") for line in text.splitlines())


def test_a_name_in_an_error_is_escaped(tmp_path: Path) -> None:
    from orchestra_creds.errors import NotFoundError

    with pytest.raises(NotFoundError) as caught:
        look(tmp_path / "a\x1b[2Jb")
    assert "\x1b" not in str(caught.value)
    assert visible("\x1b") in str(caught.value)


# ---- git ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def armed(tmp_path: Path) -> tuple[Path, Path]:
    """A repository whose configuration, hooks and attributes run a program, and the mark which that program leaves."""
    tree = write(repository(tmp_path / "armed"), {"a.txt": token(1), "b.txt": b"clean", "c.dat": b"x"})
    git(tree, "add", ".")
    git(tree, "commit", "-qm", "one")
    mark = tmp_path / "mark"
    program = write(tmp_path, {"run": f"#!/bin/sh\ntouch {mark}\ncat\n".encode()}) / "run"
    program.chmod(0o755)
    write(tree, {".git/info/attributes": b"* filter=evil diff=evil\n"})
    for name, value in {
        "core.fsmonitor": str(program),
        "core.pager": str(program),
        "core.sshCommand": str(program),
        "core.hooksPath": str(tmp_path),
        "diff.external": str(program),
        "diff.evil.textconv": str(program),
        "filter.evil.clean": str(program),
        "filter.evil.smudge": str(program),
        "core.alternateRefsCommand": str(program),
        "uploadpack.packObjectsHook": str(program),
    }.items():
        git(tree, "config", name, value)
    for hook in ("pre-commit", "post-index-change", "reference-transaction", "post-checkout"):
        write(tree, {f".git/hooks/{hook}": program.read_bytes()})
        (tree / f".git/hooks/{hook}").chmod(0o755)
    write(tree, {"a.txt": token(2), "new.txt": token(3)})
    return tree, mark


@pytest.mark.parametrize("source", ["tree", "staged", "history", "since"])
def test_no_program_of_the_repository_runs(source: str, armed: tuple[Path, Path]) -> None:
    tree, mark = armed
    look(tree, source=source, since="HEAD" if source == "since" else "")
    assert not mark.exists()


def test_a_careless_git_runs_them(armed: tuple[Path, Path]) -> None:
    tree, mark = armed
    git(tree, "diff")
    assert mark.exists()


@pytest.mark.parametrize("name", [".gitleaks.toml", ".gitleaksignore", "orchestra-creds.toml"])
def test_no_file_of_the_tree_relaxes_its_scan(name: str, tmp_path: Path) -> None:
    relaxing = {
        ".gitleaks.toml": b"[extend]\nuseDefault = true\ndisabledRules = ['fake-token']\n[[allowlists]]\npaths = ['.*']\n",
        ".gitleaksignore": b"a.txt:fake-token:1\n",
        "orchestra-creds.toml": b"[scan]\nexclude = ['*']\n",
    }
    write(tmp_path, {"a.txt": token(1), name: relaxing[name]})
    report = look(tmp_path)
    assert places(report) == ["a.txt:1"]
    if name == ".gitleaks.toml":
        assert any("not used" in note for note in report.notes)
        named = look(tmp_path, gitleaks_config=str(tmp_path / name))
        assert places(named) == []  # the control: it counts when the operator names it


def test_an_allow_that_the_file_itself_holds_is_counted_where_everybody_sees_it(tmp_path: Path) -> None:
    write(tmp_path, {"a.txt": token(1) + b" # orchestra-creds: allow=trust me\n"})
    report = look(tmp_path)
    assert (len(report.findings), report.allowed) == (0, 1)
    assert RULE.id not in render(report, "table")
