"""The source "since": the objects of a repository that came after a revision."""

from orchestra_creds.core.text import visible
from orchestra_creds.errors import NotFoundError
from orchestra_creds.scanner.opened_source import OpenedSource
from orchestra_creds.scanner.request import ScanRequest
from orchestra_creds.scanner.sources.history import OpenedHistory
from orchestra_creds.scanner.sources.shared import open_repository


def open_source(request: ScanRequest) -> OpenedSource:
    """Return the objects that HEAD reaches and the revision of the request does not.

    Raises:
        NotFoundError: there is no such revision.
    """
    repository = open_repository(request)
    if repository.commit(request.since) is None:
        raise NotFoundError(f"no such revision: {visible(request.since)}", hint="`git log --oneline` lists commits")
    return OpenedHistory(request, repository, since=request.since)
