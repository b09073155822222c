"""What Secret Manager accepts in a secret: names, labels, annotations, aliases, topics, rotation, expiry.

Every function raises INVALID_ARGUMENT naming the field, or returns. Limits are those of the API's reference; the
range of a version's destroy delay (24 h to 1000 days) is documented outside of it.
"""

import re
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from orchestra_creds.emulator.protocol.errors import invalid_error

_SECRET_ID = re.compile(r"[A-Za-z0-9_-]{1,255}")
_ANNOTATION_KEY = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
_ALIAS = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,62}")
_TOPIC = re.compile(r"projects/[^/]+/topics/[A-Za-z][A-Za-z0-9._~%+-]{2,254}")
_KMS_KEY = re.compile(r"projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+")
_RESERVED_ALIASES = frozenset({"latest", "NEW"})

_MOST_LABELS = 64
_MOST_TOPICS = 10
_MOST_ALIASES = 50
_LONGEST_LABEL = 63
_LONGEST_LABEL_BYTES = 128
_ANNOTATION_BYTES = 16 * 1024
_CENTURY = timedelta(seconds=3_153_600_000)
_SOONEST_ROTATION = timedelta(seconds=300)
_SHORTEST_PERIOD = timedelta(hours=1)
_SHORTEST_DESTROY_DELAY = timedelta(hours=24)
_LONGEST_DESTROY_DELAY = timedelta(days=1000)


def check_id(secret_id: str) -> None:
    """1 to 255 of `A-Z a-z 0-9 _ -`."""
    if not _SECRET_ID.fullmatch(secret_id):
        raise invalid_error(
            "Secret ID must be 1 to 255 characters: letters, numerals, hyphens and underscores.", field="secret_id"
        )


def check_secret(secret: Any, now: datetime, *, changed: frozenset[str]) -> None:
    """The whole secret; time limits only for the fields in `changed`, which were valid when they were set."""
    check_labels(secret.labels)
    check_annotations(secret.annotations)
    check_aliases(secret.version_aliases)
    _check_topics([topic.name for topic in secret.topics])
    _check_rotation(secret, now if "rotation" in changed else None)
    if "expiration" in changed and secret.HasField("expire_time"):
        _check_ahead(secret.expire_time.ToDatetime(tzinfo=UTC), now, timedelta(0), "expire_time")
    if secret.HasField("version_destroy_ttl"):
        delay = secret.version_destroy_ttl.ToTimedelta()
        if not _SHORTEST_DESTROY_DELAY <= delay <= _LONGEST_DESTROY_DELAY:
            raise invalid_error(
                "version_destroy_ttl must be between 24 hours and 1000 days.", field="version_destroy_ttl"
            )


def check_labels(labels: Mapping[str, str]) -> None:
    """At most 64; lower-case letters, digits, `_`, `-` of any script; keys start with a letter."""
    if len(labels) > _MOST_LABELS:
        raise invalid_error(f"No more than {_MOST_LABELS} labels can be assigned to a secret.", field="labels")
    for key, value in labels.items():
        if not key or not _is_letter(key[0]) or not _is_label(key):
            raise invalid_error(
                "A label key is not valid: 1 to 63 lower-case letters, digits, '_', '-'.", field="labels"
            )
        if not _is_label(value):
            raise invalid_error(
                "A label value is not valid: up to 63 lower-case letters, digits, '_', '-'.", field="labels"
            )


def check_annotations(annotations: Mapping[str, str]) -> None:
    """Keys of 1 to 63 characters with alphanumeric ends; all keys and values together under 16 KiB."""
    for key in annotations:
        if not _ANNOTATION_KEY.fullmatch(key):
            raise invalid_error("An annotation key is not valid.", field="annotations")
    size = sum(len(key.encode()) + len(value.encode()) for key, value in annotations.items())
    if size >= _ANNOTATION_BYTES:
        raise invalid_error(
            "The total size of annotation keys and values must be less than 16KiB.", field="annotations"
        )


def check_aliases(aliases: Mapping[str, int]) -> None:
    """At most 50; a letter first, at most 63 of `A-Z a-z 0-9 _ -`; not `latest`, not `NEW`."""
    if len(aliases) > _MOST_ALIASES:
        raise invalid_error(
            f"No more than {_MOST_ALIASES} aliases can be assigned to a secret.", field="version_aliases"
        )
    for alias in aliases:
        if not _ALIAS.fullmatch(alias) or alias in _RESERVED_ALIASES:
            raise invalid_error(f"The version alias {alias[:64]!r} is not valid.", field="version_aliases")


def check_encryption(encryption: Any) -> None:
    """A customer-managed key by its full name; the embedded cloud keeps the name and encrypts with its own key."""
    if not _KMS_KEY.fullmatch(encryption.kms_key_name):
        raise invalid_error(
            "kms_key_name must be projects/*/locations/*/keyRings/*/cryptoKeys/*.", field="kms_key_name"
        )


def _is_letter(character: str) -> bool:
    return unicodedata.category(character) in {"Ll", "Lo"}


def _is_label(text: str) -> bool:
    return (
        len(text) <= _LONGEST_LABEL
        and len(text.encode()) <= _LONGEST_LABEL_BYTES
        and all(c in "_-" or _is_letter(c) or unicodedata.category(c).startswith("N") for c in text)
    )


def _check_topics(topics: list[str]) -> None:
    if len(topics) > _MOST_TOPICS:
        raise invalid_error(f"No more than {_MOST_TOPICS} topics can be assigned to a secret.", field="topics")
    if len(set(topics)) != len(topics):
        raise invalid_error("A topic is given twice.", field="topics")
    if not all(_TOPIC.fullmatch(topic) for topic in topics):
        raise invalid_error("A topic name is not valid: projects/*/topics/*.", field="topics")


def _check_rotation(secret: Any, now: datetime | None) -> None:
    """Needs topics; a period needs a next time. `now` is None when the rotation is not what is being changed."""
    if not secret.HasField("rotation"):
        return
    rotation = secret.rotation
    has_next = rotation.HasField("next_rotation_time")
    if not secret.topics:
        raise invalid_error("Topics must be set to configure rotation.", field="topics")
    if not has_next:
        raise invalid_error("next_rotation_time must be set for a rotation.", field="rotation.next_rotation_time")
    if rotation.HasField("rotation_period"):
        period = rotation.rotation_period.ToTimedelta()
        if not _SHORTEST_PERIOD <= period <= _CENTURY:
            raise invalid_error(
                "rotation_period must be between 1 hour and 100 years.", field="rotation.rotation_period"
            )
    if now is not None:
        _check_ahead(
            rotation.next_rotation_time.ToDatetime(tzinfo=UTC), now, _SOONEST_ROTATION, "rotation.next_rotation_time"
        )


def _check_ahead(when: datetime, now: datetime, least: timedelta, field: str) -> None:
    if not least <= when - now <= _CENTURY or when == now:
        raise invalid_error(f"{field} must be {least.total_seconds():.0f}s to 100 years in the future.", field=field)
