"""The file that `setup init` writes: a whole project of AI Orchestra, without a real identifier."""

import re
from importlib import resources

from orchestra_creds.errors import ConfigError

_PROJECT = re.compile(r"[a-z][a-z0-9-]{4,28}[a-z0-9]")


def example(project: str) -> str:
    """Its text for a project.

    Raises:
        ConfigError: that is no project id.
    """
    if not _PROJECT.fullmatch(project):
        raise ConfigError(f"{project!r} is no project id", hint="6 to 30 lower-case letters, digits and hyphens")
    text = resources.files("orchestra_creds.setup").joinpath("example.toml").read_text(encoding="utf-8")
    return text.replace("PROJECT", project)
