"""How git is started, without anything that costs time to import: a pre-commit hook pays for every module.

Whoever calls git uses `Repository` in `git/repository.py`, whose guarantees are made here; the look at staged changes that comes
before everything else (`git/staged_precheck.py`) uses this module alone.
"""

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress

from orchestra_creds.core.text import visible
from orchestra_creds.errors import PreconditionError
from orchestra_creds.scanner.git import control_files, watch
from orchestra_creds.scanner.git.batch_reader import BatchReader
from orchestra_creds.scanner.parallel import children
from orchestra_creds.scanner.parallel.children import ChildProcess

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
LISTING_DATA = 400 << 20
"""Bytes that git may hold, beside the index, to list a working tree: enough for three million untracked files. It reads the
`.gitignore` of every folder whole, and gives up at one that does not fit."""

EMPTY_TREE = {
    "sha1": "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
    "sha256": "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321",
}


class Git:
    """Calls on one repository, known by its folder; `index` is another index than its own, "" for none."""

    def __init__(self, git_dir: str, *, work_tree: str = "", index: str = "") -> None:
        self.git_dir = git_dir
        self.work_tree = work_tree
        self.index = index
        self.shown = visible(work_tree or git_dir)
        self._checked = False
        self._stalled: watch.GitStalledError | None = None

    def call(
        self, args: Sequence[str | bytes], *, stdin: bytes = b"", in_tree: bool = False
    ) -> tuple[int, bytes, bytes]:
        """Exit code, standard output and standard error of one call."""
        child = self.start(args, stdin=stdin, in_tree=in_tree, keep_errors=True)
        out, err = self.drain(child)
        return child.wait(), out, err

    def drain(self, child: ChildProcess, size: Callable[[], int] = lambda: 0) -> tuple[bytes, bytes]:
        """All of standard output and standard error, read together; `size` is that of the file that git writes to."""
        open_fds = [fd for fd in (child.stdout, child.stderr) if fd >= 0]
        chunks: dict[int, list[bytes]] = {fd: [] for fd in open_fds}
        try:
            while open_fds:
                for fd in self._ready(child, open_fds, size):
                    if chunk := os.read(fd, _CHUNK):
                        chunks[fd].append(chunk)
                    else:
                        open_fds.remove(fd)
        except BaseException:
            child.kill()
            raise
        return b"".join(chunks.get(child.stdout, ())), b"".join(chunks.get(child.stderr, ()))

    def _ready(self, child: ChildProcess, fds: list[int], size: Callable[[], int] = lambda: 0) -> list[int]:
        """Those of the descriptors that can be read."""
        if sys.platform == "win32":
            return fds[:1]
        try:
            return watch.wait(child.pid, fds, self.shown, size)
        except watch.GitStalledError as error:
            self._stalled = error
            raise

    def start(
        self,
        args: Sequence[str | bytes],
        *,
        stdin: bytes = b"",
        in_tree: bool = False,
        keep_errors: bool = False,
        into: int | None = None,
    ) -> ChildProcess:
        """Starts a call whose output is read while it runs, or written to the file `into`.

        Raises:
            SpecialFileError, GitStalledError: git would wait for ever, or an earlier call did.
        """
        if self._stalled is not None:
            raise self._stalled
        if not self._checked:
            control_files.check_control_files(self.git_dir, common_dir(self.git_dir))
            self._checked = True
        if in_tree:
            control_files.check_regular(os.path.join(self.work_tree, ".gitignore"))
        command, env = self._command(args, in_tree=in_tree), self._env(in_tree=in_tree)
        most_data = self._listing_data() if in_tree else children.MOST_DATA
        return _spawn(command, env, stdin, most_data, keep_errors=keep_errors, into=into)

    def _listing_data(self) -> int:
        """How many bytes git may hold to list the working tree: for the entries of the index, and as many as most trees need."""
        with suppress(OSError):
            return min(children.MOST_DATA, LISTING_DATA + 4 * os.stat(os.path.join(self.git_dir, "index")).st_size)
        return LISTING_DATA

    def call_error(self, verb: str, err: bytes) -> PreconditionError:
        """The error for a call that git refused."""
        lines = err.strip().split(b"\n")  # advice, warnings and the reason, in any order
        reason = next((line for line in lines if line.startswith((b"fatal: ", b"error: "))), lines[0])
        text = reason.removeprefix(b"fatal: ").removeprefix(b"error: ").decode("utf-8", "replace")
        return PreconditionError(f"git {verb} failed in {self.shown}", hint=visible(text[:300]))

    def staged_ids(self) -> dict[bytes, str]:
        """Path to object id of what the next commit would add or change; not submodules, not what is only intended."""
        args = ("diff-index", "--cached", "--raw", "-z", "--no-abbrev", "--no-renames", "--diff-filter=AMTU")
        code, out, err = self.call((*args, "HEAD", "--"))
        if code and self.call(("rev-parse", "--quiet", "--verify", "HEAD^{commit}"))[0]:
            hashes = self.call(("rev-parse", "--show-object-format"))[1].decode().strip()
            if hashes in EMPTY_TREE:  # before the first commit; else git reads nothing here, and has said why
                code, out, err = self.call((*args, EMPTY_TREE[hashes], "--"))
        if code:
            raise self.call_error("diff-index", err)
        fields = iter(out.split(b"\0"))
        wanted: dict[bytes, str] = {}
        for meta in fields:
            if not meta:
                break
            _, mode, _, oid, _ = meta.split(b" ")
            path = next(fields)
            if mode not in {GITLINK, b"000000"} and oid.strip(b"0"):
                wanted[path] = oid.decode()
        return wanted

    def objects(
        self, oids: Iterable[str], *, max_size: int | None = None
    ) -> Iterator[tuple[str, str, int, bytes | None]]:
        """(id, type, size, content) of each id that exists here, each once, through one `git cat-file`.

        Content is None when the object is larger than `max_size` bytes. Ids that are missing are left out.
        """
        request = "".join(f"{oid}\n" for oid in dict.fromkeys(oids)).encode()
        if not request:
            return
        child = self.start(("cat-file", "--batch", "--buffer"), stdin=request)
        fds = [child.stdout]
        reader = BatchReader(child.stdout, lambda: self._ready(child, fds))
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
            raise PreconditionError(f"git stopped while it read objects of {self.shown}", hint="run `git fsck`")

    def _command(self, args: Sequence[str | bytes], *, in_tree: bool) -> list[bytes]:
        command = [_git(), b"--no-pager", b"--no-optional-locks", b"--git-dir=" + os.fsencode(self.git_dir)]
        if in_tree:
            if not self.work_tree:
                raise PreconditionError(f"{self.shown} is bare: it has no working tree to list")
            command += [b"-C", os.fsencode(self.work_tree), b"--work-tree=" + os.fsencode(self.work_tree)]
        for name, value in OVERRIDES:
            command += [b"-c", f"{name}={value}".encode()]
        return command + [os.fsencode(arg) for arg in args]

    def _env(self, *, in_tree: bool) -> dict[bytes, bytes]:
        environ = {os.fsencode(name): os.fsencode(value) for name, value in os.environ.items()}
        env = {name: environ[name] for name in _KEPT if name in environ} | _ENVIRONMENT
        if self.index and not in_tree:
            env[b"GIT_INDEX_FILE"] = os.fsencode(self.index)
        return env


