"""Every call of git, and nothing else starts one: hardened against the repository that is read.

A scanned repository is hostile: its configuration may name programs. Guarantees of every call made here:
- only plumbing, never porcelain that runs hooks, pagers, editors, aliases, filters, text conversions or external diffs;
- `--git-dir` is always given, so the answer is about the repository that was found, whoever owns it (no
  `safe.directory` refusal), and nothing is looked up from the current folder;
- no `GIT_*` variable of the caller gets through, no system or user configuration is read;
- nothing is fetched (every protocol is refused, also when the repository's own configuration allows it), nothing is
  written (no optional lock, no maintenance), replace refs and grafts do not bend history;
- paths and names are bytes: no decoding, no quoting, no globs.

Processes are started with posix_spawn where there is one: it costs 1 ms where `subprocess` costs 7 ms to import, which
counts in a pre-commit hook.
"""

import mmap
import os
import select
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from orchestra_creds.core.text import visible
from orchestra_creds.errors import PreconditionError

OVERRIDES = (
    ("core.fsmonitor", "false"),
    ("core.hooksPath", os.devnull),
    ("core.pager", "cat"),
    ("core.editor", "false"),
    ("core.askPass", ""),
    ("core.sshCommand", "false"),
    ("core.gitProxy", ""),
    ("core.alternateRefsCommand", "false"),
    ("core.attributesFile", os.devnull),
    ("core.excludesFile", os.devnull),
    ("core.useReplaceRefs", "false"),
    ("core.quotePath", "false"),
    ("credential.helper", ""),
    ("diff.external", ""),
    ("diff.orderFile", os.devnull),
    ("diff.ignoreSubmodules", "none"),
    ("diff.renames", "false"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("log.showSignature", "false"),
    ("log.mailmap", "false"),
    ("log.showRoot", "true"),
    ("log.diffMerges", "combined"),
    ("color.ui", "false"),
    ("protocol.allow", "never"),
    ("submodule.recurse", "false"),
    ("i18n.logOutputEncoding", "UTF-8"),
)
"""Settings that could run a program, open a file or change what is printed; given on every call."""

_ENVIRONMENT = {
    b"GIT_CONFIG_NOSYSTEM": b"1",
    b"GIT_CONFIG_SYSTEM": os.devnull.encode(),
    b"GIT_CONFIG_GLOBAL": os.devnull.encode(),
    b"GIT_ATTR_NOSYSTEM": b"1",
    b"GIT_TERMINAL_PROMPT": b"0",
    b"GIT_ASKPASS": b"",
    b"GIT_PAGER": b"cat",
    b"GIT_OPTIONAL_LOCKS": b"0",
    b"GIT_NO_REPLACE_OBJECTS": b"1",
    b"GIT_NO_LAZY_FETCH": b"1",
    b"GIT_ALLOW_PROTOCOL": b"none",  # stronger than protocol.<name>.allow of the repository: no transport has this name
    b"GIT_GRAFT_FILE": os.devnull.encode(),
    b"GIT_LITERAL_PATHSPECS": b"1",
    b"GIT_FLUSH": b"0",
    b"LC_ALL": b"C",
}
_KEPT = (b"PATH", b"HOME", b"SYSTEMROOT", b"SystemRoot", b"TMPDIR", b"TEMP", b"TMP")
_CHUNK = 1 << 16
GITLINK = b"160000"


@dataclass(frozen=True, slots=True)
class Listing:
    """What `git ls-files` knows: paths relative to the top of the working tree, sorted, each once.

    files are tracked or untracked-and-not-ignored (a tracked one may be gone from the disk); nested are folders that
    are repositories of their own: submodules, and untracked clones.
    """

    files: tuple[bytes, ...]
    nested: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Staged:
    """One entry of the index that differs from HEAD; `content` is None when it is larger than was asked for."""

    path: bytes
    oid: str
    size: int
    content: bytes | None


class Child:
    """A git process whose standard output is read from `stdout`; leave it with `wait` or `kill`."""

    def __init__(self, pid: int, stdout: int, stderr: int, ended: Callable[[], int]) -> None:
        self.pid = pid
        self.stdout = stdout
        self.stderr = stderr
        self._ended = ended
        self._status: int | None = None

    def wait(self) -> int:
        """The exit code, once the process has ended; negative for a signal."""
        if self._status is None:
            self._status = self._ended()
        self._close()
        return self._status

    def kill(self) -> None:
        """Ends the process if it still runs."""
        if self._status is None:
            os.kill(self.pid, signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
        self.wait()

    def _close(self) -> None:
        for name in ("stdout", "stderr"):
            if (fd := getattr(self, name)) >= 0:
                os.close(fd)
                setattr(self, name, -1)


class Spool:
    """A git process that writes to a file; `read` or `kill` it, once."""

    def __init__(self, child: Child, fd: int) -> None:
        self._child = child
        self._fd = fd

    def read(self) -> tuple[bytes | mmap.mmap, bool]:
        """All that the process wrote, once it has ended, and whether it ended well."""
        try:
            code = self._child.wait()
            size = os.fstat(self._fd).st_size
            return (mmap.mmap(self._fd, size, access=mmap.ACCESS_READ) if size else b""), code == 0
        finally:
            os.close(self._fd)

    def kill(self) -> None:
        """Ends the process and forgets what it wrote."""
        self._child.kill()
        os.close(self._fd)


@dataclass(frozen=True)
class Repository:
    """A repository on this disk. `work_tree` is None when it is bare."""

    git_dir: Path
    common_dir: Path
    work_tree: Path | None
    index: Path | None = field(default=None, compare=False)

    @classmethod
    def discover(cls, path: str | Path) -> "Repository | None":
        """The repository that holds `path` (a folder or file in a working tree, a linked one too, or a bare repository).

        Looked up here, without git: the same rules, but neither environment nor ownership has a say.
        """
        here = Path(path).resolve()
        for folder in (here, *here.parents):
            dot_git = folder / ".git"
            if _is_git_dir(dot_git):
                return cls._at(dot_git, folder)
            if dot_git.is_file() and (target := _gitdir_file(dot_git)) is not None:
                return cls._at(target, folder)
            if _is_git_dir(folder):
                return cls._at(folder, None)
        return None

    @classmethod
    def _at(cls, git_dir: Path, work_tree: Path | None) -> "Repository":
        if work_tree is None and git_dir.name == ".git" and git_dir.parent.is_dir():
            work_tree = git_dir.parent  # asked for the .git folder itself
        return cls(git_dir, _common_dir(git_dir), work_tree, _index_of_the_hook(git_dir))

    @property
    def is_bare(self) -> bool:
        """Whether there is no working tree."""
        return self.work_tree is None

    @property
    def root(self) -> Path:
        """What paths in a report are relative to: the working tree, or the bare repository."""
        return self.work_tree or self.git_dir

    @cached_property
    def object_format(self) -> str:
        """`sha1` or `sha256`."""
        return self.run("rev-parse", "--show-object-format").decode().strip()

    @property
    def is_shallow(self) -> bool:
        """Whether the history was cut when it was cloned."""
        return (self.common_dir / "shallow").is_file()

    def head(self) -> str | None:
        """The id of the commit that is checked out; None before the first commit."""
        return self.commit("HEAD")

    def commit(self, name: str) -> str | None:
        """The id of the commit that `name` means; None when there is none."""
        code, out, _ = self._call(("rev-parse", "--quiet", "--verify", "--end-of-options", name + "^{commit}"))
        return out.decode().strip() if code == 0 else None

    def ls_files(self, *under: bytes) -> Listing:
        """Tracked and untracked-not-ignored files, all or those under the given folders (relative to the top)."""
        out = self.run(
            "ls-files", "-z", "-t", "-s", "--cached", "--others", "--exclude-standard", "--", *under, in_tree=True
        )
        files: set[bytes] = set()
        nested: set[bytes] = set()
        for entry in out.split(b"\0"):
            tag, _, rest = entry.partition(b" ")
            if tag == b"?":
                path, is_nested = rest.rstrip(b"/"), rest.endswith(b"/")
            elif tag:
                meta, _, path = rest.partition(b"\t")
                is_nested = meta.startswith(GITLINK)
            else:
                continue
            (nested if is_nested else files).add(path)
        return Listing(tuple(sorted(files)), tuple(sorted(nested)))

    def staged(self, *, max_size: int | None = None) -> list[Staged]:
        """What the next commit would add or change, with the content as it is in the index; sorted by path.

        Two processes: the index against HEAD (or against nothing before the first commit), then all contents.
        """
        args = ("diff-index", "--cached", "--raw", "-z", "--no-abbrev", "--no-renames", "--diff-filter=AMTU")
        code, out, err = self._call((*args, "HEAD", "--"))
        if code and self.head() is None:
            code, out, err = self._call((*args, _EMPTY_TREE[self.object_format], "--"))
        if code:
            raise _failed("diff-index", self.root, err)
        fields = iter(out.split(b"\0"))
        wanted: dict[bytes, str] = {}
        for meta in fields:
            if not meta:
                break
            _, mode, _, oid, _ = meta.split(b" ")
            path = next(fields)
            if mode not in {GITLINK, b"000000"} and oid.strip(b"0"):
                wanted[path] = oid.decode()
        contents = {oid: (size, content) for oid, _, size, content in self.objects(wanted.values(), max_size=max_size)}
        found = [Staged(path, oid, *contents[oid]) for path, oid in sorted(wanted.items()) if oid in contents]
        if len(found) < len(wanted):
            raise PreconditionError(
                f"{len(wanted) - len(found)} staged objects are missing from {visible(str(self.root))}",
                hint="run `git fsck`; a partial clone must fetch them first",
            )
        return found

    def objects(
        self, oids: Iterable[str], *, max_size: int | None = None
    ) -> Iterator[tuple[str, str, int, bytes | None]]:
        """(id, type, size, content) of each id that exists here, each once, through one `git cat-file`.

        Content is None when the object is larger than `max_size` bytes. Ids that are missing are left out.
        """
        request = "".join(f"{oid}\n" for oid in dict.fromkeys(oids)).encode()
        if not request:
            return
        child = self.start("cat-file", "--batch", "--buffer", stdin=request)
        reader = _Reader(child.stdout)
        whole = True
        try:
            while header := reader.line():
                oid, kind, *rest = header.decode().split(" ")
                if not rest:  # "<oid> missing"
                    continue
                size = int(rest[0])
                content = None
                if max_size is None or size <= max_size:
                    content = reader.take(size)
                else:
                    reader.skip(size)
                reader.skip(1)
                yield oid, kind, size, content
        except EOFError:
            whole = False
        except BaseException:
            child.kill()
            raise
        if child.wait() or not whole:
            raise PreconditionError(
                f"git stopped while it read objects of {visible(str(self.root))}", hint="run `git fsck`"
            )

    def run(self, *args: str | bytes, stdin: bytes = b"", in_tree: bool = False) -> bytes:
        """The output of one call; PreconditionError when git refuses."""
        code, out, err = self._call(args, stdin=stdin, in_tree=in_tree)
        if code:
            raise _failed(os.fsdecode(args[0]), self.root, err)
        return out

    def start(self, *args: str | bytes, stdin: bytes = b"", in_tree: bool = False) -> Child:
        """Starts a call whose output is read while it runs; its standard error is dropped."""
        return _spawn(self._command(args, in_tree=in_tree), self._env(in_tree=in_tree), stdin, keep_errors=False)

    def spool(self, *args: str | bytes) -> "Spool":
        """Starts a call that writes to an unnamed temporary file, so that nobody has to read while it runs."""
        import tempfile

        with tempfile.TemporaryFile() as stream:
            into = os.dup(stream.fileno())
        command, env = self._command(args, in_tree=False), self._env(in_tree=False)
        return Spool(_spawn(command, env, b"", keep_errors=False, into=into), into)

    def _call(
        self, args: Sequence[str | bytes], *, stdin: bytes = b"", in_tree: bool = False
    ) -> tuple[int, bytes, bytes]:
        child = _spawn(self._command(args, in_tree=in_tree), self._env(in_tree=in_tree), stdin, keep_errors=True)
        try:
            out, err = _drain(child)
        except BaseException:
            child.kill()
            raise
        return child.wait(), out, err

    def _command(self, args: Sequence[str | bytes], *, in_tree: bool) -> list[bytes]:
        command = [_git(), b"--no-pager", b"--no-optional-locks", b"--git-dir=" + os.fsencode(self.git_dir)]
        if in_tree:
            if self.work_tree is None:
                raise PreconditionError(f"{visible(str(self.root))} is bare: it has no working tree to list")
            command += [b"-C", os.fsencode(self.work_tree), b"--work-tree=" + os.fsencode(self.work_tree)]
        for name, value in OVERRIDES:
            command += [b"-c", f"{name}={value}".encode()]
        return command + [os.fsencode(arg) for arg in args]

    def _env(self, *, in_tree: bool) -> dict[bytes, bytes]:
        environ = {os.fsencode(name): os.fsencode(value) for name, value in os.environ.items()}
        env = {name: environ[name] for name in _KEPT if name in environ} | _ENVIRONMENT
        if self.index is not None and not in_tree:
            env[b"GIT_INDEX_FILE"] = os.fsencode(self.index)
        return env


_EMPTY_TREE = {
    "sha1": "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
    "sha256": "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321",
}


def _is_git_dir(folder: Path) -> bool:
    """Git's own three signs: HEAD, and objects and refs here or in the common folder."""
    if not (folder / "HEAD").is_file() and not (folder / "HEAD").is_symlink():
        return False
    common = _common_dir(folder)
    return (common / "objects").is_dir() and (common / "refs").is_dir()


def _common_dir(git_dir: Path) -> Path:
    try:
        text = (git_dir / "commondir").read_bytes().rstrip(b"\r\n")
    except OSError:
        return git_dir
    return (git_dir / os.fsdecode(text)).resolve()


def _gitdir_file(dot_git: Path) -> Path | None:
    """Where a `.git` file (linked working tree, submodule) points; None when it points at no repository."""
    with dot_git.open("rb") as stream:
        text = stream.read(4096 + 8)
    if not text.startswith(b"gitdir: "):
        return None
    target = (dot_git.parent / os.fsdecode(text[8:].rstrip(b"\r\n"))).resolve()
    return target if _is_git_dir(target) else None


def _index_of_the_hook(git_dir: Path) -> Path | None:
    """The index that git hands to a pre-commit hook (`git commit -a` and `git commit FILE` prepare another one).

    Taken only when it lies in this repository: a hook may well scan a second one.
    """
    named = os.environ.get("GIT_INDEX_FILE")
    if not named:
        return None
    path = Path(named).resolve()
    return path if path.parent == git_dir.resolve() else None


def _git() -> bytes:
    """The git of an absolute folder on PATH; never one that lies in the current folder."""
    name = b"git.exe" if os.name == "nt" else b"git"
    for folder in os.get_exec_path():
        candidate = os.path.join(os.fsencode(folder), name)
        if os.path.isabs(folder) and os.access(candidate, os.X_OK):
            return candidate
    raise PreconditionError("git is not installed", hint="install git, or scan with --all-files to do without")


def _failed(verb: str, root: Path, err: bytes) -> PreconditionError:
    line = err.strip().partition(b"\n")[0].removeprefix(b"fatal: ").decode("utf-8", "replace")
    return PreconditionError(f"git {verb} failed in {visible(str(root))}", hint=visible(line[:300]))


def _spawn(
    command: list[bytes], env: dict[bytes, bytes], stdin: bytes, *, keep_errors: bool, into: int | None = None
) -> Child:
    """Starts git; `stdin` is what it reads; it writes to a pipe, or to the file `into`."""
    if sys.platform == "win32":
        return _spawn_on_windows(command, env, stdin, into)
    out_read, out_write = os.pipe() if into is None else (-1, os.dup(into))
    err_read, err_write = os.pipe() if keep_errors else (-1, os.open(os.devnull, os.O_WRONLY))
    source = _readable(stdin)
    try:
        actions = [
            (os.POSIX_SPAWN_DUP2, source, 0),
            (os.POSIX_SPAWN_DUP2, out_write, 1),
            (os.POSIX_SPAWN_DUP2, err_write, 2),
        ]
        # Python ignores SIGPIPE and a child inherits that: git must die when nobody reads it any more.
        pid = os.posix_spawn(command[0], command, env, file_actions=actions, setsigdef=[signal.SIGPIPE])
    except BaseException:
        for fd in (out_read, err_read):
            if fd >= 0:
                os.close(fd)
        raise
    finally:
        for fd in (source, out_write, err_write):
            os.close(fd)
    return Child(pid, out_read, err_read, lambda: os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


def _spawn_on_windows(command: list[bytes], env: dict[bytes, bytes], stdin: bytes, into: int | None) -> Child:
    """The same where there is no posix_spawn; what git says on standard error is dropped."""
    import subprocess

    source = _readable(stdin)
    try:
        process = subprocess.Popen(
            [os.fsdecode(word) for word in command],
            env={os.fsdecode(name): os.fsdecode(value) for name, value in env.items()},
            stdin=source,
            stdout=subprocess.PIPE if into is None else into,
            stderr=subprocess.DEVNULL,
        )
    finally:
        os.close(source)
    stdout = -1 if process.stdout is None else os.dup(process.stdout.fileno())
    return Child(process.pid, stdout, -1, process.wait)


def _readable(data: bytes) -> int:
    """A descriptor that yields `data`: object ids are written before git starts, so no thread has to feed it."""
    if not data:
        return os.open(os.devnull, os.O_RDONLY)
    if len(data) <= 4096:  # a pipe holds that much everywhere
        read, write = os.pipe()
        os.write(write, data)
        os.close(write)
        return read
    import tempfile  # only long lists pay for this import

    with tempfile.TemporaryFile() as stream:
        stream.write(data)
        stream.seek(0)
        return os.dup(stream.fileno())


def _drain(child: Child) -> tuple[bytes, bytes]:
    """All of standard output and standard error, read together so that neither blocks the other."""
    if child.stderr < 0:
        return b"".join(iter(lambda: os.read(child.stdout, _CHUNK), b"")), b""
    chunks: dict[int, list[bytes]] = {child.stdout: [], child.stderr: []}
    open_fds = set(chunks)
    while open_fds:
        ready, _, _ = select.select(list(open_fds), (), ())
        for fd in ready:
            if chunk := os.read(fd, _CHUNK):
                chunks[fd].append(chunk)
            else:
                open_fds.discard(fd)
    return b"".join(chunks[child.stdout]), b"".join(chunks[child.stderr])


class _Reader:
    """Reads lines and blocks from a descriptor."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._buffer = bytearray()
        self._at = 0

    def _more(self) -> bool:
        chunk = os.read(self._fd, _CHUNK * 4)
        if self._at:
            del self._buffer[: self._at]
            self._at = 0
        self._buffer += chunk
        return bool(chunk)

    def line(self) -> bytes:
        """The next line without its end; empty at the end of the stream."""
        while (end := self._buffer.find(b"\n", self._at)) < 0:
            if not self._more():
                if len(self._buffer) > self._at:
                    raise EOFError
                return b""
        line = bytes(self._buffer[self._at : end])
        self._at = end + 1
        return line

    def take(self, size: int) -> bytes:
        """Exactly so many bytes."""
        while len(self._buffer) - self._at < size:
            if not self._more():
                raise EOFError
        taken = bytes(memoryview(self._buffer)[self._at : self._at + size])
        self._at += size
        return taken

    def skip(self, size: int) -> None:
        """Passes over so many bytes without holding them."""
        while size > (have := len(self._buffer) - self._at):
            size -= have
            self._at = len(self._buffer)
            if not self._more():
                raise EOFError
        self._at += size
