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
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from orchestra_creds.core.record import dataclass, field
from orchestra_creds.core.text import visible
from orchestra_creds.errors import PreconditionError
from orchestra_creds.scanner.git import control_files
from orchestra_creds.scanner.git import process as git_process
from orchestra_creds.scanner.git.process import GITLINK, Git
from orchestra_creds.scanner.git.watch import GitStalledError
from orchestra_creds.scanner.parallel.children import ChildProcess


@dataclass(frozen=True, slots=True)
class WorkTreeFiles:
    """What `git ls-files` knows: paths relative to the top of the working tree, sorted, each once.

    files are tracked or untracked-and-not-ignored (a tracked one may be gone from the disk); nested are folders that
    are repositories of their own: submodules, and untracked clones.
    """

    files: tuple[bytes, ...]
    nested: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class StagedFile:
    """One entry of the index that differs from HEAD; `content` is None when it is larger than was asked for."""

    path: bytes
    oid: str
    size: int
    content: bytes | None


class Spool:
    """A git process that writes to a file; `read` or `kill` it, once."""

    def __init__(self, git: Git, child: ChildProcess, fd: int) -> None:
        self._git = git
        self._child = child
        self._fd = fd

    def read(self) -> tuple[bytes | mmap.mmap, bool]:
        """All that the process wrote, once it has ended, and whether it ended well."""
        try:
            with suppress(GitStalledError):  # ended, and not well
                self._git.drain(self._child, lambda: os.fstat(self._fd).st_size)
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
        if (found := git_process.find(str(path))) is None:
            return None
        git_dir, work_tree = found
        index = git_process.index_of_the_hook(git_dir)
        return cls(
            Path(git_dir),
            Path(git_process.common_dir(git_dir)),
            Path(work_tree) if work_tree else None,
            Path(index) if index else None,
        )

    @cached_property
    def _git(self) -> Git:
        work_tree, index = self.work_tree or "", self.index or ""
        return Git(str(self.git_dir), work_tree=str(work_tree), index=str(index))

    @property
    def root(self) -> Path:
        """What paths in a report are relative to: the working tree, or the bare repository."""
        return self.work_tree or self.git_dir

    @cached_property
    def object_format(self) -> str:
        """`sha1` or `sha256`."""
        with suppress(OSError):
            if b"objectformat" not in control_files.read_regular(str(self.common_dir / "config")).lower():
                return "sha1"  # spares a process in nearly every repository
        return self.run("rev-parse", "--show-object-format").decode().strip()

    @property
    def is_shallow(self) -> bool:
        """Whether the history was cut when it was cloned."""
        return (self.common_dir / "shallow").is_file()

    def shallow_commits(self) -> frozenset[str]:
        """The commits whose parents were left out when the repository was cloned; none when git's list cannot be read."""
        try:
            return frozenset(
                control_files.read_regular(str(self.common_dir / "shallow")).decode("ascii", "replace").split()
            )
        except OSError:
            return frozenset()

    @property
    def is_partial(self) -> bool:
        """Whether objects were left out when it was cloned."""
        try:
            return b"partialclone" in control_files.read_regular(str(self.common_dir / "config")).lower()
        except OSError:
            return False

    def special_files(self) -> list[tuple[str, str]]:
        """Path (relative to the root, where it lies below it) of each file that git must not read, and why."""
        found = control_files.special_files(str(self.git_dir), str(self.common_dir))
        return [(self.relative(path), reason) for path, reason in found]

    def outside_folders(self, top: Path) -> list[str]:
        """Return the folders outside `top` from which git reads the history: `.git`, its parts or its alternates name them."""
        root = os.path.realpath(top)
        places = (self.git_dir, self.common_dir, *control_files.object_folders(str(self.common_dir / "objects")))
        found: list[str] = []
        for place in [os.path.realpath(str(named)) for named in places]:
            if not any(place == folder or place.startswith(os.path.join(folder, "")) for folder in (root, *found)):
                found.append(place)
        return found

    def settings_files(self) -> list[str]:
        """Return the paths of the files that hold settings of this repository, such as the URLs of its remotes."""
        folders = dict.fromkeys((str(self.git_dir), str(self.common_dir)))
        paths = [os.path.join(folder, name) for folder in folders for name in ("config", "config.worktree")]
        return [path for path in paths if os.path.lexists(path)]

    def relative(self, path: str) -> str:
        """A path as a report shows it: relative to the root, where it lies below it."""
        root = os.path.join(self.root, "")
        return path.removeprefix(root)

    def head(self) -> str | None:
        """The id of the commit that is checked out; None before the first commit."""
        return self.commit("HEAD")

    def commit(self, name: str) -> str | None:
        """The id of the commit that `name` means; None when there is none."""
        code, out, _ = self._git.call(("rev-parse", "--quiet", "--verify", "--end-of-options", name + "^{commit}"))
        return out.decode().strip() if code == 0 else None

    def has_path(self, name: str) -> bool:
        """Whether a revision holds a path: `name` is "<revision>:<path>"."""
        return self._git.call(("rev-parse", "--quiet", "--verify", "--end-of-options", name))[0] == 0

    def ls_files(self, *under: bytes) -> WorkTreeFiles:
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
        return WorkTreeFiles(tuple(sorted(files)), tuple(sorted(nested)))

    def staged_files(self, *, max_size: int | None = None) -> list[StagedFile]:
        """What the next commit would add or change, with the content as it is in the index; sorted by path.

        Two processes: the index against HEAD (or against nothing before the first commit), then all contents.
        """
        wanted = self._git.staged_ids()
        contents = {oid: (size, content) for oid, _, size, content in self.objects(wanted.values(), max_size=max_size)}
        found = [StagedFile(path, oid, *contents[oid]) for path, oid in sorted(wanted.items()) if oid in contents]
        if len(found) < len(wanted):
            raise PreconditionError(
                f"{len(wanted) - len(found)} staged objects are missing from {visible(str(self.root))}",
                hint="run `git fsck`; a partial clone must fetch them first",
            )
        return found

    def head_blobs(self) -> frozenset[str]:
        """The ids of all files of HEAD; none before the first commit."""
        code, out, _ = self._git.call(("ls-tree", "-r", "-z", "--full-tree", "HEAD"))
        entries = out.split(b"\0") if code == 0 else []
        return frozenset(entry.partition(b"\t")[0].rpartition(b" ")[2].decode() for entry in entries if entry)

    def replaced_blobs(self) -> dict[bytes, str]:
        """The id of the file in HEAD that each staged file replaces, by its path; for a renamed file, that of the old one."""
        args = ("diff-index", "--cached", "--raw", "-z", "--no-abbrev", "--find-renames", "--diff-filter=MR")
        code, out, _ = self._git.call((*args, "HEAD", "--"))
        fields = iter(out.split(b"\0") if code == 0 else ())
        replaced: dict[bytes, str] = {}
        for meta in fields:
            if not meta:
                break
            _, _, oid, _, status = meta.split(b" ")
            path = next(fields)
            if status.startswith(b"R"):
                path = next(fields)
            replaced[path] = oid.decode()
        return replaced

    def objects(
        self, oids: Iterable[str], *, max_size: int | None = None
    ) -> Iterator[tuple[str, str, int, bytes | None]]:
        """(id, type, size, content) of each id that exists here, each once, through one `git cat-file`.

        Content is None when the object is larger than `max_size` bytes. Ids that are missing are left out.
        """
        return self._git.objects(oids, max_size=max_size)

    def texts(self, oids: Iterable[str]) -> dict[str, bytes]:
        """The text of each of these objects that exists here."""
        return {oid: text for oid, _, _, text in self.objects(oids) if text is not None}

    def refs(self) -> list[bytes]:
        """HEAD and every ref: "<id> <name>"; empty before the first commit."""
        code, out, _ = self._git.call(("show-ref", "--head"))
        return out.splitlines() if code == 0 else []

    def run(self, *args: str | bytes, stdin: bytes = b"", in_tree: bool = False) -> bytes:
        """The output of one call; PreconditionError when git refuses."""
        code, out, err = self._git.call(args, stdin=stdin, in_tree=in_tree)
        if code:
            raise self._git.call_error(os.fsdecode(args[0]), err)
        return out

    def spool(self, *args: str | bytes) -> "Spool":
        """Starts a call that writes to an unnamed temporary file, so that nobody has to read while it runs."""
        into = git_process.unnamed_file()
        try:
            return Spool(self._git, self._git.start(args, into=into, keep_errors=True), into)
        except BaseException:
            os.close(into)
            raise
