"""Checks of passwords that are arguments: of a command, of a call, of a statement of SQL, of a data source, of a default.

Nothing is bound to a name here, or the name stands apart from the value: the program, the function or the statement says what the
argument is.
"""

import re

from orchestra_creds.scanner.checks.judge import LONGEST_PASSWORD, classes, is_password, is_reference, is_secret
from orchestra_creds.scanner.checks.names import NameClass, classify_name
from orchestra_creds.scanner.checks.verdict import Check, CheckVerdict, Subject
from orchestra_creds.scanner.libraries import LazyRegex
from orchestra_creds.scanner.rule import Confidence

DEFAULT_BACK = 320
"""Bytes before a default in which the name that it belongs to is looked for."""

_WORD = re.compile(rb"[^\s\"'`<>|]*")
_CHPASSWD = LazyRegex(r"\|[ \t]*(?:sudo[ \t]+)?[\w/]*chpasswd\b|\bpasswd[ \t]+--stdin")
_DECLARED = LazyRegex(
    r"""(?s)^.*(?:variable\s+["']([\w.-]{1,64})["']\s*\{|["'](?:--?)?([\w.-]{1,64})["']\s*[,:]\s*[{(]?|(?:^|[\n(,{])\s*([\w.-]{1,64})\s*(?::\s*[\w.\[\]| ]{1,32})?=\s*[\w.]{1,32}\("""
    r"""|(?:^|\n)[ \t]*([\w.-]{1,64}):[ \t]*\r?\n|(?:^|\n)[ \t]*(?:name|key|id):[ \t]*["']?([\w.-]{1,64})["']?[ \t]*\r?\n)"""
)


def _confirm(
    subject: Subject, value: bytes, confidence: Confidence = Confidence.POSSIBLE, *, back: int, ahead: int
) -> CheckVerdict:
    end = subject.start + len(value)
    low, high = max(subject.lo, subject.start - back), min(subject.hi, end + ahead)
    return CheckVerdict(value, confidence, subject.start, end, low, high)


def command_password(subject: Subject) -> CheckVerdict | None:
    """The value of an option of a program that takes a password there."""
    before = subject.before(1)
    rest = subject.read(subject.start, subject.start + LONGEST_PASSWORD + 1)
    if before and before in b"\"'":
        value = rest.partition(before)[0] if before in rest else b""
    else:
        found = _WORD.match(rest)
        value = found[0].rstrip(b"\\,;)") if found else b""
    head = subject.before(64)
    head = head[head.rfind(b"\n") + 1 :]
    if (
        b"echo" in head
        and head.endswith((b":", b":'", b':"'))
        and not _CHPASSWD.is_in(subject.read(subject.start + len(value), subject.start + len(value) + 64))
    ):
        return None
    if b"sqlplus" in head or b"sqlldr" in head or re.search(rb"\b(?:expdp|impdp|rman)\s", head):
        value, at, _ = value.partition(b"@")
        if not at:
            return None
    if (
        b"\n" in value
        or is_reference(value, quoted=False)
        or classes(value) < 2
        or not is_password(value, quoted=True, least=5)
    ):
        return None
    return _confirm(subject, value, back=64, ahead=LONGEST_PASSWORD + 64)


def quoted_password(subject: Subject) -> CheckVerdict | None:
    """A text in quotes of its own at a place where a password is expected."""
    quote = subject.before(1)
    rest = subject.read(subject.start, subject.start + LONGEST_PASSWORD + 1)
    if not quote or quote not in b"\"'`" or quote not in rest:
        return None
    value = rest.partition(quote)[0]
    if b"\n" in value or not is_password(value, quoted=True):
        return None
    return _confirm(subject, value, back=1, ahead=1)


def quoted_secret(subject: Subject) -> CheckVerdict | None:
    """A key, a token or a signature whose name and quotes the rule has read."""
    good = is_secret(subject.material, NameClass.STRONG_SECRET, quoted=True)
    return _confirm(subject, subject.material, back=1, ahead=1) if good else None


def data_source_name(subject: Subject) -> CheckVerdict | None:
    """The password of `user:password@tcp(host)/name`."""
    if is_reference(subject.material, quoted=False) or not is_password(subject.material, quoted=True, least=6):
        return None
    return _confirm(subject, subject.material, Confidence.LIKELY, back=0, ahead=8)


def default_value(subject: Subject) -> CheckVerdict | None:
    """The default of a variable, a parameter, an option or a field whose name says that it is secret."""
    ahead = subject.before(DEFAULT_BACK)
    quote = ahead[-1:]
    rest = subject.read(subject.start, subject.start + LONGEST_PASSWORD + 1)
    if quote and quote in b"\"'`":
        value = rest.partition(quote)[0] if quote in rest else b""
    else:
        found = _WORD.match(rest)
        value = found[0].rstrip(b",;)}]") if found else b""
        quote = b""
    if len(value) < 8 or b"\n" in value:
        return None
    statement = re.split(rb"\n\s*\n|\}|;|\)[ \t]*\r?\n", ahead)[-1]
    spans = _DECLARED.search(statement)
    name = next((statement[slice(*span)] for span in spans[1:] if span[0] >= 0), b"") if spans else b""
    kind = classify_name(name)
    if kind is NameClass.PASSWORD:
        good = is_password(value, quoted=bool(quote))
    else:
        good = kind is not NameClass.OTHER and is_secret(value, kind, quoted=bool(quote))
    return _confirm(subject, value, back=DEFAULT_BACK, ahead=1) if good else None


CHECKS: dict[str, Check] = {
    "command-password": command_password,
    "quoted-password": quoted_password,
    "quoted-secret": quoted_secret,
    "data-source-name": data_source_name,
    "default-value": default_value,
}
