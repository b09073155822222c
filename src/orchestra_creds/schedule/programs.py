"""The programs of the machine's schedulers: `crontab` and `systemctl`. Nothing of a credential goes to them."""

import shutil
import subprocess

from orchestra_creds.errors import ConfigError, PreconditionError


def read_crontab() -> str:
    """This user's crontab; empty when there is none.

    Raises:
        ConfigError: there is no crontab program.    PreconditionError: it refuses.
    """
    ended = _run("crontab", "-l")
    if ended.returncode and b"no crontab" not in ended.stderr.lower():
        raise _refusal_error("crontab -l", ended.stderr)
    return ended.stdout.decode("utf-8", "surrogateescape") if not ended.returncode else ""


def write_crontab(text: str) -> None:
    """Replace this user's crontab."""
    ended = _run("crontab", "-", stdin=text.encode("utf-8", "surrogateescape"))
    if ended.returncode:
        raise _refusal_error("crontab -", ended.stderr)


def run_systemctl(*arguments: str) -> bool:
    """Whether systemctl did it; False also where systemd does not run."""
    return shutil.which("systemctl") is not None and not _run("systemctl", *arguments).returncode


def _run(program: str, *arguments: str, stdin: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
    if shutil.which(program) is None:
        raise ConfigError(f"there is no {program} on this machine", hint="install cron, or use --runner systemd")
    return subprocess.run([program, *arguments], input=stdin, capture_output=True, check=False, timeout=30)


def _refusal_error(what: str, stderr: bytes) -> PreconditionError:
    text = " ".join(stderr.decode("utf-8", "replace").split())[:200]
    return PreconditionError(f"{what} was refused: {text}", hint="may this user have a crontab?")
