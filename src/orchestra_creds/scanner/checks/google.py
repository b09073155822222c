"""Checks of Google's credentials: what stands around a key decides whose it is.

A service-account key is found by the armour of its private key, in every escape; the fields around it say the rest. A
file with braces is read from its own opening brace to its closing one; in a file without (YAML, dotenv, HCL) the
neighbourhood is read. Mail and key id are no secrets: they go to the note, for the operator needs them to act.
"""

import base64
import re

from orchestra_creds.scanner.checks import pem
from orchestra_creds.scanner.checks.entropy import entropy
from orchestra_creds.scanner.checks.plausible import is_placeholder
from orchestra_creds.scanner.checks.verdict import LOOK_BACK, Check, CheckVerdict, Subject
from orchestra_creds.scanner.libraries import LazyRegex
from orchestra_creds.scanner.rule import Confidence

_FEWEST_BYTES = 12
"""Different bytes that a text of 3.5 bits of entropy a byte has at least: 2 ** 3.5 is more than 11."""

NEAR = 1536
"""Bytes on either side in which a companion of a credential is looked for when no brace bounds the file."""

CONFIG = 1024
"""Bytes on either side in which the fields of a client's configuration are looked for."""

_QUOTED = rb"""["'\\\s+]{0,12}(?:=>|[:=])["'\\\s+]{0,12}"""
_MAIL = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._-]{0,99}@([A-Za-z0-9.-]{1,99})\.gserviceaccount\.com")
_KEY_ID = re.compile(rb"private_?-?key_?-?id" + _QUOTED + rb"([0-9a-f]{40})\b", re.IGNORECASE)
_PROJECT = re.compile(
    rb"(?:^|[^A-Za-z0-9_])project_?-?id" + _QUOTED + rb"([a-z][a-z0-9.:-]{3,60}[a-z0-9])", re.IGNORECASE
)
_KIND = re.compile(rb"\btype" + _QUOTED + rb"service_account\b")
_ESCAPED_FIELD = re.compile(rb"""\\["'](?:type|private_key|client_email)\\["']""")
_REFRESH = LazyRegex(r"(?i)refresh_?-?token" + _QUOTED.decode().replace(r"\s", r"\s\v") + r"([A-Za-z0-9/_.-]{20,512})")
_CLIENT = LazyRegex(r"[0-9]{4,24}-[a-z0-9_]{20,40}\.apps\.googleusercontent\.com")
_WEB_FIELDS = LazyRegex(
    r"(?i)auth_?domain|messaging_?sender_?id|storage_?bucket|mobilesdk_app_id|measurement_?id|gcm_?sender_?id|firebaseapp\.com"
    r"|google_app_id|firebase_url|firebaseio\.com|BUNDLE_ID|REVERSED_CLIENT_ID"
)
_HMAC_SECRET = re.compile(rb"(?:^|[^A-Za-z0-9+/_-])([A-Za-z0-9+/]{40})(?:$|[^A-Za-z0-9+/=_-])")
_HMAC_SECRET_WRAPPED = re.compile(rb"(?:^|[^A-Za-z0-9+/_-])([A-Za-z0-9+/]{54}==)")
_HMAC_SHAPE = re.compile(rb"[A-Za-z0-9+/]{40}")
_HMAC_ID = re.compile(rb"GOOG(?:1E[0-9A-Z]{55}|[0-9A-Z]{20})")
_HEX = re.compile(rb"[0-9a-fA-F]+")
_LENGTH = re.compile(rb"[\x00-\x08\n\x0e-\x1f\x80-\xff].$", re.DOTALL)
_ESCAPE_END = re.compile(rb"(?:\\+(?:[nrt]|u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2})|%[0-9A-Fa-f]{2})$")


def extent(subject: Subject, end: int) -> tuple[int, int, bool]:
    """The span of the flat object around [subject.start, end), and whether braces bound it; else the neighbourhood."""
    ahead = subject.before(LOOK_BACK)
    behind = subject.read(end, end + LOOK_BACK)
    opening, closed = ahead.rfind(b"{"), ahead.rfind(b"}")
    closing, opened = behind.find(b"}"), behind.find(b"{")
    if opening > closed and closing >= 0 and not 0 <= opened < closing:
        return subject.start - len(ahead) + opening, end + closing + 1, True
    return subject.start - min(len(ahead), NEAR), end + min(len(behind), NEAR), False


