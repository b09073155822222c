"""The doctor's checks put together: of this machine, and of a project."""

import shutil
from collections.abc import Iterator

from orchestra_creds import folders
from orchestra_creds.bootstrap.clock import utc_now
from orchestra_creds.bootstrap.cloud import Cloud
from orchestra_creds.bootstrap.setup import load_desired_state
from orchestra_creds.config.desired import NEEDED_SERVICES
from orchestra_creds.core.resources import ResourceKind
from orchestra_creds.errors import ConfigError
from orchestra_creds.manage.doctor import Check, Health, cloud_checks
from orchestra_creds.scanner.libraries import hyperscan


def machine_checks() -> Iterator[Check]:
    """What the doctor finds on this machine, without any cloud."""
    git = shutil.which("git")
    yield (
        Check("git", Health.OK, git)
        if git
        else Check("git", Health.FAIL, "not found", "install git: scans of repositories need it")
    )
    for name, folder in (("state folder", folders.state_folder()), ("cache folder", folders.cache_folder())):
        try:
            yield Check(name, Health.OK, f"{folders.make_private_folder(folder)} is yours alone")
        except ConfigError as error:
            yield Check(name, Health.FAIL, str(error), error.hint)
    try:
        hyperscan()
        yield Check("scan engine", Health.OK, "hyperscan")
    except ImportError:
        yield Check(
            "scan engine",
            Health.WARN,
            "RE2 only: the same findings, slower",
            "hyperscan has no wheel for this platform",
        )


def project_checks(cloud: Cloud) -> Iterator[Check]:
    """What the doctor finds in the project."""
    return cloud_checks(
        place=cloud.description,
        project=cloud.project,
        tokens=cloud.tokens,
        policies=cloud.policies,
        inspector=cloud.inspector,
        at_once=cloud.calls_at_once,
        services=sorted({*NEEDED_SERVICES, *_services_of_file(cloud)}),
        now=utc_now
        if cloud.session.endpoints is None
        else cloud.inspector.server_time,  # that one can be moved at will
    )


def _services_of_file(cloud: Cloud) -> list[str]:
    """Return the APIs that sections of orchestra-creds.toml need; none where it is missing or wrong, which `setup` explains."""
    try:
        resources = load_desired_state(cloud).resources
    except ConfigError:
        return []
    names = {resource.ref.name for resource in resources if resource.ref.kind is ResourceKind.SERVICE}
    return sorted(names - set(cloud.settings.document.services))
