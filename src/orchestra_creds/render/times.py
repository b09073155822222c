"""Times as every document writes them."""

from datetime import UTC, datetime


def time_text(moment: datetime | None) -> str:
    """`2026-11-23T14:46:19Z`, or nothing."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if moment else ""
