"""One run of `rotate` on this machine: its lock, journal, log lines, jitter, dead man's switch and metrics."""

import contextlib
import hashlib
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from pathlib import Path

from filelock import FileLock, Timeout

from orchestra_creds import folders, outfile
from orchestra_creds.bootstrap.cloud import Cloud
from orchestra_creds.bootstrap.rotation import rotate_credentials, survey_credentials
from orchestra_creds.cli.session import STDOUT, Session, write_stdout
from orchestra_creds.cli.signals import StopFlag
from orchestra_creds.core.text import os_error_text, visible
from orchestra_creds.errors import CredsError, UnavailableError
from orchestra_creds.notify.ping import Ping
from orchestra_creds.render import log, metrics
from orchestra_creds.rotation.journal import Journal
from orchestra_creds.rotation.outcome import Ending, Event, Report, StepStatus
from orchestra_creds.rotation.situation import RunRequest

METRICS_MODE = 0o644
"""Names, times and counts, no material: node_exporter reads the file as another user."""
LOCK_MODE = 0o600


class LogFormat(StrEnum):
    """How a run logs on stderr; `auto` is JSON for an unattended run (`--due` off a terminal), else no log."""

    AUTO = "auto"
    TEXT = "text"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class RunOptions:
    """The operator's choices about a run.

    Attributes:
        names: The credentials; empty means every declared one.
        request: What the run is to do with each of them.
        jobs: Credentials at work at once.
        quiet_when_idle: `--due`: nothing is printed if nothing was done.
        log_format: How the run logs on stderr.
    """

    names: Sequence[str] = ()
    request: RunRequest = field(default_factory=RunRequest)
    from_labels: bool = False
    take_over: bool = False
    jobs: int = 1
    quiet_when_idle: bool = False
    fail_if_locked: bool = False
    jitter: timedelta = timedelta(0)
    ping_url: str = ""
    metrics_file: str = ""
    log_format: LogFormat = LogFormat.AUTO


def state_file(project: str, name: str) -> Path:
    """A file of a project in the private state folder."""
    return Path(folders.make_private_folder(folders.state_folder())) / f"{name}-{project}"


def journal_of(project: str) -> Journal:
    """Return the journal of this machine for a project."""
    return Journal(state_file(project, "rotations").with_suffix(".jsonl"))


@contextlib.contextmanager
def machine_lock(cloud: Cloud, *, fail_if_locked: bool) -> Iterator[bool]:
    """Whether no other run for this project is going on on this machine.

    Raises:
        UnavailableError: one is, and the operator wants to know by exit code.
    """
    lock = FileLock(state_file(cloud.project, "rotate").with_suffix(".lock"), timeout=0, mode=LOCK_MODE)
    try:
        lock.acquire()
    except Timeout:
        if fail_if_locked:
            raise UnavailableError(
                f"another rotate for {cloud.project} is running on this machine", hint="wait for it, or leave it to it"
            ) from None
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


class RunListener:
    """Listens to the steps of a run: the journal takes all, the log those that change something, a terminal the last one.

    With `--quiet` the log holds failures only, and takes them even where no log was asked for.
    """

    def __init__(self, cloud: Cloud, session: Session, log_as: log.LogFormatter | None) -> None:
        self._journal = journal_of(cloud.project)
        self._quiet, self._log_as = session.quiet, log_as
        self._terminal = not session.quiet and log_as is None and sys.stderr is not None and sys.stderr.isatty()
        self.changes = 0
        self.journal_error = ""

    def __call__(self, event: Event) -> None:
        """A step was taken."""
        try:
            self._journal.record(event)
        except OSError as error:  # a rotation that is half done is worse than a line that is missing
            self.journal_error = self.journal_error or os_error_text(error)
        self.changes += event.step.mutates
        if self._log_as and not self._quiet and (event.step.mutates or event.stage is StepStatus.FAILED):
            _log(self._log_as(log.of_event(event)))
        elif self._terminal:
            sys.stderr.write(f"\r\x1b[K{visible(event.credential)}: {visible(str(event.step.kind))}")
            sys.stderr.flush()

    def end(self, report: Report, *, quiet: bool) -> None:
        """The run is over; `quiet`: a run that changed nothing and needs nobody is not logged."""
        if self._terminal:
            sys.stderr.write("\r\x1b[K")
        log_as = self._log_as or (log.as_text if self._quiet else None)
        if log_as is None or (not report.code and (self._quiet or (quiet and not self.changes))):
            return
        for outcome in report.outcomes:
            if outcome.code:
                _log(log_as(log.of_outcome(outcome, report.ended, report.run)))
        _log(log_as(log.of_report(report)))


