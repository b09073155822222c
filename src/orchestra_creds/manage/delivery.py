"""Which secrets a process is given, under which names, and their values: all of them or none, before anything is started."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from orchestra_creds.core.material import Material
from orchestra_creds.core.ports import SecretStore
from orchestra_creds.errors import ConfigError, NotFoundError, PreconditionError
from orchestra_creds.manage import secrets
from orchestra_creds.parallel import CALLS_AT_ONCE, map_in_order

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_STEERING = re.compile(
    r"LD_.*|DYLD_.*|PYTHON.*|PERL5?.*|RUBY.*|NODE_OPTIONS|BASH_ENV|ENV|IFS|PATH|HOME|SHELL|TMPDIR|GIT_.*|PS4|PROMPT_COMMAND"
    r"|GOOGLE_APPLICATION_CREDENTIALS|SSL_CERT_.*|HTTPS?_PROXY|ALL_PROXY",
    re.IGNORECASE,
)
"""Variables that decide what a program runs, loads or trusts: a secret's value must never become one."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One secret under one name."""

    secret: str
    variable: str


def variable_of(secret: str) -> str:
    """The usual name: `openai-api-key` is OPENAI_API_KEY."""
    return re.sub(r"[^A-Za-z0-9]", "_", secret).upper()


def deliveries(known: Mapping[str, str], only: Sequence[str], renamed: Iterable[str]) -> tuple[Delivery, ...]:
    """What is to be delivered: of `known` (secret -> variable), or `only` those; `renamed` holds `SECRET=VARIABLE`.

    Raises:
        ConfigError: nothing is named, a name cannot be a variable, two secrets want one, or it would steer the program.
    """
    names = {name: known.get(name) or variable_of(name) for name in (only or known)}
    for rule in renamed:
        secret, equals, variable = rule.partition("=")
        if not equals or not secret:
            raise ConfigError(f"--map {rule!r} is not SECRET=VARIABLE")
        names[secret] = variable
    if not names:
        raise ConfigError("no secret is named", hint="--only NAME,NAME, or [secrets] in orchestra-creds.toml")
    found: dict[str, str] = {}
    for secret, variable in names.items():
        if not _VARIABLE.fullmatch(variable):
            raise ConfigError(f"{variable!r} cannot be a variable", hint=f"--map {secret}=NAME")
        if _STEERING.fullmatch(variable):
            raise ConfigError(
                f"variable {variable} steers programs and is never set from a secret", hint=f"--map {secret}=NAME"
            )
        if variable in found:
            raise ConfigError(
                f"secrets {found[variable]} and {secret} both want {variable}", hint=f"--map {secret}=NAME"
            )
        found[variable] = secret
    return tuple(Delivery(secret, variable) for variable, secret in found.items())


def values(
    store: SecretStore,
    wanted: Sequence[Delivery],
    full_name: Mapping[str, str],
    version: str,
    *,
    at_once: int = CALLS_AT_ONCE,
) -> dict[str, Material]:
    """Variable -> value, of all of them.

    Raises:
        NotFoundError, PreconditionError, AuthError: one of them cannot be read; its name is told, and nothing was started.
    """

    def read(one: Delivery) -> Material:
        try:
            return secrets.access(store, full_name[one.secret], version).material
        except (NotFoundError, PreconditionError) as error:
            raise type(error)(f"{error}; nothing was started", hint=error.hint) from None

    return dict(zip((one.variable for one in wanted), map_in_order(read, wanted, at_once=at_once), strict=True))
