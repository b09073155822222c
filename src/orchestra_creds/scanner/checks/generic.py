"""Checks of secrets that only their context gives away: `password = …`, URLs with a password, headers, command lines.

A value of no format is a secret when its name says so, when it is a value (not a reference, a type, a call, a path, a
hash, a translation), and when it does not read like words. All of them grade as possible unless a second fact agrees.
"""

import base64
import binascii
import re
from functools import lru_cache
from itertools import pairwise

from orchestra_creds.scanner.checks.entropy import entropy
from orchestra_creds.scanner.checks.plausible import is_placeholder
from orchestra_creds.scanner.checks.verdict import Check, CheckVerdict, Subject
from orchestra_creds.scanner.libraries import LazyRegex
from orchestra_creds.scanner.rule import Confidence

KEPT = 4096
"""Values of which it is remembered whether they are secrets: the versions of a history hold the same ones again and again."""

LONGEST_VALUE = 256
SHORTEST_PASSWORD = 8
SHORTEST_SECRET = 16
_QUOTES = b"\"'`"
_VALUE = re.compile(rb"[!#-&(-;=?-_a-~]+")
_NAME = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.$-"
_LONGEST_NAME = 80
_LOOK_BACK = 160  # bytes before a value: what is read to learn its name
_SIGNS_BEHIND_A_NAME = b" \t\n\r\f\v\"'`\\>=:,([]){|!"
_TYPE = LazyRegex(r"""[\s\v"']*:[\s\v]*[A-Za-z][\w.\[\]| ]{0,30}$""")
_LISTED = LazyRegex(
    r"""([\w.$-]{1,80})["']?,?[\s\v]{1,40}\\{0,3}["']?[vV]alue\\{0,3}["']?[\s\v]{0,2}[:=][\s\v]{0,4}[\\"'`]{0,4}$"""
)
_LISTED_TAIL = 20  # bytes from the `alue` on
_NOT_A_SECRET_NAME = LazyRegex(
    r"(?i)public|checksum|digest|fingerprint|csrf|xsrf|tokeniz|placeholder|example|regex|translat|i18n|integrity|primary_?key|foreign_?key|sort_?key"
    r"|cache_?key|next_?token|page_?token|continuation|(?:sync|change|update|import|verification|request|idempotency|client)_?token|password_?data|(?:^|[_.-])(?:max|min|num|no|is|has|test|fake|mock|dummy)[_-]"
    r"|(?:hash(?:ed|er)?|sha\d*|md5|file(?:name)?|path|dir|ur[il]|href|name|field|label|column|header|prefix|suffix|length|len|count|size|policy|pattern|hint"
    r"|message|msg|error|type|format|version|reset|confirm(?:ation)?|expir\w*|ttl|timeout|limit|tokens|nonce|keyword|title|help|description|locale|encoding|charset"
    r"|class|widget|validators?|status|enabled|required|mode|ref|_id|\bid|[a-z]Id|idx|index|algorithm|alg|cipher|provider|manager|store|backend|strategy|scopes?"
    r"|rules?|selector|text|input|form|view|page|button|icon|score|strength|info|str|list|map|set|dict|json|xml|key_?path|arn)s?$"
)
_REFERENCE = LazyRegex(
    r"(?i)\$[A-Za-z_{(]|\{[\w.:, -]*\}|^\{\{?\w|(?-i:%[A-Z_]{3,}%)|^[<(|>]|^[!&*@][A-Za-z_]{4}|os\.environ|process\.env|getenv|env\[|environ\b|^env[:.]|^vault[:/]|^ssm:|^arn:|^sm://|^gcp:|^op://|secretsmanager"
    r"|projects/[^/]+/secrets/|^(?:https?|file|s3|gs|data|urn):|^enc[:\[(]|^sha\d+[:-]|^\{?(?:bcrypt|pbkdf2|ssha|argon2)|^pbkdf2|^\$?argon2|secretKeyRef"
    r"|^secrets?\.|^var\.|^local\.|^module\.|^data\.|^self\.|^this\.|^cls\.|\(\)|=>|->|::"
)
_UUID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
_HEX = re.compile(rb"(?:0x)?[0-9a-f]+", re.IGNORECASE)
_FILE = re.compile(
    rb"[\w./@~-]+\.(?:json|ya?ml|txt|pem|key|crt|py|js|ts|html?|md|xml|cfg|conf|ini|toml|sh|go|java|rb|php|log|png|svg|p12|jks|csv|tsv|gz|zip|tar|db|sqlite3?|bin|dat|so|exe|lock)"
)
_CALL = re.compile(rb"[\w.]+\(.*|[\w.]+\[.*", re.DOTALL)
_DOTTED = re.compile(rb"[A-Za-z_]\w*(?:[.:][A-Za-z_]\w*)+")
_VERSION = re.compile(rb"[v^~=<>]{0,2}\d+\.\d+(?:\.\d+[\w.+-]{0,40})?")
_WORDS = re.compile(
    rb"passw(?:or)?[dt]s?|passwd|passphrase|pass|pwd|secrets?|sekrit|tokens?|keys?|api|auth|access|private|public|credentials?|creds?|client|user(?:name)?s?"
    rb"|login|admin|root|guest|demo|tests?|testing|tester|foo|bar|baz|qux|hello|world|abc|def|xyz|qwerty|letmein|welcome|default|sample|dummy|fake|mock"
    rb"|some|new|old|your|the|this|not|for|with|very|super|top|strong|weak|long|short|good|bad|wrong|right|correct|incorrect|invalid|valid|unknown"
    rb"|random|string|value|data|name|service|account|server|host|database|postgres(?:ql)?|mysql|redis|mongo|oracle|ansible|django|flask|jwt|oauth|bearer"
    rb"|session|cookie|refresh|signing|encrypt(?:ed|ion)?|master|shared|local|dev|prod|staging|stage|one|two|three|first|second|monkey|dragon|shadow"
    rb"|changed?|changeme|reset|temp|tmp|please|insecure|unsafe|safe|secure|security|aaa+|bbb+|ccc+|text|plain|empty|none|null|undefined|true|false"
    rb"|open|sesame|words?|alice|bob|carol|eve|john|doe|jane|scott|tiger|spam|eggs|ham|app|application|web|site",
    re.IGNORECASE,
)
_ESCAPE = re.compile(rb"\\+(?:u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|[0-9a-z])")
_HUMP = re.compile(rb"([a-z])([A-Z])")
_LETTERS = re.compile(rb"[A-Za-z]+")
_DIGIT = re.compile(rb"[0-9]")
# A sign is what is no letter or digit of Latin-1.
_KINDS = (
    re.compile(rb"[a-z]"),
    re.compile(rb"[A-Z]"),
    _DIGIT,
    re.compile(rb"[^0-9A-Za-z\xaa\xb2\xb3\xb5\xb9\xba\xbc-\xbe\xc0-\xd6\xd8-\xf6\xf8-\xff]"),
)
_CONSONANTS = re.compile(rb"[bcdfghjklmnpqrstvwxz]{4}", re.IGNORECASE)
_DOC_HOST = LazyRegex(
    r"(?i)(?:^|\.)(?:example|invalid|test|localdomain)$|(?:^|\.)example\.\w{2,3}$|^(?:my|your|some)?[-_.]?(?:host(?:name)?|server|domain|site|ip|addr(?:ess)?|proxy|registry|url)\d?(?:$|\.)|^(?:www\.)?(?:foo|bar|domain|somewhere|mysite|yourdomain|mydomain|website)\.\w{2,3}$"
)
_LOCAL_HOST = LazyRegex(
    r"(?i)^(?:localhost|127\.[\d.]+|0\.0\.0\.0|10\.[\d.]+|192\.168\.[\d.]+|172\.(?:1[6-9]|2\d|3[01])\.[\d.]+|169\.254\.[\d.]+|\[[0-9a-fA-F:]*\]|[\w-]+"
    r"|[\w.-]+\.(?:local|localhost|lan|internal|svc|cluster|docker|home|corp|intranet)(?:\..*)?)$"
)
_URL_USER = LazyRegex(r"/([^/:@\s\v]{0,64}):$")
_LONGEST_USER = 70  # bytes before a password in a URL
_PAIR = LazyRegex(r"^[\w.$-]{1,80}[ \t]{0,4}[:=][ \t]{0,4}$")
_LAST_PAIR = LazyRegex(r"^[^\s\v,;)\]}](?:.*(?:[ \t=,;?&]|\\u0026))?[\w.$-]{1,80}=$")
_QUERY = LazyRegex(r"(?:[?&]|&amp;|\\u0026)[\w.%\[\]-]{1,80}=$")
_LONGEST_TAIL = 40  # bytes behind a value in the same quotes
_DSN = LazyRegex(
    r"(?i)\b(?:server|data source|host|hostname|addr|address|uid|user(?:[ _]?(?:id|name))?|initial catalog|database|dbname|driver|endpoint|port)[\s\v]?=|://[\w.-]+(?::\d+)?/"
)
_LOGIN = LazyRegex(r"""(["']?)([^\s\v:"'<>]{0,64})(["']?):(["']?)$""")
_LONGEST_LOGIN = 69
_OWN_HASH = re.compile(rb'[0-9a-f]{32}",\s{1,8}"(?:rule|mask)": "')
"""What follows `"credential": "` in our own baseline and JSON report: a keyed hash."""


