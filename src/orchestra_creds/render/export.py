"""Secrets written for other programs: values for shells, files and GitHub's runner, references for Kubernetes and Cloud Run.

Every form quotes as its reader unquotes; what cannot be written in a form is refused, never bent.
"""

import json
import re
import shlex
from collections.abc import Callable, Mapping, Sequence

from orchestra_creds.core.masking import SHORTEST, masked_lines
from orchestra_creds.core.material import Material
from orchestra_creds.errors import ConfigError

_EXPANDED = re.compile(r"\$\{[^}:]*(?::-[^}]*)?\}")  # as in dotenv/variables.py


class UnwritableError(ConfigError):
    """A value that a form cannot hold exactly; `variable` names it."""

    def __init__(self, variable: str, reason: str, *, hint: str) -> None:
        super().__init__(f"the value for {variable} {reason}", hint=hint)
        self.variable = variable


def dotenv(values: Mapping[str, Material], _word: Callable[[], str]) -> str:
    """Return `NAME='value'` lines that python-dotenv and `secret import-env` read back exactly.

    Raises:
        UnwritableError: python-dotenv would change the value.
    """
    return "".join(f"{name}={_dotenv_value(name, _text(name, value))}\n" for name, value in values.items())


def _dotenv_value(name: str, text: str) -> str:
    """Return the text in single quotes, in double quotes or bare, whichever every release of python-dotenv reads exactly.

    Release 1.1 reads the backslash before a closing quote as an escape of that quote, even if another backslash escapes it.
    """
    hint = "give it to the program with orchestra-creds run, or write --to json"
    if _EXPANDED.search(text):
        raise UnwritableError(name, "holds ${...}, which python-dotenv expands in any quotes", hint=hint)
    if not re.search(r"['\\\r\n]", text):
        return f"'{text}'"
    if not text.endswith("\\"):
        escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
        return f'"{escaped}"'
    if re.search(r"[\r\n]|\s#|^[\s'\"]", text):
        raise UnwritableError(name, "ends with a backslash, and python-dotenv needs quotes around the rest", hint=hint)
    return text


def shell(values: Mapping[str, Material], _word: Callable[[], str]) -> str:
    """`export NAME='value'` for any POSIX shell: safe to source, whatever is in it."""
    return "".join(f"export {name}={shlex.quote(_text(name, value))}\n" for name, value in values.items())


def as_json(values: Mapping[str, Material], _word: Callable[[], str]) -> str:
    """One object."""
    return json.dumps({name: _text(name, value) for name, value in values.items()}, indent=2) + "\n"


def github(values: Mapping[str, Material], word: Callable[[], str]) -> str:
    """Lines for the file that $GITHUB_ENV names; `word` answers a random delimiter, so that no value can end its own."""
    ended = ((name, _text(name, value), word()) for name, value in values.items())
    return "".join(f"{name}<<{end}\n{text}\n{end}\n" for name, text, end in ended)


def github_masks(values: Mapping[str, Material]) -> str:
    """For the log of a step: GitHub's runner hides each of these lines from then on, and this line as well.

    The lines are those that `run --mask` takes out: a mask such as `{` would hide the log and make the runner drop outputs. Escaped as
    the runner's commands are (docs.github.com/actions/reference/workflow-commands-for-github-actions).
    """
    lines = (line.decode().strip() for line in masked_lines(_text(name, one).encode() for name, one in values.items()))
    long_enough = (line for line in lines if len(line.encode()) >= SHORTEST)  # the runner takes off more blanks
    return "".join("::add-mask::" + line.replace("%", "%25") + "\n" for line in long_enough)


def systemd(values: Mapping[str, Material], _word: Callable[[], str]) -> str:
    """`NAME="value"` for EnvironmentFile= (systemd.exec(5)): in double quotes a backslash stands before `"`, itself, `$` and a backtick.

    Raises:
        UnwritableError: systemd would ignore the whole file because of the value.
    """
    return "".join(f'{name}="{_systemd_value(name, _text(name, value))}"\n' for name, value in values.items())


def _systemd_value(name: str, text: str) -> str:
    if any(0xFDD0 <= ord(char) <= 0xFDEF or ord(char) & 0xFFFE == 0xFFFE for char in text):
        raise UnwritableError(
            name,
            "holds a code point that is no character (such as U+FFFE), for which systemd ignores the whole file",
            hint="give it to the program with orchestra-creds run",
        )
    return re.sub(r'(["\\$`])', r"\\\1", text)


VALUES = {"dotenv": dotenv, "shell": shell, "json": as_json, "github": github, "systemd": systemd}
"""Forms that hold values."""


def cloudrun(references: Sequence[tuple[str, str]]) -> str:
    """The flag of `gcloud run deploy`: names of secrets and no value."""
    return "--update-secrets=" + ",".join(f"{name}={secret}:latest" for name, secret in references) + "\n"


def k8s(references: Sequence[tuple[str, str]]) -> str:
    """Return an ExternalSecret: names of secrets and no value.

    Every name is quoted: YAML reads a bare `no`, `on`, `null` or `123` as another type than text.
    """
    items = "".join(
        f'    - secretKey: "{name}"\n      remoteRef:\n        key: "{secret}"\n        version: latest\n'
        for name, secret in references
    )
    return (
        "apiVersion: external-secrets.io/v1\nkind: ExternalSecret\nmetadata:\n  name: orchestra-creds\nspec:\n"
        "  refreshInterval: 1h\n  secretStoreRef:\n    kind: ClusterSecretStore\n    name: google-secret-manager\n"
        "  target:\n    name: orchestra-creds\n  data:\n" + items
    )


REFERENCES = {"cloudrun": cloudrun, "k8s": k8s}
"""Forms that hold names only."""


def _text(name: str, value: Material) -> str:
    try:
        text = value.reveal().decode()
    except UnicodeDecodeError:
        raise UnwritableError(
            name, "is not text", hint="deliver it as a file: orchestra-creds run --as-files"
        ) from None
    if "\0" in text:
        raise UnwritableError(name, "holds a zero byte", hint="deliver it as a file: run --as-files")
    return text
