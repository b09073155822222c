"""`legacy`: the verbs of the two replaced shell scripts, and those that their documents promised, made safe.

What a caller of an old script relies on stays: a bare value on stdout, everything human on stderr, exit codes 0 and 1 (`check-secret`:
1 only for a secret that is not there; 3, 4 or 6 if nobody knows). What was dangerous
does not: nothing is deleted that has no proven successor, no placeholder becomes a value, nothing is granted for a whole project. Each
verb says on stderr which new one to use.
"""

import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from dotenv import set_key

from orchestra_creds.bootstrap.cloud import open_cloud
from orchestra_creds.cli.names import check_secret_name
from orchestra_creds.cli.session import write_stdout
from orchestra_creds.cli.setup_add import declare
from orchestra_creds.config import settings as configuration
from orchestra_creds.config.environments import PROJECT_VARIABLE, choose_project
from orchestra_creds.core.google import key_secret
from orchestra_creds.core.text import os_error_text
from orchestra_creds.errors import ConfigError, CredsError, NotFoundError, PreconditionError

app = typer.Typer(
    name="legacy",
    no_args_is_help=True,
    rich_markup_mode=None,
    help="The verbs of secure_credential_manager.sh and setup_secure_credentials.sh, made safe.",
)
OLD_PROJECT_VARIABLES = ("ORCHESTRA_PROJECT_ID", "GCP_PROJECT_ID", "GCP_PROJECT")
"""Variables from which the old scripts took the project, in their order."""
_PLAIN = re.compile(r"[A-Za-z0-9._:-]+")
"""A project that a .env file holds without quotes."""
USAGE = """usage: secure_credential_manager.sh VERB

  get-secret NAME          orchestra-creds secret get NAME
  check-secret NAME        orchestra-creds secret get NAME --exists
  create-secret NAME FILE  orchestra-creds secret set NAME < FILE
  update-secret NAME FILE  orchestra-creds secret set NAME < FILE
  list-secrets             orchestra-creds secret list
  rotate-key ACCOUNT       orchestra-creds rotate ACCOUNT-key
  create-sa NAME ROLES     orchestra-creds setup add service-account, then orchestra-creds setup
  setup-wif                orchestra-creds setup --only federation
  secure                   orchestra-creds scan, then orchestra-creds rotate
  env                      writes ORCHESTRA_PROJECT_ID into .env
  template                 nothing: a key file has no place in a repository
  help                     this
"""
ArgumentsArgument = Annotated[
    list[str] | None, typer.Argument(metavar="[VERB] [ARGUMENT]...", help="As for the script.")
]


@app.command("secure-credential-manager")
def secure_credential_manager(ctx: typer.Context, words: ArgumentsArgument = None) -> None:
    """What secure_credential_manager.sh did, or was said to do."""
    verb, *arguments = words or ["help"]
    known = _VERBS.get(verb)
    if known is None:
        sys.stderr.write(f"error: there is no verb {verb!r}\n{USAGE}")
        raise typer.Exit(1)
    wanted, work = known
    if len(arguments) != wanted:
        sys.stderr.write(f"error: {verb} takes {wanted} {'argument' if wanted == 1 else 'arguments'}\n{USAGE}")
        raise typer.Exit(1)
    _end(lambda: work(ctx, *arguments))


@app.command("setup-secure-credentials")
def setup_secure_credentials(ctx: typer.Context, words: ArgumentsArgument = None) -> None:
    """What setup_secure_credentials.sh was for: shows what differs from orchestra-creds.toml; never pushes a value."""
    if words:
        sys.stderr.write("error: setup_secure_credentials.sh takes no arguments\n")
        raise typer.Exit(1)
    _advise("setup", "it shows first and asks; values are stored with: orchestra-creds secret set NAME")
    _end(lambda: _run_verb(ctx, "setup", "--plan"))


def _end(work: Callable[[], int]) -> None:
    """Run it, and end as the old scripts did: 0 or 1."""
    try:
        code = work()
    except CredsError as error:
        code = _tell(error)
    raise typer.Exit(1 if code else 0)


def _tell(error: CredsError) -> int:
    """Print the error; return its own exit code."""
    sys.stderr.write(f"error: {error}\n" + (f"hint: {error.hint}\n" if error.hint else ""))
    return int(error.exit_code)


def _take_old_variables() -> None:
    """Let a variable that the old scripts read name the project, if none of ours does, and say what to set instead."""
    if os.environ.get(PROJECT_VARIABLE):
        return
    for name in OLD_PROJECT_VARIABLES:
        if project := os.environ.get(name, ""):
            os.environ[PROJECT_VARIABLE] = project
            sys.stderr.write(f"note: {name} names the project; the new variable is {PROJECT_VARIABLE}\n")
            return


def _run_verb(ctx: typer.Context, *arguments: str) -> int:
    """Run one of our own verbs in this process and return its exit code."""
    root: Any = ctx.find_root().command
    _take_old_variables()
    code = root.main(args=list(arguments), prog_name="orchestra-creds", standalone_mode=False)
    return int(code or 0)