def service_account(subject: Subject) -> CheckVerdict | None:
    """A private key with the mail of a service account beside it, or in an object of type `service_account`.

    Proven when the key's numbers fit together and the mail belongs to the project that is named.
    """
    armour = pem.parse_pem(subject)
    proof = pem.prove(armour) if armour is not None else None
    if armour is None or proof is None or armour.locked:
        return None
    start, end, bounded = extent(subject, armour.end)
    around = subject.read(start, end)
    key_at, key_end = subject.start - start, armour.end - start
    mail = _nearest(_MAIL, around, key_at, key_end, walled=not bounded)
    key_id = _nearest(_KEY_ID, around, key_at, key_end, walled=not bounded)
    if mail is None and (key_id is None or not bounded) and not (bounded and _KIND.search(around)):
        return None
    project = _PROJECT.search(around)
    agrees = mail is not None and (project is None or _belongs(mail[1], project[1]))
    confidence = min(proof[0], Confidence.PROVEN if agrees else Confidence.LIKELY)
    spans = [match.span() for match in (mail, key_id) if match is not None]
    written = (
        (start, end)
        if bounded
        else (start + min(key_at, *(at for at, _ in spans)), start + max(key_end, *(to for _, to in spans)))
    )
    return CheckVerdict(
        armour.canonical(),
        confidence,
        *written,
        read_from=min(start, max(subject.lo, subject.start - pem.MARGIN)),
        read_to=end if armour.whole else max(end, min(subject.hi, subject.start + pem.LONGEST)),
        decoded=("json",) if _ESCAPED_FIELD.search(around) else (),
        note=_who(key_id, mail, disagrees=mail is not None and not agrees),
    )


def _nearest(
    pattern: re.Pattern[bytes], around: bytes, start: int, end: int, *, walled: bool
) -> re.Match[bytes] | None:
    """The match nearest to [start, end); with `walled`, none beyond another key's armour."""
    low = around.rfind(b"-----END", 0, start) if walled else -1
    high = around.find(b"-----BEGIN", end) if walled else -1
    found = pattern.finditer(around, max(low, 0), high if high >= 0 else len(around))
    return min(found, key=lambda match: max(start - match.end(), match.start() - end), default=None)


def _belongs(domain: bytes, project: bytes) -> bool:
    """Whether a mail of this domain can be one of the project: `name@project.iam`, `project@appspot`, and `org:name`."""
    if domain in {b"developer", b"appspot", b"cloudservices"}:
        return True
    organisation, _, name = project.rpartition(b":")
    return domain == name + (b"." + organisation if organisation else b"") + b".iam"


def _who(key_id: re.Match[bytes] | None, mail: re.Match[bytes] | None, *, disagrees: bool) -> str:
    parts = [f"key {key_id[1].decode()}"] if key_id else ["key"]
    if mail:
        parts.append(f"of {mail[0].decode()}")
    text = " ".join(parts)
    return f"{text}; the mail names another project" if disagrees else text if len(parts) > 1 or key_id else ""


def clear_before(subject: Subject, length: int = 0) -> bool:
    r"""Whether no letter, digit, `_` or `-` touches the material from the left.

    The end of an escape such as `\n` may, and a byte that is the `length` of what follows, as serialized data writes it (0: that of the
    material).
    """
    before = subject.before(6)
    last = before[-1:]
    if not (last.isalnum() or last in (b"_", b"-")) or _ESCAPE_END.search(before) is not None:
        return True
    return last[0] == (length or len(subject.material)) and _LENGTH.search(before) is not None


def clear_after(subject: Subject) -> bool:
    """Whether no letter, digit, `_` or `-` touches the material from the right."""
    after = subject.after(1)
    return not (after.isalnum() or after in (b"_", b"-"))


def stands_alone(subject: Subject) -> bool:
    """Whether the material is no part of a longer word."""
    return clear_before(subject) and clear_after(subject)


def _alone(
    subject: Subject, confidence: Confidence, *, back: int = 6, forward: int = 1, note: str = ""
) -> CheckVerdict:
    return CheckVerdict(
        subject.material,
        confidence,
        subject.start,
        subject.end,
        max(subject.lo, subject.start - back),
        min(subject.hi, subject.end + forward),
        note=note,
    )


def api_key(subject: Subject) -> CheckVerdict | None:
    """An API key that no configuration of a web or mobile client holds."""
    return (
        None
        if not _is_api_key(subject) or _in_client(subject)  # what reads little comes first
        else _alone(subject, Confidence.LIKELY, back=CONFIG, forward=CONFIG)
    )


def client_api_key(subject: Subject) -> CheckVerdict | None:
    """An API key in the configuration of a web or mobile client: public by design."""
    if not _is_api_key(subject) or not _in_client(subject):
        return None
    note = "shipped to every client by design; restrict it to its application and its interfaces"
    return _alone(subject, Confidence.POSSIBLE, back=CONFIG, forward=CONFIG, note=note)


def _is_api_key(subject: Subject) -> bool:
    key = subject.material
    return stands_alone(subject) and entropy(key[6:]) >= 3.6 and not is_placeholder(key)


def _in_client(subject: Subject) -> bool:
    return _WEB_FIELDS.is_in(subject.before(CONFIG) + b"\0" + subject.after(CONFIG))


def random_token(subject: Subject) -> CheckVerdict | None:
    """A token of a distinctive format that stands alone and is no placeholder."""
    if not stands_alone(subject) or is_placeholder(subject.material) or entropy(subject.material) < 3.5:
        return None
    return _alone(subject, Confidence.LIKELY)


