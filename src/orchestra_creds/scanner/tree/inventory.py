"""Which files a tree scan looks at, as paths relative to one root.

A folder that belongs to a git working tree is listed by git: tracked files and untracked ones that are not ignored, in
submodules too; with `all_files` it is walked instead, all but `.git`. Anything else is walked. A file that the operator
names is looked at whatever git says. Guarantees: links are listed, never followed; what is neither file, folder nor link,
and what cannot be listed, is named in `skipped`; the list is sorted and holds each file once.

The root is what paths in a report are relative to: the folder, when one folder is scanned; else the current folder, when
everything lies below it; else the deepest folder that holds everything.
"""

import marshal
import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

from orchestra_creds.core.record import dataclass, field
from orchestra_creds.core.text import os_error_text, visible
from orchestra_creds.errors import CredsError, NotFoundError
from orchestra_creds.scanner.absence import SUBMODULES
from orchestra_creds.scanner.exclusions import Exclusions
from orchestra_creds.scanner.finding import SkippedItem
from orchestra_creds.scanner.git.control_files import SpecialFileError, check_regular
from orchestra_creds.scanner.git.repository import Repository
from orchestra_creds.scanner.native_files import walk
from orchestra_creds.scanner.parallel import workers
from orchestra_creds.scanner.safe_open import TreeOpener, not_a_file

GIT = b".git"
NOT_CHECKED_OUT = "a submodule that is not checked out; run `git submodule update --init`"
MOST_NESTED = 32
"""How many repositories deep inside of each other a listing goes."""