def find(path: str) -> tuple[str, str] | None:
    """The folder of the repository that holds `path`, and its working tree or ""; None when there is none.

    Looked up here, without git: the same rules, but neither environment nor ownership has a say.
    """
    here = os.path.realpath(path)
    while True:
        dot_git = os.path.join(here, ".git")
        if is_git_dir(dot_git):
            return dot_git, here
        if os.path.isfile(dot_git) and (target := _gitdir_file(dot_git)):
            return target, here
        if is_git_dir(here):
            # asked for the .git folder itself
            return here, os.path.dirname(here) if os.path.basename(here) == ".git" else ""
        above = os.path.dirname(here)
        if above == here:
            return None
        here = above


def is_git_dir(folder: str) -> bool:
    """Git's own three signs: HEAD, and objects and refs here or in the common folder."""
    head = os.path.join(folder, "HEAD")
    if not os.path.isfile(head) and not os.path.islink(head):
        return False
    common = common_dir(folder)
    return os.path.isdir(os.path.join(common, "objects")) and os.path.isdir(os.path.join(common, "refs"))


def common_dir(git_dir: str) -> str:
    """The folder that linked working trees share."""
    try:
        text = control_files.read_regular(os.path.join(git_dir, "commondir")).rstrip(b"\r\n")
    except OSError:
        return git_dir
    return os.path.realpath(os.path.join(git_dir, os.fsdecode(text)))