def classes(value: bytes) -> int:
    """How many of lower, upper, digit and sign the value mixes."""
    return sum(kind.search(value) is not None for kind in _KINDS)


def residue(value: bytes) -> int:
    """How many letters are left when words that no secret needs are taken out."""
    return sum(map(len, _LETTERS.findall(_WORDS.sub(b" ", value))))


def is_wordy(value: bytes) -> bool:
    """Whether most of the value is words, joined by signs, digits or capitals, rather than drawn by chance."""
    unknown = _WORDS.sub(b" ", value)
    parts = _LETTERS.findall(_HUMP.sub(rb"\1 \2", unknown))
    known = len(value) - len(unknown) + unknown.count(b" ")
    return 5 * (known + sum(len(part) for part in parts if _reads_like_a_word(part))) > 3 * len(value)


def _reads_like_a_word(part: bytes) -> bool:
    if len(part) < 5 or not (part.islower() or part.isupper() or part.istitle()):
        return False
    vowels = len(part) - len(part.translate(None, b"aeiouAEIOU"))
    return 0.25 <= vowels / len(part) <= 0.65 and _CONSONANTS.search(part) is None


@lru_cache(KEPT)
def is_password(value: bytes) -> bool:
    """Whether a value that is called a password is one: not a reference, not words, not a stand-in."""
    value = _ESCAPE.sub(b"", value)
    if not SHORTEST_PASSWORD <= len(value) <= 128:
        return False
    mixed, chance = classes(value), entropy(value)  # what costs least comes first
    strong = mixed >= 3 or (chance >= 3 and len(value) >= 10)
    if mixed < 2 or chance < 2.5 or not strong or _REFERENCE.is_in(value):
        return False
    return residue(value) >= 3 and not is_placeholder(value) and not _is_other_data(value) and not is_wordy(value)


