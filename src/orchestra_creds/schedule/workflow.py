"""The daily run as a workflow of GitHub Actions: text from a template that comes with the package. No key is in it: it uses federation."""

import re
from importlib import resources

from orchestra_creds import __version__
from orchestra_creds.core.accounts import require_identity
from orchestra_creds.errors import ConfigError
from orchestra_creds.schedule.entry import ScheduleEntry

FILE = ".github/workflows/orchestra-creds-rotate.yml"
_PROVIDER = re.compile(
    r"projects/[0-9]+/locations/global/workloadIdentityPools/[a-z0-9-]{4,32}/providers/[a-z0-9-]{4,32}"
)
_ENVIRONMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,98}")


def workflow(wanted: ScheduleEntry, *, provider: str, identity: str, environment: str) -> str:
    """The file's text; the time is UTC.

    Raises:
        ConfigError: the provider is not named by the project's number, the identity is no account, the environment has no name.
    """
    if not _PROVIDER.fullmatch(provider):
        raise ConfigError(
            f"{provider!r} is no workload identity provider",
            hint="projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER, with the project's number",
        )
    require_identity(identity)
    if not _ENVIRONMENT.fullmatch(environment):
        raise ConfigError(f"{environment!r} is no environment of GitHub", hint="--github-environment production")
    template = resources.files("orchestra_creds.schedule").joinpath("github_actions.yml").read_text(encoding="utf-8")
    values = {
        "CRON": f"{wanted.minute} {wanted.hour} * * *",
        "PROJECT": wanted.project,
        "PROVIDER": provider,
        "IDENTITY": identity,
        "ENVIRONMENT": environment,
        "VERSION": __version__,
    }
    return re.sub(r"@@([A-Z]+)@@", lambda match: values[match[1]], template)


def is_ours(text: str, project: str) -> bool:
    """Whether the text is a workflow that was written here for this project."""
    return (
        re.match(rf"# Written by `orchestra-creds schedule install .*in project {re.escape(project)},", text)
        is not None
    )


def schedule_of(text: str) -> str:
    """Its time and its account, as its lines say."""
    cron = re.search(r'- cron: "([^"]*)"', text)
    identity = re.search(r'service_account: "([^"]*)"', text)
    return f"{cron[1] if cron else '?'} UTC as {identity[1] if identity else '?'}"