def longer_token(alphabet: bytes, longest: int, *, shortest: int = 0, note: str = "") -> Check:
    """A check for tokens whose pattern matches only their first bytes: it takes the rest, up to `longest` bytes."""
    rest = re.compile(rb"[" + alphabet + rb"]{0,%d}" % longest)

    def check(subject: Subject) -> CheckVerdict | None:
        tail = rest.match(subject.after(longest))
        whole = subject.material + (tail[0] if tail else b"")
        if (
            not clear_before(subject, len(whole))
            or len(whole) < shortest
            or _repeats_few_bytes(whole)
            or entropy(whole) < 3.5
            or is_placeholder(whole)
        ):
            return None
        end = subject.start + len(whole)
        low, high = max(subject.lo, subject.start - 6), min(subject.hi, end + 1)
        return CheckVerdict(whole, Confidence.LIKELY, subject.start, end, low, high, note=note)

    return check


def _repeats_few_bytes(token: bytes) -> bool:
    """Whether the token has fewer different bytes than a random one; its start tells, and its rest only has to agree."""
    first = set(token[:64])
    return len(first) < _FEWEST_BYTES and len(first.union(token.translate(None, bytes(first)))) < _FEWEST_BYTES


def legacy_client_secret(subject: Subject) -> CheckVerdict | None:
    """24 characters called a client secret, with the id of a Google OAuth client near them."""
    secret = subject.material
    if (
        not stands_alone(subject)
        or is_placeholder(secret)
        or entropy(secret) < 3.2
        or secret.islower()
        or secret.isupper()
    ):
        return None
    if not _CLIENT.is_in(subject.before(NEAR) + b"\0" + subject.after(NEAR)):
        return None
    return _alone(subject, Confidence.LIKELY, back=NEAR, forward=NEAR)


def authorized_user(subject: Subject) -> CheckVerdict | None:
    """The refresh token in an object of type `authorized_user`."""
    start, end, bounded = extent(subject, subject.end)
    around = subject.read(start, end)
    spans = _REFRESH.search(around)
    token = around[slice(*spans[1])] if spans else b""
    if spans is None or is_placeholder(token) or entropy(token) < 3.5 or not re.search(rb"[0-9]", token):
        return None
    written = (
        (start, end) if bounded else (min(subject.start, start + spans[1][0]), max(subject.end, start + spans[1][1]))
    )
    return CheckVerdict(token, Confidence.LIKELY, *written, read_from=start, read_to=end)


def hmac_key(subject: Subject) -> CheckVerdict | None:
    """The 40-character secret next to an HMAC access id; the id alone is no secret, it goes to the note.

    Both may stand in base64 each, as a Kubernetes secret holds them.
    """
    wrapped = subject.material.startswith(b"R09PR")
    access_id = _hmac_id(subject.material) if wrapped else subject.material
    if not access_id or is_placeholder(access_id) or not stands_alone(subject):
        return None
    reach = 400
    ahead, behind = subject.before(reach), subject.after(reach)
    following, preceding = _hmac_secrets(behind, wrapped=wrapped), _hmac_secrets(ahead, wrapped=wrapped)
    if not following and not preceding:
        return None
    secret, start, end = following[0] if following else preceding[-1]
    origin = subject.end if following else subject.start - len(ahead)
    low, high = subject.start - len(ahead), subject.end + len(behind)
    decoded = ("base64",) if wrapped else ()
    note = f"access id {access_id.decode()}"
    return CheckVerdict(secret, Confidence.LIKELY, origin + start, origin + end, low, high, decoded, note)


def _hmac_id(encoded: bytes) -> bytes:
    """The access id that base64 holds, or nothing."""
    plain = base64.b64decode(encoded + b"=" * (-len(encoded) % 4))
    return plain if _HMAC_ID.fullmatch(plain) else b""


def _hmac_secrets(text: bytes, *, wrapped: bool) -> list[tuple[bytes, int, int]]:
    """Every secret of the right shape in the text, with its span; with `wrapped`, those that base64 holds."""
    found = [
        (base64.b64decode(match[1]) if wrapped else match[1], *match.span(1))
        for match in (_HMAC_SECRET_WRAPPED if wrapped else _HMAC_SECRET).finditer(text)
    ]
    return [
        one
        for one in found
        if _HMAC_SHAPE.fullmatch(one[0])
        and not _HEX.fullmatch(one[0])
        and entropy(one[0]) >= 4
        and not is_placeholder(one[0])
    ]


CHECKS: dict[str, Check] = {
    "google-service-account": service_account,
    "google-api-key": api_key,
    "google-client-api-key": client_api_key,
    "google-access-token": longer_token(rb"A-Za-z0-9_.-", 2048, note="lives one hour after it was issued"),
    "google-refresh-token": longer_token(rb"A-Za-z0-9_-", 512, shortest=60),
    "google-legacy-client-secret": legacy_client_secret,
    "google-authorized-user": authorized_user,
    "google-hmac-key": hmac_key,
    "random-token": random_token,
}