@lru_cache(KEPT)
def is_random(value: bytes) -> bool:
    """Whether a value that is called a key, a token or a secret is one: long and drawn by chance."""
    if not SHORTEST_SECRET <= len(value) <= LONGEST_VALUE:
        return False
    if value.startswith(b"eyJ"):  # base64 of JSON: the rules of signed tokens look into it
        return False
    if _HEX.fullmatch(value):
        likely = len(value) in {32, 40, 48, 64, 96, 128} and entropy(value) >= 3.0
    else:  # what costs least comes first
        likely = (
            _DIGIT.search(value) is not None
            and _LETTERS.search(value) is not None
            and entropy(value) >= 3.1
            and _switches(value) >= 0.2
            and not _is_other_data(value)
            and not is_wordy(value)
        )
    return likely and not _REFERENCE.is_in(value) and not is_placeholder(value)


def _is_other_data(value: bytes) -> bool:
    """Hashes, ids, numbers, paths, versions, calls and names of attributes."""
    return (
        any(shape.fullmatch(value) is not None for shape in (_UUID, _HEX, _FILE, _CALL, _VERSION))
        or (_DOTTED.fullmatch(value) is not None and (_switches(value) < 0.3 or is_wordy(value.rpartition(b".")[2])))
        or _is_path(value)
    )