def _log(line: str) -> None:
    if sys.stderr is not None:
        sys.stderr.write(line + "\n")


def _log_formatter(options: RunOptions) -> log.LogFormatter | None:
    if options.log_format is LogFormat.TEXT:
        return log.as_text
    unattended = options.quiet_when_idle and not (sys.stderr is not None and sys.stderr.isatty())
    return log.as_json if unattended or options.log_format is LogFormat.JSON else None


def dry_run(cloud: Cloud, options: RunOptions, stop: StopFlag) -> Report:
    """Return the report of a dry run: the steps that `run` would take now."""
    return _rotate(cloud, options, stop, dry=True)


def run(cloud: Cloud, session: Session, options: RunOptions, stop: StopFlag) -> Report | None:
    """Rotate while this machine is locked, and report the run; return None if another run has the lock.

    The order: check the metrics file, take the lock, tell the dead man's switch of the start, wait for the jitter, rotate, end the log,
    tell the switch of the end, write the metrics.
    """
    if options.metrics_file and options.metrics_file != str(STDOUT):
        outfile.check(options.metrics_file)
    began = time.monotonic()
    with machine_lock(cloud, fail_if_locked=options.fail_if_locked) as free:
        if not free:
            session.say(f"skipped: another rotate for {cloud.project} is running on this machine")
            return None
        listener = RunListener(cloud, session, _log_formatter(options))
        ping = Ping(options.ping_url, _ping_run_id(cloud.project), session.say) if options.ping_url else None
        if ping:
            ping.start()
        try:
            wait_for_jitter(cloud, options, stop, session.say)
            report = _rotate(cloud, options, stop, listener=listener)
        except CredsError as error:
            if ping:
                ping.end(int(error.exit_code), type(error).__name__)
            raise
        report = replace(report, journal_error=listener.journal_error)
        listener.end(report, quiet=options.quiet_when_idle)
        if ping:
            ping.end(
                int(stop.code or report.code), "\n".join(f"{o.credential}: {o.ending.value}" for o in report.outcomes)
            )
        if options.metrics_file:
            _write_metrics(cloud, options, time.monotonic() - began, success=not report.code)
    return report


def wait_for_jitter(cloud: Cloud, options: RunOptions, stop: StopFlag, say: Callable[[str], None]) -> None:
    """Delay a run that has work, so that many machines do not call at once; the delay of one machine is always the same.

    A run without work, and one that a person started at a terminal, does not wait.
    """
    if not options.jitter or (sys.stdin is not None and sys.stdin.isatty()) or not _is_work_due(cloud, options, stop):
        return
    digest = hashlib.sha256(f"{socket.gethostname()}/{cloud.project}".encode()).digest()
    seconds = int.from_bytes(digest[:4], "big") / 2**32 * options.jitter.total_seconds()
    say(f"waiting {seconds:.0f} s before rotating (--jitter)")
    stop.sleep(seconds)


def _is_work_due(cloud: Cloud, options: RunOptions, stop: StopFlag) -> bool:
    """Return whether a run would take a step now; a dry run tells."""
    return any(outcome.ending is Ending.PLANNED for outcome in dry_run(cloud, options, stop).outcomes)


def _rotate(
    cloud: Cloud,
    options: RunOptions,
    stop: StopFlag,
    *,
    dry: bool = False,
    listener: Callable[[Event], None] = lambda _event: None,
) -> Report:
    return rotate_credentials(
        cloud,
        options.names,
        options.request,
        from_labels=options.from_labels,
        take_over=options.take_over,
        jobs=options.jobs,
        dry=dry,
        stopping=stop,
        tell=listener,
    )


def _write_metrics(cloud: Cloud, options: RunOptions, seconds: float, *, success: bool) -> None:
    found = survey_credentials(cloud, from_labels=options.from_labels)
    text = metrics.metrics(found, ended=found.at, seconds=seconds, success=success)
    if options.metrics_file == str(STDOUT):
        write_stdout(text)
    else:
        outfile.write(options.metrics_file, text, mode=METRICS_MODE)


def _ping_run_id(text: str) -> str:
    """A name for the run of a dead man's switch: it pairs a start with its end."""
    digest = hashlib.sha256(f"{text}{time.time_ns()}".encode()).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-4{digest[13:16]}-8{digest[17:20]}-{digest[20:32]}"
