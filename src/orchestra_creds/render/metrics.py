"""How credentials stand, for a monitoring system: the Prometheus text format, as node_exporter's textfile collector reads it."""

from datetime import datetime

from orchestra_creds.rotation.status import Survey


def metrics(found: Survey, *, ended: datetime, seconds: float, success: bool) -> str:
    """Gauges with the names of docs/cron.md; a label holds the name of a credential or a phase, nothing else."""
    prefix = "orchestra_creds"
    lines: list[str] = []

    def gauge(name: str, text: str, samples: list[tuple[dict[str, str], float]]) -> None:
        lines.extend((f"# HELP {prefix}_{name} {text}", f"# TYPE {prefix}_{name} gauge"))
        for labels, value in samples:
            told = ",".join(f'{key}="{_escape_label(label)}"' for key, label in labels.items())
            lines.append(f"{prefix}_{name}{{{told}}} {value:.17g}" if told else f"{prefix}_{name} {value:.17g}")

    every = [({"credential": one.name}, one) for one in found.statuses]
    gauge("last_run_timestamp_seconds", "When rotate ran last.", [({}, ended.timestamp())])
    if success:
        gauge("last_success_timestamp_seconds", "When rotate last ended well.", [({}, ended.timestamp())])
    gauge("run_duration_seconds", "How long it took.", [({}, seconds)])
    ages = [(label, one.age.total_seconds()) for label, one in every if one.age is not None]
    gauge("credential_age_seconds", "Age of the current version.", ages)
    dues = [(label, one.due.timestamp()) for label, one in every if one.due is not None]
    gauge("credential_due_timestamp_seconds", "When it is due.", dues)
    ends = [(label, one.ends.timestamp()) for label, one in every if one.ends is not None]
    gauge("credential_expires_timestamp_seconds", "When the current one or its secret ends by itself.", ends)
    gauge("credential_problems", "Problems that need the operator.", [(la, len(one.problems)) for la, one in every])
    gauge("retiring", "Predecessors on their way out.", [(la, len(one.retiring)) for la, one in every])
    behind = [(la, sum(not holds for holds in (one.destinations or {}).values())) for la, one in every]
    gauge("destinations_pending", "Destinations that lack the current one.", [(la, float(n)) for la, n in behind])
    phases = [({**label, "phase": one.phase}, 1.0) for label, one in every]
    gauge("phase", "How far a rotation has come.", phases)
    return "\n".join(lines) + "\n"


def _escape_label(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
