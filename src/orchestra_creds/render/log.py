"""The log of a rotation, line by line: as text, or as JSON objects with the fields that Cloud Logging understands.

Field names are those of cloud.google.com/logging/docs/structured-logging. An id of a key is told, a material never is.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from orchestra_creds.core.text import visible
from orchestra_creds.render.times import time_text
from orchestra_creds.rotation.outcome import QUIET, Event, Outcome, Report, StepStatus

PRODUCER = "orchestra-creds/rotate"
_SEVERITY = {StepStatus.DONE: "INFO", StepStatus.SKIPPED: "INFO", StepStatus.FAILED: "ERROR"}


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One line of the log; `last` closes the operation of a run."""

    severity: str
    message: str
    at: datetime
    run: str
    labels: dict[str, str]
    last: bool = False


LogFormatter = Callable[[LogEntry], str]


def of_event(event: Event) -> LogEntry:
    """A step."""
    note = f" ({event.note})" if event.note else ""
    message = f"{event.credential}: {event.step.kind} {event.step.resource}: {event.stage}{note}"
    labels = {"credential": event.credential, "step": str(event.step.kind), "generation": str(event.generation)}
    return LogEntry(_SEVERITY[event.stage], message, event.at, event.run, labels)


def of_outcome(outcome: Outcome, at: datetime, run: str) -> LogEntry:
    """What became of a credential that somebody has to look at."""
    severity = "NOTICE" if outcome.ending in QUIET else "ERROR"
    labels = {"credential": outcome.credential, "outcome": outcome.ending.value}
    hint = f"; hint: {outcome.hint}" if outcome.hint else ""
    message = f"{outcome.credential}: {outcome.ending.value}: {outcome.message}{hint}"
    return LogEntry(severity, message, at, run, labels)


def of_report(report: Report) -> LogEntry:
    """The whole run, last."""
    counts: dict[str, int] = {}
    for outcome in report.outcomes:
        counts[outcome.ending.value] = counts.get(outcome.ending.value, 0) + 1
    told = ", ".join(f"{count} {ending}" for ending, count in sorted(counts.items())) or "no credential"
    severity = "NOTICE" if report.code == 0 else "ERROR"
    labels = {"exit_code": str(int(report.code))}
    if report.listing_error:
        told += f"; not every secret was seen: {report.listing_error}"
    if report.journal_error:
        told += f"; the journal cannot be written: {report.journal_error}"
    return LogEntry(severity, f"rotate: {told}", report.ended, report.run, labels, last=True)


def as_json(entry: LogEntry) -> str:
    """The entry as a JSON object on one line."""
    body = {
        "severity": entry.severity,
        "message": entry.message,
        "time": time_text(entry.at),
        "logging.googleapis.com/labels": entry.labels,
        "logging.googleapis.com/operation": {
            "id": entry.run,
            "producer": PRODUCER,
            **({"last": True} if entry.last else {}),
        },
    }
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False)


def as_text(entry: LogEntry) -> str:
    """The entry as text on one line, whatever the message holds."""
    return f"{time_text(entry.at)} {entry.severity} {visible(entry.message)}"
