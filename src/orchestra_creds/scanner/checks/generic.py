"""Checks of secrets that only their context gives away: `password = …`, URLs with a password, headers, connection strings.

`binding` says which name a value is bound to and how it is written, `names` what the name says, `judge` whether the value is a secret. All
of them grade as possible unless a second fact agrees.
"""

import base64
import binascii
import re
from collections.abc import Callable
from functools import lru_cache

from orchestra_creds.scanner.checks.binding import AHEAD, BACK, Bound, Syntax, bind, name_around
from orchestra_creds.scanner.checks.judge import (
    KEPT,
    LONGEST_SECRET,
    classes,
    is_bearer,
    is_hexadecimal,
    is_password,
    is_reference,
    is_secret,
    is_wordy,
    residue,
)
from orchestra_creds.scanner.checks.names import NameClass, classify_name
from orchestra_creds.scanner.checks.plausible import is_placeholder
from orchestra_creds.scanner.checks.verdict import Buffer, Check, CheckVerdict, QuickLook, Subject
from orchestra_creds.scanner.libraries import LazyRegex
from orchestra_creds.scanner.rule import Confidence

_DOC_HOST = LazyRegex(
    r"(?i)(?:^|\.)(?:example|invalid|test|localdomain)$|(?:^|\.)example\.\w{2,3}$|^(?:my|your|some)?[-_.]?(?:host(?:name)?|server|domain|site|ip|addr(?:ess)?|proxy|registry|url)\d?(?:$|\.)|^(?:www\.)?(?:foo|bar|domain|somewhere|mysite|yourdomain|mydomain|website)\.\w{2,3}$"
)
_LOCAL_HOST = LazyRegex(
    r"(?i)^(?:localhost|127\.[\d.]+|0\.0\.0\.0|10\.[\d.]+|192\.168\.[\d.]+|172\.(?:1[6-9]|2\d|3[01])\.[\d.]+|169\.254\.[\d.]+|\[[0-9a-fA-F:]*\]|[\w-]+"
    r"|[\w.-]+\.(?:local|localhost|lan|internal|svc|cluster|docker|home|corp|intranet)(?:\..*)?)$"
)
_URL_USER = LazyRegex(r"/([^/:@\s\v]{0,64}):$")
_LONGEST_USER = 70  # bytes before a password in a URL
_DSN = LazyRegex(
    r"(?i)\b(?:server|data source|host|hostname|addr|address|uid|user(?:[ _]?(?:id|name))?|initial catalog|database|dbname|driver|endpoint|port)[\s\v]?=|://[\w.-]+(?::\d+)?/"
)
_LOGIN = LazyRegex(r"""(["']?)([^\s\v:"'<>]{0,64})(["']?):(["']?)$""")
_LONGEST_LOGIN = 69
_OWN_HASH = re.compile(rb'[0-9a-f]{32}",\s{1,8}"(?:rule|mask)": "')
"""What follows `"credential": "` in our own baseline and JSON report: a keyed hash."""

_LOOK_BACK = 160
_LEAST_TEXT = 8
_LONGEST_BEARER = 4096
_SETTER = LazyRegex(
    r"(?i)^-{0,2}(?:set|with|use|put)?_?(?:[a-z]{0,12}_?)(?:password|passwd|passphrase|pwd|pass|pw|secret|token|key|credentials?)$"
)
_HASHES = LazyRegex(r"(?i)\b(?:checksums?|hashes|digests|sha(?:1|256|512)?|integrity)\b[^\n]{0,20}:[ \t]*\r?\n")


def _calls_for_password(name: bytes) -> bool:
    return classify_name(name) is NameClass.PASSWORD


def _calls_for_secret(name: bytes) -> bool:
    return classify_name(name) not in {NameClass.OTHER, NameClass.PASSWORD}


def _assignment(is_wanted: Callable[[bytes], bool]) -> Check:
    """A check of a value whose name is wanted."""

    def check(subject: Subject) -> CheckVerdict | None:
        bound = bind(subject, is_wanted)
        if bound is None or not is_wanted(bound.name):
            return None
        kind = classify_name(bound.name)
        if not is_bound_secret(bound, kind) or _is_table_of_hashes(subject, bound) or _is_noise(subject, bound):
            return None
        start, end = subject.start + bound.start, subject.start + bound.end
        if bound.name == b"credential" and _OWN_HASH.match(subject.read(start, start + 64)):
            return None
        low, high = max(subject.lo, subject.start - BACK), min(subject.hi, subject.start + AHEAD)
        return CheckVerdict(bound.value, Confidence.POSSIBLE, start, end, low, high)

    return check


