"""What several sources do the same way: find the repository, scan its settings, limit archives, look into files."""

import os

from orchestra_creds.core.text import os_error_text, visible
from orchestra_creds.errors import ConfigError, NotFoundError, PreconditionError
from orchestra_creds.scanner.exclusions import Exclusions
from orchestra_creds.scanner.file_names import STDIN
from orchestra_creds.scanner.finding import SkippedItem
from orchestra_creds.scanner.git.control_files import read_regular
from orchestra_creds.scanner.git.repository import Repository
from orchestra_creds.scanner.opened_source import SourceResult
from orchestra_creds.scanner.request import ScanRequest

TYPE_CHECKING = False  # typing's own costs 2 ms, for which the listing of a tree would wait
if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestra_creds.scanner.content.archives import ArchiveLimits
    from orchestra_creds.scanner.content.explore import Explorer
    from orchestra_creds.scanner.detection import Sighting
    from orchestra_creds.scanner.engine.engine import Engine

_JOB_RULE = "github-app-installation-token"
"""Rule of the token that GitHub gives to a job, and actions/checkout writes into the settings: it ends within hours."""

_JOB_USER = b"//gitlab-ci-token:"
"""Before the token that GitLab gives to a job, and its runner writes into the URL of the remote."""

_JOB_HEADER = b"extraheader = authorization: bearer "
"""Before the token that Azure Pipelines gives to a job, a JWT, which `persistCredentials: true` writes into the settings. Tokens
of people go into a basic header there. git writes the setting's name as its user does: compare without case."""


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


def scan_settings(request: ScanRequest, engine: "Engine", files: "Mapping[str, str]") -> SourceResult:
    """Scan the settings of repositories: `files` maps the path of each to how a report shows it.

    The token that a CI job gives to its own checkout is a note, not a finding.
    """
    result = SourceResult()
    explorer = open_explorer(request, engine)
    exclusions = Exclusions(request.exclude)
    for file, path in files.items():
        if exclusions.match(os.fsencode(path)):
            continue
        try:
            content = read_regular(file)
        except OSError as error:
            result.skipped.append(SkippedItem(path, f"cannot be read: {os_error_text(error)}"))
            continue
        if request.max_size and len(content) > request.max_size:
            result.skipped.append(SkippedItem(path, f"larger than {request.max_size:,} bytes"))
            continue
        result.paths.append(path)
        explorer.scan_bytes(content, path)
        for one in explorer.gathered.sightings:
            if _is_job_token(one, content):
                result.notes.append(
                    f"{visible(path)}:{one.place.line} holds the token of a CI job, which ends with the job; "
                    "`persist-credentials: false` (GitHub) or `persistCredentials: false` (Azure) keeps it out"
                )
            else:
                result.sightings.append(one)
        explorer.gathered.sightings.clear()
    result.skipped += explorer.gathered.skipped
    return result


def _is_job_token(sighting: "Sighting", content: bytes) -> bool:
    """Whether this is the token that a CI system made for one job."""
    rule, start = sighting.detection.rule.id, sighting.detection.start
    if rule == "jwt":
        return content[max(start - len(_JOB_HEADER), 0) : start].lower() == _JOB_HEADER
    return rule == _JOB_RULE or content.endswith(_JOB_USER, 0, start)
