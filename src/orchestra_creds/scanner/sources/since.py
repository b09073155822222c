"""The source "since": the objects of a repository that came after a revision, up to HEAD or to another one (`FROM..TO`)."""

from orchestra_creds.core.text import visible
from orchestra_creds.errors import NotFoundError
from orchestra_creds.scanner.opened_source import OpenedSource
from orchestra_creds.scanner.request import ScanRequest
from orchestra_creds.scanner.sources.history import OpenedHistory
from orchestra_creds.scanner.sources.shared import open_repository


def open_source(request: ScanRequest) -> OpenedSource:
    """Return the objects that HEAD, or the second revision of `FROM..TO`, reaches and the first revision does not.

    Raises:
        NotFoundError: there is no such revision.
    """
    repository = open_repository(request)
    first, _, last = request.since.partition("..")  # no name of a revision holds two dots
    for revision in (first, last):
        if revision and repository.commit(revision) is None:
            raise NotFoundError(
                f"no such revision: {visible(revision)}",
                hint="`git log --oneline` lists commits; a shallow clone lacks older ones: git fetch --unshallow",
            )
    return OpenedHistory(request, repository, since=request.since)