def _is_path(value: bytes) -> bool:
    """Whether most of the value is words and short names between slashes."""
    parts = value.split(b"/")
    named = sum(len(part) for part in parts if len(part) < 4 or is_wordy(part))
    return len(parts) > 1 and 2 * (named + len(parts) - 1) > len(value)


def _switches(value: bytes) -> float:
    """The share of neighbours of different kinds (lower, upper, digit) among all neighbours."""
    kinds = [1 if 97 <= byte <= 122 else 2 if 65 <= byte <= 90 else 3 if 48 <= byte <= 57 else 0 for byte in value]
    pairs = [(left, right) for left, right in pairwise(kinds) if left and right]
    return sum(left != right for left, right in pairs) / max(len(pairs), 1)


def _whole_value(subject: Subject) -> bytes | None:
    """The whole value that begins at the match; None when it does not end as a value does."""
    before = subject.before(1)
    rest = subject.read(subject.start, subject.start + LONGEST_VALUE + 8)
    if before and before in _QUOTES:
        end = rest.find(before)
        value = rest[: max(end, 0)].rstrip(b"\\")
        return value if end > 0 and not re.search(rb"\s", value) else None
    matched = _VALUE.match(rest)
    run = matched[0] if matched else b""
    if before == b">":
        value = run.partition(b"<")[0]
        return value if rest[len(value) : len(value) + 2] == b"</" else None
    value = re.split(rb"[&;,)\]]", run, maxsplit=1)[0]
    following = rest[len(value) : len(value) + 40]
    if not following or following[:1] not in b")],({":
        ends = re.match(rb"$|[ \t]*(?:\r?\n|$)|[ \t]+(?:#|//|--|\\)|[&;]|[ \t]+-", following) is not None
        if ends or (before == b"=" and following[:1] in b" \t"):
            return value.rstrip(b"\\")
    return _enclosed_value(subject.before(_LOOK_BACK), rest, run, value)


def _enclosed_value(ahead: bytes, rest: bytes, run: bytes, value: bytes) -> bytes | None:
    """Return the value that ends with the quotes that hold its name, too: `"NAME=value"`, `"https://host/?name=value"`.

    A pair that is alone in its quotes has all of `run`; among others it ends where `value` does, at a comma or a bracket. An escaped line
    break ends both.
    """
    quote = rest[len(run) : len(run) + 1]
    if not quote or quote not in _QUOTES:
        return None
    within = ahead[ahead.rfind(quote) + 1 :] if quote in ahead else b""
    if not (_PAIR.is_in(within) or (run == value and (_LAST_PAIR.is_in(within) or _QUERY.is_in(ahead)))):
        return None
    found = re.split(rb"\\+[nr]", run, maxsplit=1)[0].rstrip(b"\\")
    return found if len(run) - len(found) <= _LONGEST_TAIL else None