def _name_look(is_wanted: Callable[[bytes], bool]) -> QuickLook:
    """The quick look of `_assignment`: what the whole name says, of which the match begins with a word."""

    def look(text: Buffer, start: int) -> bool:
        left, end = name_around(text, start)
        return is_wanted(left + end)

    return look


def is_bound_secret(bound: Bound, kind: NameClass) -> bool:
    """Whether a value whose name is of this class is a secret, as it is written."""
    if bound.sign == b"(" and not _is_setter(bound.name):
        return False
    if (
        bound.sign == b" "
        and bound.syntax is Syntax.STRING
        and kind is not NameClass.PASSWORD
        and not bound.name.strip(b"-:")
    ):
        return False
    if kind is NameClass.PASSWORD:
        return is_password(bound.value, quoted=bound.is_text)
    return is_secret(bound.value, kind, quoted=bound.is_text)


def _is_setter(name: bytes) -> bool:
    """Whether a call of this name takes the value: `setPassword`, `withToken`, `.password`."""
    return _SETTER.is_in(name.rpartition(b".")[2])


def _is_noise(subject: Subject, bound: Bound) -> bool:
    """Whether the two letters `pw` stand among bytes that are no text, as in an image."""
    if subject.material[2:3].isalpha():
        return False
    around = subject.before(_LEAST_TEXT).rpartition(b"\n")[2] + bound.name + b" " + bound.value
    return (
        any(byte < 9 or 13 < byte < 32 for byte in around)
        or b"\xef\xbf\xbd" in around.decode(errors="replace").encode()
    )


def _is_table_of_hashes(subject: Subject, bound: Bound) -> bool:
    """Whether the value is one of many hashes, as in a lock file: the name is that of a package there."""
    if bound.syntax is not Syntax.LINE or not is_hexadecimal(bound.value):
        return False
    ahead = subject.before(BACK)
    if _HASHES.is_in(ahead):
        return True
    behind = subject.read(subject.start + bound.end, subject.start + bound.end + 128)
    lines = (ahead.rpartition(b"\n")[0].rpartition(b"\n")[2], behind.partition(b"\n")[2].partition(b"\n")[0])
    for line in lines:
        name, _, value = line.rstrip(b"\r,").partition(b":")
        value = value.strip(b" \t\"'")
        if (
            len(value) == len(bound.value)
            and is_hexadecimal(value)
            and classify_name(name.strip(b" \t\"'")) is NameClass.OTHER
        ):
            return True
    return False


def _url(*, local: bool) -> Check:
    """A check of `scheme://user:password@host`: on a public host, or on one that only its own network reaches."""

    def check(subject: Subject) -> CheckVerdict | None:
        password = subject.material
        host = re.match(rb"@([\w.-]+|\[[0-9a-fA-F:.]+\])", subject.after(256))
        ahead = subject.before(_LONGEST_USER)
        user = _URL_USER.search(ahead)
        if host is None or _DOC_HOST.is_in(host[1]) or _LOCAL_HOST.is_in(host[1]) != local:
            return None
        if not _is_url_password(password, ahead[slice(*user[1])] if user else b""):
            return None
        low, high = max(subject.lo, subject.start - _LONGEST_USER), min(subject.hi, subject.end + 256)
        return CheckVerdict(password, Confidence.LIKELY, subject.start, subject.end, low, high)

    return check


@lru_cache(KEPT)
def _is_url_password(password: bytes, user: bytes) -> bool:
    if (
        is_placeholder(password)
        or re.search(rb"[${}()*<>|,\\]|%[sdvr](?:$|[^0-9a-fA-F])|^[%:#]", password)
        or password == user
    ):
        return False
    if password.isdigit() and len(password) < 8:
        return False
    return (
        residue(password) >= 3
        and not is_wordy(password)
        and not (
            password.isalpha()
            and (password.islower() or password.isupper() or password.istitle())
            and len(password) < 14
        )
    )


def basic_header(subject: Subject) -> CheckVerdict | None:
    """`Basic` and base64 of a name and a password: decoded, and refused when the password is a stand-in."""
    rest = re.match(rb"[A-Za-z0-9+/]*={0,2}", subject.read(subject.start, subject.start + 512))
    text = rest[0] if rest else b""
    user, found, password = _decode_basic(text).partition(b":")
    if (
        not found
        or not user
        or not _is_url_password(password, user)
        or not (classes(password) > 1 or len(password) > 15)
    ):
        return None
    end = subject.start + len(text)
    return CheckVerdict(
        password, Confidence.LIKELY, subject.start, end, subject.start, min(subject.hi, end + 1), decoded=("base64",)
    )