def _advise(verb: str, why: str = "") -> None:
    sys.stderr.write(f"note: the new verb is: orchestra-creds {verb}" + (f" ({why})\n" if why else "\n"))


def _help(_ctx: typer.Context) -> int:
    write_stdout(USAGE)
    return 0


def _get(ctx: typer.Context, name: str) -> int:
    return _run_verb(ctx, "secret", "get", name, "--reveal")


def _check(_ctx: typer.Context, name: str) -> int:
    """Silent if the secret is there or absent: callers read the exit code only. A look that failed has its own code, and is told."""
    try:
        return 0 if _exists(name) else 1
    except CredsError as error:
        raise typer.Exit(_tell(error)) from None


def _exists(name: str) -> bool:
    """Return whether the secret has a version.

    Raises:
        CredsError: nobody knows: the look was refused or not answered.
    """
    _take_old_variables()
    with open_cloud(backend=os.environ.get("ORCHESTRA_CREDS_BACKEND", "")) as cloud:
        try:
            cloud.secrets.get_version(cloud.full_name(check_secret_name(name), ""), "latest")
        except NotFoundError:
            return False
    return True


def _create(ctx: typer.Context, name: str, file: str) -> int:
    if _exists(name):
        raise PreconditionError(f"secret {name} has a value already", hint="update-secret stores a new version")
    return _update(ctx, name, file)


def _update(ctx: typer.Context, name: str, file: str) -> int:
    _advise("secret set", "reads a hidden prompt or standard input: a value in a file is a value on a disk")
    try:
        with Path(file).open("rb") as stream:
            before = os.dup(0)
            os.dup2(stream.fileno(), 0)
            try:
                return _run_verb(ctx, "secret", "set", name, "--stdin")
            finally:
                os.dup2(before, 0)
                os.close(before)
    except OSError as error:
        raise NotFoundError(f"cannot read {file}: {os_error_text(error)}") from None


def _list(ctx: typer.Context) -> int:
    return _run_verb(ctx, "secret", "list")


def _rotate(ctx: typer.Context, account: str) -> int:
    name = key_secret(account.partition("@")[0])
    _advise(f"rotate {name}", "the predecessor stays valid for its grace")
    return _run_verb(ctx, "rotate", name)


def _federation(ctx: typer.Context) -> int:
    _advise("setup --only federation", "a condition on numbers is required, and generated")
    return _run_verb(ctx, "setup", "--only", "federation", "--plan")


def _create_account(_ctx: typer.Context, name: str, roles: str) -> int:
    """Declare it; `setup` makes it. Nothing is granted here."""
    _advise("setup add service-account")
    path = configuration.load().path or Path(configuration.FILE_NAME)
    text = path.read_text(encoding="utf-8") if path.exists() else "schema = 1\n"
    declare(path, text, name, {"project_roles": [role for role in roles.split(",") if role]})
    sys.stderr.write(f"declared {name} in {path}; now: orchestra-creds setup\n")
    return 0


def _secure(ctx: typer.Context) -> int:
    """Find what leaked; nothing is deleted: the only copy of a key is worth more than a tidy folder until its successor is proven."""
    _advise("scan", "then rotate what it finds with --leaked; no file is deleted")
    return _run_verb(ctx, "scan", ".")


def _environment(_ctx: typer.Context) -> int:
    _take_old_variables()
    project = choose_project(configuration.load().document, "", "", os.environ)
    if not project:
        raise ConfigError("no project is named", hint=f"set {PROJECT_VARIABLE}")
    file = Path(".env")
    if not file.exists():
        file.touch(mode=0o600)
        if Path(".env.example").is_file():
            file.write_bytes(Path(".env.example").read_bytes())
    set_key(file, "ORCHESTRA_PROJECT_ID", project, quote_mode="never" if _PLAIN.fullmatch(project) else "always")
    _advise("run -- COMMAND", "gives a program its secrets without a file")
    return 0


def _template(_ctx: typer.Context) -> int:
    sys.stderr.write(
        "note: no template is written: a key file in a repository invites filling it in. Use an attached service account, or workload\n"
        "identity federation (orchestra-creds setup); `orchestra-creds doctor` tells what is missing.\n"
    )
    return 0


_VERBS: dict[str, tuple[int, Callable[..., int]]] = {
    "help": (0, _help),
    "--help": (0, _help),
    "get-secret": (1, _get),
    "check-secret": (1, _check),
    "create-secret": (2, _create),
    "update-secret": (2, _update),
    "list-secrets": (0, _list),
    "rotate-key": (1, _rotate),
    "setup-wif": (0, _federation),
    "create-sa": (2, _create_account),
    "secure": (0, _secure),
    "env": (0, _environment),
    "template": (0, _template),
}
"""Verb -> how many arguments it takes, and what is done."""


def verbs() -> Sequence[str]:
    """Every verb that is honoured."""
    return tuple(_VERBS)