def _assignment(*, password: bool) -> Check:
    """A check of `name = value` where the name says that the value is secret."""
    shortest, is_secret = (SHORTEST_PASSWORD, is_password) if password else (SHORTEST_SECRET, is_random)

    def check(subject: Subject) -> CheckVerdict | None:
        value = _whole_value(subject)
        if value is None or len(value) < shortest:
            return None
        ahead = subject.before(_LOOK_BACK)
        name = _assigned_name(ahead)
        if not name or _NOT_A_SECRET_NAME.is_in(name):
            return None
        if name == b"credential" and _OWN_HASH.match(subject.read(subject.start, subject.start + 64)):
            return None
        if not is_secret(value):
            return None
        end = subject.start + len(value)
        low, high = subject.start - len(ahead), min(subject.hi, end + 48)
        return CheckVerdict(value, Confidence.POSSIBLE, subject.start, end, low, high)

    return check


def _assigned_name(ahead: bytes) -> bytes:
    """The name that the value behind `ahead` is assigned to."""
    if b"alue" in ahead[-_LISTED_TAIL:] and (listed := _LISTED.search(ahead)):
        return ahead[slice(*listed[1])]
    line = ahead[max(ahead.rfind(b"\n"), 0) :]
    head = line.rstrip(_SIGNS_BEHIND_A_NAME)
    if b":" in head:
        head = (head[: declared[0][0]] if (declared := _TYPE.search(head)) else head) or head
    return head[max(len(head.rstrip(_NAME)), len(head) - _LONGEST_NAME) :]


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
    return plain if plain.isascii() and all(byte >= 32 for byte in plain) else b""


def bearer(subject: Subject) -> CheckVerdict | None:
    """What follows `Authorization: Bearer`, when it is drawn by chance."""
    rest = re.match(rb"[A-Za-z0-9._~+/=-]*", subject.read(subject.start, subject.start + LONGEST_VALUE))
    token = rest[0] if rest else b""
    if not is_random(token):
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
    rest = re.match(rb"[^\s\"'`|;<>]*", subject.read(subject.start, subject.start + LONGEST_VALUE))
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
    rest = re.match(rb"[^\s\"'`<>|]*", subject.read(subject.start, subject.start + LONGEST_VALUE))
    password = rest[0] if rest else b""
    if len(password) < 5 or _REFERENCE.is_in(password) or not _is_url_password(password, b"") or classes(password) < 2:
        return None
    end = subject.start + len(password)
    return CheckVerdict(password, Confidence.LIKELY, subject.start, end, subject.start, min(subject.hi, end + 1))


def connection_string(subject: Subject) -> CheckVerdict | None:
    """`Password=…` beside a server or a user, in one connection string or in the query of one URL."""
    rest = re.match(rb"[^\s;&\\\"'`<>]*", subject.read(subject.start, subject.start + LONGEST_VALUE))
    password = rest[0] if rest else b""
    ahead, behind = (
        subject.before(256),
        subject.read(subject.start + len(password), subject.start + len(password) + 256),
    )
    around = ahead[ahead.rfind(b"\n") + 1 :] + b"\0" + behind.partition(b"\n")[0]
    if len(password) < 5 or not _DSN.is_in(around) or not _is_url_password(password, b"") or classes(password) < 2:
        return None
    if _REFERENCE.is_in(password):
        return None
    end = subject.start + len(password)
    low, high = subject.start - len(ahead), end + len(behind)
    return CheckVerdict(password, Confidence.LIKELY, subject.start, end, low, high)


CHECKS: dict[str, Check] = {
    "assigned-password": _assignment(password=True),
    "assigned-secret": _assignment(password=False),
    "url-password": _url(local=False),
    "url-password-local": _url(local=True),
    "basic-header": basic_header,
    "bearer": bearer,
    "registry-auth": registry_auth,
    "user-and-password": user_and_password,
    "field-password": field_password,
    "connection-string": connection_string,
}
