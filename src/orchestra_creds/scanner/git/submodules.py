"""The submodules of the commit that is checked out, and the repositories that hold their histories."""

import os

from orchestra_creds.scanner.absence import SUBMODULES
from orchestra_creds.scanner.finding import SkippedItem
from orchestra_creds.scanner.git.process import GITLINK
from orchestra_creds.scanner.git.repository import Repository

NOT_HERE = "the history of this submodule is not here; run `git submodule update --init`"


def find_submodules(repository: Repository) -> tuple[list[tuple[str, Repository]], list[SkippedItem]]:
    """Return path and repository of each submodule that is checked out, and an item for each of the others."""
    here: list[tuple[str, Repository]] = []
    missing: list[SkippedItem] = []
    for path in _submodule_paths(repository):
        found = _checked_out(repository, path)
        if found is None:
            missing.append(SkippedItem(path, NOT_HERE, SUBMODULES))
        else:
            here.append((path, found))
    return here, missing


def _submodule_paths(repository: Repository) -> list[str]:
    """The paths of the submodules of HEAD; git is asked for the whole tree only if it holds a `.gitmodules`."""
    if not repository.has_path("HEAD:.gitmodules"):
        return []
    entries = repository.run("ls-tree", "-r", "-z", "--full-tree", "HEAD").split(b"\0")
    return sorted(os.fsdecode(entry.partition(b"\t")[2]) for entry in entries if entry.startswith(GITLINK))


def _checked_out(repository: Repository, path: str) -> Repository | None:
    """The repository of a submodule; None if it lies elsewhere: what is outside was not asked for."""
    if repository.work_tree is None:
        return None
    top = os.path.realpath(repository.work_tree)
    folder = os.path.join(top, path)
    if os.path.realpath(folder) != folder:
        return None
    found = Repository.discover(folder)
    if found is None or found.work_tree is None or os.path.realpath(found.work_tree) != folder:
        return None
    places = (top, os.path.realpath(repository.common_dir))
    folders = (os.path.realpath(found.git_dir), os.path.realpath(found.common_dir))
    inside = all(any(one.startswith(os.path.join(place, "")) for place in places) for one in folders)
    return found if inside else None
