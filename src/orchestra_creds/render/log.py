"""Lines for machines: one JSON object each, with the fields that Cloud Logging understands.

Field names are those of cloud.google.com/logging/docs/structured-logging. An id of a key is told, a material never is.
"""

import json
from datetime import datetime

from orchestra_creds.render.times import time_text
from orchestra_creds.rotation.outcome import QUIET, Event, Outcome, Report, StepStatus

PRODUCER = "orchestra-creds/rotate"
_SEVERITY = {StepStatus.DONE: "INFO", StepStatus.SKIPPED: "INFO", StepStatus.FAILED: "ERROR"}


def event_line(event: Event) -> str:
    """A step."""
    note = f" ({event.note})" if event.note else ""
    message = f"{event.credential}: {event.step.kind} {event.step.resource}: {event.stage}{note}"
    labels = {"credential": event.credential, "step": str(event.step.kind), "generation": str(event.generation)}
    return _line(_SEVERITY[event.stage], message, event.at, event.run, labels)


def outcome_line(outcome: Outcome, at: datetime, run: str) -> str:
    """What became of a credential that somebody has to look at."""
    severity = "NOTICE" if outcome.ending in QUIET else "ERROR"
    labels = {"credential": outcome.credential, "outcome": outcome.ending.value}
    return _line(severity, f"{outcome.credential}: {outcome.ending.value}: {outcome.message}", at, run, labels)


def summary_line(report: Report) -> str:
    """The whole run, last."""
    counts: dict[str, int] = {}
    for outcome in report.outcomes:
        counts[outcome.ending.value] = counts.get(outcome.ending.value, 0) + 1
    told = ", ".join(f"{count} {ending}" for ending, count in sorted(counts.items()))
    severity = "NOTICE" if report.code == 0 else "ERROR"
    return _line(severity, f"rotate: {told}", report.ended, report.run, {"exit_code": str(int(report.code))}, last=True)


def _line(severity: str, message: str, at: datetime, run: str, labels: dict[str, str], *, last: bool = False) -> str:
    body = {
        "severity": severity,
        "message": message,
        "time": time_text(at),
        "logging.googleapis.com/labels": labels,
        "logging.googleapis.com/operation": {"id": run, "producer": PRODUCER, **({"last": True} if last else {})},
    }
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False)
