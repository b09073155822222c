"""What tells a credential from a stand-in: placeholders, documentation examples, plain words, entropy.

Nothing here knows a format. A value that a person wrote to be replaced, or that every reader of a manual has copied, is
not a leak; these functions say so from the bytes alone. Documented examples are known by a hash, never by their text.
"""

import hashlib

from orchestra_creds.scanner.libraries import LazyRegex

_WORDS = (
    r"example|placehold|change.?(?:me|this|it)\b|replace.?(?:me|this|with)|your[-_. ]|your(?:api|key|pass|secret|token|user|own)"
    r"|insert.?(?:your|here)|dummy|redacted|censored|sanitized|removed|masked|not.?a.?real|notreal|sample|foo.?bar"
    r"|lorem|xxxxx|\*\*\*|\.\.\.|____|----|[-_]here\b|<[a-z][^>]{0,80}>|deadbeef|0000000|1234567|abcdef[0g]|qwerty"
    r"|(?:^|[^a-z])(?:fake|todo|fixme|xxxx|mock|foo|bogus)(?:$|[^a-z])"
)
_LONGEST_RUN = 5  # of one byte in a value that nobody wrote to be replaced
_TEMPLATE = r"\$\{|\{\{|\$\(|<%|%>|\}\}|%\(|\{[a-z_][\w.]{0,60}\}|^\$[a-z_]|(?-i:\$[A-Z_]{3,}|%[A-Z_]{3,}%|__[A-Z]+__)"
_ASCENDING = "|".join(
    row[at : at + 8] for row in ("0123456789", "abcdefghijklmnopqrstuvwxyz") for at in range(len(row) - 7)
)
_template = LazyRegex(rf"(?i){_TEMPLATE}")
_ascending = LazyRegex(rf"(?i){_ASCENDING}")
_stand_in = LazyRegex(rf"(?i:{_WORDS}|{_ASCENDING})")

DOCUMENTED = frozenset(
    {
        "f0386f9be1fe905f",  # Google Cloud CLI's own OAuth client
        "456a51b1f1b3cf3e",  # the same, application-default login
        "f5e95c9954635b65",  # reCAPTCHA's test key
        "ac9265e56c79b234",  # API key in Google's documentation
        # API keys in the tests of Google's public Firebase SDK for Android
        "0b476bdf9acf2123",
        "2037abcaffb2b777",
        "27a9a42931dff7eb",
        "37f8f09bdf12c2f2",
        "3a8b61d0f636b007",
        "3f370c9dd8225c63",
        "49f777db995e8260",
        "4c98242dcadc8b29",
        "8731261cb72d8626",
        "a19f89ab3555eac1",
        "a6c814bc555ae62c",
        "dc0fcf046c61640c",
        "e4a5542bb7fd7b67",
        "ea9bb1082cf95663",
        "eb540d2b6ee2a0a4",
        # RFC 6749 and RFC 6750
        "6c96130f130ab0d6",
        "00cf4c781dc37003",
        "53f5da0aaa93d64c",
        "2c31d647d5667058",
        "b8e148545b13c78b",
        "e9974c507d2a8021",
        # RFC 5849
        "4c20e6f5cc11b937",
        "6aa14267d94944e6",
        "bb9b1163338b2a51",
        "649e1f5c769e718b",
        "cb87c87e4a138d9a",
        "293257ab6495ebb1",
        # RFC 7515, RFC 7638
        "2e86e11dcad05c24",
        "8b1b17a9740c068a",
        # Google's documentation of OAuth
        "70fcf9811c512685",
        # account keys of Azure's emulators
        "0011cc25eb432071",
        "b46230c45f6a9608",
        # MinIO's public server for trials
        "df452eef23e8cf2c",
    }
)
"""First 16 hex digits of the SHA-256 of credentials that manuals print and clients ship publicly."""


def is_documented(value: bytes) -> bool:
    """Whether the value is one that a manual prints or a public client ships."""
    return hashlib.sha256(value).hexdigest()[:16] in DOCUMENTED


def is_template(value: bytes) -> bool:
    """Whether something else is to be filled in: `${NAME}`, `{{ name }}`, `%(name)s`, `$NAME`."""
    return _template.is_in(value)


def is_ascending(value: bytes) -> bool:
    """Whether the value holds a stretch of eight characters in keyboard-free order: `01234567`, `abcdefgh`."""
    return _ascending.is_in(value)


def has_run(value: bytes, length: int) -> bool:
    """Whether a byte stands there `length` times in a row."""
    return any(bytes((byte,)) * length in value for byte in set(value))


def is_stand_in(value: bytes) -> bool:
    """Whether the value was written to be replaced, or is a documented example; a template is not looked for."""
    return has_run(value, _LONGEST_RUN + 1) or _stand_in.is_in(value) or is_documented(value)


def is_placeholder(value: bytes) -> bool:
    """Whether the value was written to be replaced, or is a documented example."""
    return is_stand_in(value) or is_template(value)