def _decode_basic(text: bytes) -> bytes:
    try:
        plain = base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        return b""
    plain = plain.rstrip(b"\r\n")  # `echo` adds a line break
    return plain if plain.isascii() and all(byte >= 32 for byte in plain) else b""


def bearer(subject: Subject) -> CheckVerdict | None:
    """What follows `Bearer`, when it is drawn by chance or encrypted."""
    rest = re.match(rb"[A-Za-z0-9._~+/=-]*", subject.read(subject.start, subject.start + _LONGEST_BEARER))
    token = rest[0] if rest else b""
    if not is_bearer(token):
        return None
    end = subject.start + len(token)
    return CheckVerdict(token, Confidence.POSSIBLE, subject.start, end, subject.start, min(subject.hi, end + 1))


def registry_auth(subject: Subject) -> CheckVerdict | None:
    """The `auth` of a container registry: base64 of a name and a password, inside `auths`."""
    if b"auths" not in subject.before(1024):
        return None
    verdict = basic_header(subject)
    if verdict is None:
        return None
    low = max(subject.lo, subject.start - 1024)
    return CheckVerdict(
        verdict.material, verdict.confidence, verdict.start, verdict.end, low, verdict.read_to, verdict.decoded
    )


def user_and_password(subject: Subject) -> CheckVerdict | None:
    """Return the password of `user:password` on a command line."""
    ahead = subject.before(_LOOK_BACK)
    near = ahead[-_LONGEST_LOGIN:]
    login = _LOGIN.search(near)
    rest = re.match(rb"[^\s\"'`|;<>]*", subject.read(subject.start, subject.start + LONGEST_SECRET))
    if login is None or rest is None:
        return None
    opened, user, closed, opened_again = (near[slice(*span)] for span in login[1:])
    quoted = opened_again or (opened and not closed)
    password = (rest[0] if quoted else rest[0].partition(b")")[0]).rstrip(b"\\")
    if password.startswith(b"//") or not _is_url_password(password, user) or classes(password) < 2:
        return None
    end = subject.start + len(password)
    low, high = subject.start - len(ahead), min(subject.hi, subject.start + len(rest[0]) + 1)
    return CheckVerdict(password, Confidence.POSSIBLE, subject.start, end, low, high)


def field_password(subject: Subject) -> CheckVerdict | None:
    """A password in a field of its own (netrc, pgpass, a command line's option)."""
    rest = re.match(rb"[^\s\"'`<>|]*", subject.read(subject.start, subject.start + LONGEST_SECRET))
    password = rest[0] if rest else b""
    if (
        len(password) < 5
        or is_reference(password, quoted=False)
        or not _is_url_password(password, b"")
        or classes(password) < 2
    ):
        return None
    end = subject.start + len(password)
    return CheckVerdict(password, Confidence.LIKELY, subject.start, end, subject.start, min(subject.hi, end + 1))


def connection_string(subject: Subject) -> CheckVerdict | None:
    """`Password=…` beside a server or a user, in one connection string or in the query of one URL."""
    rest = re.match(rb"[^\s;&\\\"'`<>]*", subject.read(subject.start, subject.start + LONGEST_SECRET))
    password = rest[0] if rest else b""
    ahead, behind = (
        subject.before(256),
        subject.read(subject.start + len(password), subject.start + len(password) + 256),
    )
    around = ahead[ahead.rfind(b"\n") + 1 :] + b"\0" + behind.partition(b"\n")[0]
    if len(password) < 5 or not _DSN.is_in(around) or not _is_url_password(password, b"") or classes(password) < 2:
        return None
    if is_reference(password, quoted=False):
        return None
    end = subject.start + len(password)
    low, high = subject.start - len(ahead), end + len(behind)
    return CheckVerdict(password, Confidence.LIKELY, subject.start, end, low, high)


CHECKS: dict[str, Check] = {
    "assigned-password": _assignment(_calls_for_password),
    "assigned-secret": _assignment(_calls_for_secret),
    "url-password": _url(local=False),
    "url-password-local": _url(local=True),
    "basic-header": basic_header,
    "bearer": bearer,
    "registry-auth": registry_auth,
    "user-and-password": user_and_password,
    "field-password": field_password,
    "connection-string": connection_string,
}

QUICK_LOOKS: dict[str, QuickLook] = {
    "assigned-password": _name_look(_calls_for_password),
    "assigned-secret": _name_look(_calls_for_secret),
}
