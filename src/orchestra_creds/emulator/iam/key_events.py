"""How often each key authenticated, counted every ten minutes and kept for six weeks: what Cloud Monitoring tells of keys.

The counts of a key stay when it is deleted, as at Google.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from orchestra_creds.emulator.store.store import Txn

EVENTS = "key_events"
SAMPLED = 600
"""Seconds over which authentications are counted (cloud.google.com/monitoring/api/metrics_gcp_i_o)."""
KEPT = timedelta(weeks=6)
"""cloud.google.com/iam/docs/service-account-monitoring."""


@dataclass(frozen=True, slots=True)
class KeyEvents:
    """The counts of one key: the end of each sample (Unix seconds) and how often it authenticated, oldest first."""

    unique_id: str
    key_id: str
    counts: tuple[tuple[int, int], ...]


def note(txn: Txn, account: Any, key_id: str) -> None:
    """Count an authentication that happens now."""
    name, now = f"{account.unique_id}/{key_id}", txn.now.timestamp()
    sample = (int(now) // SAMPLED + 1) * SAMPLED
    body = txn.get(EVENTS, name)
    counts = dict(json.loads(body)) if body is not None else {}
    counts[sample] = counts.get(sample, 0) + 1
    kept = sorted((end, count) for end, count in counts.items() if end > _oldest(txn))
    txn.put(EVENTS, name, json.dumps(kept).encode(), parent=f"projects/{account.project_id}")


def of_project(txn: Txn, project: str) -> Iterator[KeyEvents]:
    """Yield the counts of every key of a project that ever authenticated, by name."""
    for row in sorted(txn.children(EVENTS, f"projects/{project}"), key=lambda row: row.name):
        unique_id, _, key_id = row.name.partition("/")
        counts = tuple((end, count) for end, count in json.loads(row.body) if end > _oldest(txn))
        yield KeyEvents(unique_id, key_id, counts)


def _oldest(txn: Txn) -> float:
    """Return the end of the oldest sample that is not kept any more, in Unix seconds."""
    return (txn.now - KEPT).timestamp()
