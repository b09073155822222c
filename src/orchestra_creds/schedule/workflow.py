"""The daily run as a workflow of GitHub Actions: text from a template that comes with the package. No key is in it: it uses federation.

Guarantees: everything that it installs is named by hash in a file of the repository, and is installed before the job has an identity.
"""

import re
from importlib import resources

from orchestra_creds.core.accounts import require_identity
from orchestra_creds.errors import ConfigError
from orchestra_creds.schedule.entry import ScheduleEntry

LOCK = ".github/orchestra-creds.lock"
"""Where the requirements with hashes are, unless another file is named."""
FILE = ".github/workflows/orchestra-creds-rotate.yml"
_PROVIDER = re.compile(
    r"projects/[0-9]+/locations/global/workloadIdentityPools/[a-z0-9-]{4,32}/providers/[a-z0-9-]{4,32}"
)
_PATH = re.compile(r"(?!-)[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*")
"""A path below the repository that means nothing to a shell or to YAML."""
_OURS = re.compile(r"orchestra[-_.]creds\b|\S*/orchestra_creds-\S+\.whl\b", re.IGNORECASE)
_HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}\b")
_ENVIRONMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,98}")


def workflow(
    wanted: ScheduleEntry,
    *,
    provider: str,
    identity: str,
    environment: str,
    lock: str,
    requirements: str,
    config: str = "",
    from_labels: bool = True,
) -> str:
    """The file's text; the time is UTC.

    Args:
        wanted: project and time.
        provider: the workload identity provider, by the project's number.
        identity: the mail address of the account that it acts as.
        environment: GitHub's protected environment.
        lock: the path of the requirements with hashes, in the repository.
        requirements: what that file holds.
        config: the path of orchestra-creds.toml in the repository; "" for a run without one.
        from_labels: whether the run also reads the labels of secrets.

    Raises:
        ConfigError: one of them cannot be, or a requirement has no hash.
    """
    if not _PROVIDER.fullmatch(provider):
        raise ConfigError(
            f"{provider!r} is no workload identity provider",
            hint="projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER, with the project's number",
        )
    require_identity(identity)
    if not _ENVIRONMENT.fullmatch(environment):
        raise ConfigError(f"{environment!r} is no environment of GitHub", hint="--github-environment production")
    for path in (lock, config):
        if path and (not _PATH.fullmatch(path) or ".." in path.split("/")):
            raise ConfigError(
                f"{path!r} is no plain path below the repository", hint="letters, digits, dot, hyphen and underscore"
            )
    require_hashes(lock, requirements)
    template = resources.files("orchestra_creds.schedule").joinpath("github_actions.yml").read_text(encoding="utf-8")
    options = [*(["--config", config] if config else []), *(["--from-labels"] if from_labels else [])]
    source = f"the declarations in {config}" if config else "labels of secrets in the project"
    values = {
        "CRON": f"{wanted.minute} {wanted.hour} * * *",
        "PROJECT": wanted.project,
        "PROVIDER": provider,
        "IDENTITY": identity,
        "ENVIRONMENT": environment,
        "LOCK": lock,
        "OPTIONS": " ".join(options),
        "SOURCE": source + (" and the labels of secrets" if config and from_labels else ""),
    }
    return re.sub(r"@@([A-Z]+)@@", lambda match: values[match[1]], template)


def require_hashes(file: str, text: str) -> None:
    """Refuse requirements of which one has no hash, or that do not name orchestra-creds itself.

    Raises:
        ConfigError: they are such.
    """
    lines = [line.strip() for line in re.sub(r"\\\r?\n", " ", text).splitlines()]
    named = [line for line in lines if line and not line.startswith("#")]
    without = [line.split()[0] for line in named if not _HASH.search(line)]
    if without:
        raise ConfigError(
            f"{file} names {without[0]} without a hash", hint="uv pip compile --generate-hashes writes them"
        )
    if not any(_OURS.match(line) for line in named):
        raise ConfigError(
            f"{file} does not name orchestra-creds",
            hint="add a wheel of it, with its hash; docs/cron.md shows how",
        )


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
