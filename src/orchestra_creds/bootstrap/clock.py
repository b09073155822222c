"""The real clock; everything below is handed the time."""

from datetime import UTC, datetime


def utc_now() -> datetime:
    """The real clock; everything below is handed the time."""
    return datetime.now(UTC)