@dataclass(slots=True)
class Inventory:
    """What a tree scan looks at.

    files    relative to `root`, with slashes        listed    those of them that git knows: they may be gone already
    named    those that the operator named: there a link is followed, for he asked for it
    settings    absolute paths of the settings of each repository whose whole working tree is listed
    """

    root: bytes
    files: list[bytes] = field(default_factory=list)
    listed: set[bytes] = field(default_factory=set)
    named: set[bytes] = field(default_factory=set)
    skipped: list[SkippedItem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    settings: list[str] = field(default_factory=list)

    def report_path(self, path: str) -> str:
        """Return an absolute path as a report shows it: relative to the root, where it lies below it."""
        return path.removeprefix(os.path.join(os.fsdecode(self.root), ""))


class BackgroundInventory:
    """An inventory that another process takes, from now on, while this one prepares the scan."""

    def __init__(self, paths: Sequence[str], *, all_files: bool, exclusions: Exclusions) -> None:
        """Starts.

        Raises:
            NotFoundError: a path does not exist.
        """
        self.root = _root(paths)
        self._take = partial(_build_inventory, self.root, paths, all_files=all_files, exclusions=exclusions)
        several = workers.can_fork() and workers.processors() > 1
        self._apart = workers.ForkedCall(lambda: _dump_inventory(self._take())) if several else None

    def ready(self) -> bool:
        """Whether nobody has to wait for the inventory."""
        return self._apart is None or self._apart.ready()

    def inventory(self) -> Inventory:
        """What was listed; once."""
        data = None if self._apart is None else self._apart.answer()
        return self._take() if data is None else _load_inventory(self.root, data)

    def close(self) -> None:
        """End the other process, if it still runs."""
        if self._apart is not None:
            self._apart.close()


def _dump_inventory(inventory: Inventory) -> bytes:
    skipped = [(item.path, item.reason, item.absence) for item in inventory.skipped]
    return marshal.dumps(
        (inventory.files, inventory.listed, inventory.named, skipped, inventory.notes, inventory.settings)
    )


def _load_inventory(root: bytes, data: bytes) -> Inventory:
    files, listed, named, skipped, notes, settings = marshal.loads(data)  # noqa: S302  written by our own child
    return Inventory(root, files, listed, named, [SkippedItem(*item) for item in skipped], notes, settings)


def _root(paths: Sequence[str]) -> bytes:
    for path in paths:
        if not os.path.lexists(path):
            raise NotFoundError(f"no such file or folder: {visible(path)}", hint="check the path")
    return os.fsencode(common_root(paths))


def _build_inventory(root: bytes, paths: Sequence[str], *, all_files: bool, exclusions: Exclusions) -> Inventory:
    inventory = Inventory(root)
    lister = _InventoryLister(inventory, all_files=all_files, exclusions=exclusions)
    for below in dict.fromkeys(_below(os.fsencode(path), root) for path in paths):
        lister.list_path(below)
    inventory.files = sorted(set(exclusions.keep(inventory.files)))
    inventory.skipped = list(dict.fromkeys(inventory.skipped))
    return inventory


def common_root(paths: Sequence[str]) -> str:
    """The absolute folder that paths in the report are relative to."""
    here = os.getcwd()
    absolute = [os.path.abspath(path) for path in paths]
    if len(paths) == 1 and os.path.isdir(paths[0]):
        return absolute[0]
    if all(_inside(path, here) for path in absolute):
        return here
    return os.path.commonpath([path if os.path.isdir(path) else os.path.dirname(path) for path in absolute])


def _inside(path: str, folder: str) -> bool:
    return os.path.commonpath([path, folder]) == folder


def _below(path: bytes, root: bytes) -> bytes:
    relative = os.path.relpath(os.path.abspath(path), root)
    return b"" if relative == b"." else relative.replace(os.fsencode(os.sep), b"/")


class _InventoryLister:
    """Adds to an inventory."""

    def __init__(self, inventory: Inventory, *, all_files: bool, exclusions: Exclusions) -> None:
        self._inventory = inventory
        self._all_files = all_files
        self._exclusions = exclusions

    def list_path(self, path: bytes) -> None:
        """One path that the operator named."""
        absolute = os.path.join(self._inventory.root, path)
        try:
            mode = os.stat(absolute).st_mode
        except OSError as error:
            self._skip(path, f"cannot be read: {os_error_text(error)}")
            return
        if stat.S_ISDIR(mode):
            self._folder(path)
        elif stat.S_ISREG(mode):
            self._inventory.files.append(path)
            self._inventory.named.add(path)
        else:
            self._skip(path, not_a_file(mode))

    def _folder(self, folder: bytes) -> None:
        absolute = os.path.join(self._inventory.root, folder)
        repository = Repository.discover(os.fsdecode(absolute))
        if repository is None or repository.work_tree is None:
            self._walk(folder)
            return
        top = os.path.realpath(os.fsencode(repository.work_tree))
        within = os.path.relpath(os.path.realpath(absolute), top).replace(os.fsencode(os.sep), b"/")
        if within.split(b"/")[0] in {b"..", GIT}:
            self._walk(folder)
            return
        if self._all_files:
            self._inventory.settings += repository.settings_files() if within == b"." else ()
            self._walk(folder)
            return
        self._working_tree(repository, b"" if within == b"." else within, folder, MOST_NESTED)

    def _working_tree(self, repository: Repository, within: bytes, folder: bytes, depth: int) -> None:
        """List what git knows below `within` of the working tree; `folder` is the same place seen from the root."""
        self._inventory.settings += () if within else repository.settings_files()
        try:
            listing = repository.ls_files(within) if within else repository.ls_files()
        except CredsError as error:
            shown = visible(os.fsdecode(folder)) or "."
            self._inventory.notes.append(f"git cannot list {shown}: every file in it was read, ignored ones too")
            before = len(self._inventory.files)
            self._walk(folder)
            self._name_special(error)
            for path in self._inventory.files[before:]:
                if os.path.basename(path) == b".gitignore":
                    try:
                        check_regular(os.path.join(os.fsdecode(self._inventory.root), os.fsdecode(path)))
                    except SpecialFileError as large:
                        self._name_special(large)
            return
        if within and not listing.files and not listing.nested:
            self._walk(folder)  # a folder that git ignores, and the operator named
            return
        cut, prefix = len(within) + 1 if within else 0, folder + b"/" if folder else b""
        files = [prefix + path[cut:] for path in listing.files] if cut or prefix else list(listing.files)
        self._inventory.files += files
        self._inventory.listed.update(files)
        for path in listing.nested:
            below = prefix + path[cut:]
            if not self._exclusions.match(below):
                self._list_nested(below, depth - 1)

    def _name_special(self, error: CredsError) -> None:
        """Name the file that git must not read, if it was one that kept git from its list."""
        if isinstance(error, SpecialFileError):
            self._inventory.skipped.append(SkippedItem(self._inventory.report_path(error.path), error.reason))

    def _list_nested(self, folder: bytes, depth: int) -> None:
        """A repository inside of a working tree: a submodule, or a clone that git leaves alone."""
        descent = TreeOpener(self._inventory.root)
        try:
            descent.folder(folder)
        except FileNotFoundError:
            self._skip_submodule(folder)
            return
        except OSError as error:
            # a link in its place is a file of the tree: the scan reads where it points to as text
            if _is_link(descent, folder):
                self._inventory.files.append(folder)
            else:
                self._skip(folder, f"cannot be listed: {os_error_text(error)}")
            return
        finally:
            descent.close()
        if depth <= 0:
            self._skip(folder, f"repositories nested more than {MOST_NESTED} deep were not listed")
            return
        absolute = os.path.join(self._inventory.root, folder)
        repository = Repository.discover(os.fsdecode(absolute))
        if repository is None or repository.work_tree is None or not os.path.samefile(repository.work_tree, absolute):
            if not os.listdir(absolute):
                self._skip_submodule(folder)
            self._walk(folder)
        else:
            self._working_tree(repository, b"", folder, depth)

    def _walk(self, top: bytes) -> None:
        """Every file below a folder, all but those of `.git`."""
        descent = TreeOpener(self._inventory.root)
        waiting = [top]
        try:
            if not self._exclusions:
                waiting = self._list_files_below(descent, top)
            while waiting:
                folder = waiting.pop()
                try:
                    waiting += sorted(self._entries(descent, folder), reverse=True)
                except OSError as error:
                    self._skip(folder, f"cannot be listed: {os_error_text(error)}")
        finally:
            descent.close()

    def _list_files_below(self, descent: TreeOpener, top: bytes) -> list[bytes]:
        """Add the files below a folder, all at once; returns the folders that are left to list."""
        if walk is None:
            return [top]
        try:
            files, left, odd = walk(descent.folder(top), top + b"/" if top else b"")
        except OSError:
            return [top]
        self._inventory.files += files
        for path in odd:
            with suppress(OSError):
                self._skip(path, not_a_file(descent.mode(path)))
        return sorted(left, reverse=True)

    def _entries(self, descent: TreeOpener, folder: bytes) -> list[bytes]:
        """Add the files of one folder; returns its folders."""
        prefix = folder + b"/" if folder else b""
        below: list[bytes] = []
        with os.scandir(descent.listable(folder)) as entries:
            for entry in entries:
                name = os.fsencode(entry.name)
                path = prefix + name
                if entry.is_dir(follow_symlinks=False):
                    if name != GIT and not self._exclusions.match(path):
                        below.append(path)
                elif entry.is_file(follow_symlinks=False) or entry.is_symlink():
                    self._inventory.files.append(path)
                elif not self._exclusions.match(path):
                    self._skip(path, not_a_file(entry.stat(follow_symlinks=False).st_mode))
        return below

    def _skip_submodule(self, folder: bytes) -> None:
        self._inventory.skipped.append(SkippedItem(os.fsdecode(folder), NOT_CHECKED_OUT, SUBMODULES))

    def _skip(self, path: bytes, reason: str) -> None:
        self._inventory.skipped.append(SkippedItem(os.fsdecode(path) or ".", reason))


def _is_link(descent: TreeOpener, path: bytes) -> bool:
    try:
        return stat.S_ISLNK(descent.mode(path))
    except OSError:
        return False


def has_vanished_before(root: bytes, path: bytes, since: int) -> bool:
    """Whether a file that git lists was gone before `since` (nanoseconds): nothing near its place has changed after it."""
    here = os.path.join(root, path)
    if os.path.lexists(here):
        return False
    while not os.path.lexists(here):
        here = os.path.dirname(here)
    return os.lstat(here).st_mtime_ns < since