def _gitdir_file(dot_git: str) -> str:
    """Where a `.git` file (linked working tree, submodule) points; "" when it points at no repository."""
    with open(dot_git, "rb") as stream:
        text = stream.read(4096 + 8)
    if not text.startswith(b"gitdir: "):
        return ""
    target = os.path.realpath(os.path.join(os.path.dirname(dot_git), os.fsdecode(text[8:].rstrip(b"\r\n"))))
    return target if is_git_dir(target) else ""


def index_of_the_hook(git_dir: str) -> str:
    """The index that git hands to a pre-commit hook (`git commit -a` and `git commit FILE` prepare another one), or "".

    Taken only when it lies in this repository: a hook may well scan a second one.
    """
    named = os.environ.get("GIT_INDEX_FILE")
    if not named:
        return ""
    path = os.path.realpath(named)
    return path if os.path.dirname(path) == os.path.realpath(git_dir) else ""


def _git() -> bytes:
    """The git of an absolute folder on PATH; never one that lies in the current folder."""
    name = b"git.exe" if os.name == "nt" else b"git"
    for folder in os.get_exec_path():
        path = os.path.join(os.fsencode(folder), name)
        if os.path.isabs(folder) and os.access(path, os.X_OK):
            return path
    raise PreconditionError("git is not installed", hint="install git, or scan with --all-files to do without")


def _spawn(
    command: list[bytes],
    env: dict[bytes, bytes],
    stdin: bytes,
    most_data: int,
    *,
    keep_errors: bool,
    into: int | None = None,
) -> ChildProcess:
    """Starts git; `stdin` is what it reads; it writes to a pipe, or to the file `into`."""
    if sys.platform == "win32":
        return _spawn_on_windows(command, env, stdin, into)
    out_read, out_write = os.pipe() if into is None else (-1, os.dup(into))
    err_read, err_write = os.pipe() if keep_errors else (-1, os.open(os.devnull, os.O_WRONLY))
    source = _readable(stdin)
    actions = [
        (os.POSIX_SPAWN_DUP2, source, 0),
        (os.POSIX_SPAWN_DUP2, out_write, 1),
        (os.POSIX_SPAWN_DUP2, err_write, 2),
    ]
    try:
        return children.spawn(command, env, actions, out_read, err_read, most_data)
    except BaseException:
        for fd in (out_read, err_read):
            with suppress(OSError):  # closed with the process that a signal ended
                os.close(fd)
        raise
    finally:
        for fd in (source, out_write, err_write):
            os.close(fd)


def _spawn_on_windows(command: list[bytes], env: dict[bytes, bytes], stdin: bytes, into: int | None) -> ChildProcess:
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
    return ChildProcess(process.pid, stdout, -1, process.wait)


def _readable(data: bytes) -> int:
    """A descriptor that yields `data`: object ids are written before git starts, so no thread has to feed it."""
    if not data:
        return os.open(os.devnull, os.O_RDONLY)
    if len(data) <= 4096:  # a pipe holds that much everywhere
        read, write = os.pipe()
        os.write(write, data)
        os.close(write)
        return read
    file = unnamed_file()
    with open(file, "wb", closefd=False) as stream:
        stream.write(data)
    os.lseek(file, 0, os.SEEK_SET)
    return file


def unnamed_file() -> int:
    """A descriptor of a file without a name, which is gone when it is closed."""
    if hasattr(os, "O_TMPFILE"):
        with suppress(OSError):  # not every file system knows it
            return os.open(os.environ.get("TMPDIR") or "/tmp", os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)  # noqa: S108
    import tempfile  # 8 ms

    with tempfile.TemporaryFile() as stream:
        return os.dup(stream.fileno())
