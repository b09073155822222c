"""What several sources do the same way: find the repository, limit archives, look into files."""

import os

from orchestra_creds.core.text import visible
from orchestra_creds.errors import ConfigError, NotFoundError, PreconditionError
from orchestra_creds.scanner.file_names import STDIN
from orchestra_creds.scanner.git.repository import Repository
from orchestra_creds.scanner.request import ScanRequest

TYPE_CHECKING = False  # typing's own costs 2 ms, for which the listing of a tree would wait
if TYPE_CHECKING:
    from orchestra_creds.scanner.content.archives import ArchiveLimits
    from orchestra_creds.scanner.content.explore import Explorer
    from orchestra_creds.scanner.engine.engine import Engine


def open_repository(request: ScanRequest) -> Repository:
    """Return the repository that the one path of the request lies in.

    Raises:
        ConfigError: the request names several paths, or standard input.
        NotFoundError: the path does not exist.
        PreconditionError: the path is in no repository.
    """
    option = f"--{request.source}"
    if len(request.paths) != 1 or request.paths[0] == STDIN:
        raise ConfigError(f"{option} takes one folder", hint="run one scan for each repository")
    path = request.paths[0]
    if not os.path.lexists(path):
        raise NotFoundError(f"no such file or folder: {visible(path)}", hint="check the path")
    repository = Repository.discover(path)
    if repository is None:
        from orchestra_creds.scanner.tree.inventory import common_root

        raise PreconditionError(
            f"not in a git repository: {visible(common_root([path]))}",
            hint=f"run {option} in a repository, or leave it out to scan the files as they are",
        )
    return repository


def archive_limits(request: ScanRequest) -> "ArchiveLimits":
    """Return the limits on archives that the request sets."""
    from orchestra_creds.scanner.content.archives import ArchiveLimits

    return ArchiveLimits(depth=request.archive_depth)


def open_explorer(request: ScanRequest, engine: "Engine") -> "Explorer":
    """Return an explorer with the limits of the request."""
    from orchestra_creds.scanner.content.explore import Explorer

    return Explorer(engine, limits=archive_limits(request), max_size=request.max_size)
