"""Whether a value is a secret: exact refusals first, then a score.

A refusal applies only where the syntax could hold what it refuses: a text in quotes is no call and no variable, an unquoted value may be
one. What is left is scored in bits: how much likelier the value is drawn by chance than written by a person, by the pairs of neighboring
letters (`checks/letters.py`), less what words, runs and dates explain. The thresholds are chosen for precision. Nothing here knows a
format of a vendor, and nothing reads anything but the value itself, so a judgment is remembered.
"""

import re
from functools import lru_cache

from orchestra_creds.scanner.checks.entropy import entropy
from orchestra_creds.scanner.checks.letters import chance
from orchestra_creds.scanner.checks.names import NameClass
from orchestra_creds.scanner.checks.plausible import is_stand_in
from orchestra_creds.scanner.libraries import LazyRegex

KEPT = 4096
"""Values of which it is remembered whether they are secrets: the versions of a history hold the same ones again and again."""

SHORTEST_PASSWORD = 8
SHORTEST_SECRET = 16
LONGEST_PASSWORD = 256
LONGEST_SECRET = 512

# --- refusals ---------------------------------------------------------------------------------------------------------

_REFERENCE = LazyRegex(
    r"(?i)\$\{(?:\s*[\w.$/!*@+:-]*\s*(?:[}:?|(\[,^%#=<> \"'`]|$)|\{)|\$\([^)]*\)|\{\{[^{}]*(?:\{[^{}]*\}[^{}]*)*(?:\}\}|$)|#\{|<%|%\{|%\([\w.-]+\)[sdr]|\\\(\w|(?-i:%[A-Z_]{3,}%)|^%\w+\([\w:]+\)%$|^\$[a-z_]\w*$|^@[\w.]+@$|^<[^<>]*>$|^\(\([^()]*\)\)$"
    r"|^!(?:ref|sub|getatt|env|vault|import\w*|secret|include|join|split|select|base64|reference)\b|(?:^|[^{])\{[a-z_]\w*(?:[.:!\[][^{}]*)?\}(?:[^}]|$)"
    r"|^(?:vault|sm|ssm|awssm|awsps|gcpsm|gcp|azurekeyvault|akv|keyvault|op|kms|berglas|bank-vaults|secretsmanager|secretsmanager_json|doppler|infisical|conjur|pass|gopass"
    r"|lastpass|bitwarden|chamber|sops|age|keyring|keychain|secretref|secret|secrets|env|file|parameterstore|tfstate|exec|echo|s3|gs|data|urn|jdbc|https?|ldaps?|arn)"
    r"(?::/{0,2}|\.)[^\s]|^ref\+|^projects/[^/]+/|secretsmanager:|^@microsoft\.keyvault|^enc[:\[(]|^!\[|^\{cipher\}|^encrypted:|^\$ansible_vault"
    r"|^(?:os\.environ|process\.env|env\[|environ\b|import\.meta)"
)
"""What points to a value kept elsewhere, or is a text to be filled in, or encrypted; in quotes and without."""

_HASH = LazyRegex(
    r"(?i)^\$(?:2[abxy]?|5|6|1|y|apr1|argon2\w*|pbkdf2[\w-]*|scrypt|s0|7)\$|^(?:sha\d+|md5|blake2[bs]?|h1)[-:$=]|^\{?(?:bcrypt|pbkdf2|s?ssha|s?sha\d*|argon2|scram|crypt|md5|noop)[\w-]*[}$:]"
    r"|^pbkdf2|^scram-sha|^md5[0-9a-f]{32}$|^[0-9a-f]{32,128}:[0-9a-f]{8,64}$"
)

_EXPRESSION = LazyRegex(
    r"^[!&*@<(|>{\[=?]|^[A-Za-z_$][\w.$:>-]*\(.*\)[;,.\w()]*$|^[A-Za-z_$][\w.$]*\[[^\]]*\]?[\w.()\[\]]*$|\(\)|=>|->|::|\$[A-Z_]{4,}(?:$|[^A-Za-z0-9])"
    r"|^[A-Za-z_$][\w.$]*[<(\[]$|^[A-Za-z_$][\w.]*\([\"'\w.,= -]*$|^`|^(?:new|await|function|lambda|return|null|nil|none|true|false)\b"
)
"""What code writes in the place of a value; only where quotes are missing."""

_FILE = re.compile(
    rb"[\w./@~:\\-]+\.(?:json|ya?ml|txt|pem|key|crt|cer|py|js|ts|tsx|jsx|html?|md|xml|cfg|conf|ini|toml|sh|go|java|rb|php|log|png|svg|jpe?g|gif|p12|pfx|jks|csv|tsv|gz|zip|tar|db|sqlite3?|bin"
    rb"|dat|so|exe|dll|lock|css|scss|properties|env|example|tf|rs|cs|cpp|c|h|swift|kt|dart|vue|asc|pub|gpg|sql|bak|tmp|jar|war|proto)(?::\d+)?"
)
_PLAIN = LazyRegex(
    r"(?i)^(?:[v^~=<>]{0,2}\d+\.\d+(?:\.\d+[\w.+-]{0,40})?|\d{4}-\d\d-\d\d.{0,24}|\d\d?[:/.]\d\d.{0,20}|[+-]?\d[\d.,_ e+-]*[a-z%]{0,2}|[\w.+-]+@[\w-]+(?:\.[\w-]+)+|(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{0,4}"
    r"|(?:\d{1,3}\.){3}\d{1,3}(?::\d+)?(?:/.*)?|[a-z][\w+.-]{1,20}://.*|[\w-]+/[\w.+-]+;.*|#[0-9a-f]{3,8}|--?[a-z]+(?:-[a-z]+)*|[a-z0-9-]+(?:\.[a-z0-9-]+)+\.(?:com|org|net|io|dev|test)(?:[:/].*)?)$"
)
"""Versions, dates, numbers, addresses, options."""

_PATTERN = LazyRegex(r"\[\^?\w-\w|\\[dwsDWSb]|\(\?|\.\*|\{\d+,?\d*\}|\\u[0-9a-f]{4}|^\^.*\$$|%[sdv].*%[sdv]|^%[sdvqr]$")
"""A pattern or a format to be filled in."""

_UUID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
_HEX = re.compile(rb"(?:0x)?(?:[0-9a-f]+|[0-9A-F]+)")
_IDENTIFIER = re.compile(rb"[A-Za-z_$][\w$]*(?:(?:\.|\?\.)[A-Za-z_$][\w$]*)*")
_ESCAPE = re.compile(rb"\\+(?:u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|[0-9a-z])")
_PUBLIC = re.compile(rb"pk_(?:test|live)_|pk-lf-|eyJ|ssh-(?:rsa|ed25519) |AAAA[BEC]3N|(?:0x)?0{8}")
"""Starts of what a provider publishes, and of tokens that another rule looks into."""

_WORDS = re.compile(
    rb"passw(?:or)?[dt]s?|passwd|passphrase|passe|pass|pwd|secrets?|sekrit|tokens?|keys?|api|auth|access|private|public|credentials?|creds?|client|user(?:name)?s?"
    rb"|login|admin(?:istrator)?|root|guest|demo|tests?|testing|tester|foo|bar|baz|qux|hello|world|abc|def|xyz|qwert[yz]?|asdf(?:gh)?|letmein|welcome|default|sample|dummy|fake|mock"
    rb"|some|new|old|your|the|this|not|for|with|very|super|top|strong|weak|long|short|good|bad|wrong|right|correct|incorrect|invalid|valid|unknown"
    rb"|random|string|value|data|name|service|account|server|host|database|postgres(?:ql)?|mysql|redis|mongo|oracle|ansible|django|flask|jwt|oauth|bearer"
    rb"|session|cookie|refresh|signing|encrypt(?:ed|ion)?|master|shared|local|dev|prod|staging|stage|one|two|three|first|second|monkey|dragon|shadow"
    rb"|changed?|changeme|reset|temp|tmp|please|insecure|unsafe|safe|secure|security|aaa+|bbb+|ccc+|text|plain|empty|none|null|undefined|true|false"
    rb"|open|sesame|words?|alice|bob|carol|eve|john|doe|jane|scott|tiger|spam|eggs|ham|app|application|web|site|spring|summer|autumn|winter|january|monday|sunday",
    re.IGNORECASE,
)
_LEET = bytes.maketrans(b"0134578@$!", b"oleastbasi")
_LETTERS = re.compile(rb"[A-Za-z]+")
_HUMP = re.compile(rb"([a-z])([A-Z])")
_CONSONANTS = re.compile(rb"[bcdfghjklmnpqrstvwxz]{4}", re.IGNORECASE)
_PARTS = re.compile(rb"[^-_./\s:]+")
# A sign is what is no letter or digit of Latin-1.
_COMMON_SIGNS = b"-_./:, \"'\\"
"""Signs that names, paths and sentences have too."""
_RARE_SIGNS = frozenset(range(33, 127)) - frozenset(
    b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" + _COMMON_SIGNS
)
_SIGN_RUN = re.compile(rb"[0-9A-Za-z][^0-9A-Za-z]")

_KINDS = (
    re.compile(rb"[a-z]"),
    re.compile(rb"[A-Z]"),
    re.compile(rb"[0-9]"),
    re.compile(rb"[^0-9A-Za-z\xaa\xb2\xb3\xb5\xb9\xba\xbc-\xbe\xc0-\xd6\xd8-\xf6\xf8-\xff]"),
)

# --- thresholds, in bits of `letters.chance` --------------------------------------------------------------------------

PASSWORD_BITS = 4.0
SHORT_PASSWORD_BITS = 6.0
SHORT = 11
"""Bytes up to which a password needs more evidence."""

SECRET_BITS = 8.0
SECRET_RATE = 0.3
"""Bits for each byte that a secret needs."""

LETTERS_RATE = 1.0
"""The same for letters alone: an acronym, a chain of names and a word of another language have some."""

MOST_LETTER_BITS = 30.0
"""Bits that are enough for letters of any length."""

HEX_ENTROPY = 2.7
"""Bits for each byte that hexadecimal digits need."""

NAME_BITS = 9.0
"""Bits that an unquoted value needs that could be a name in code."""

PHRASE_BITS = 3.0
"""Bits of a word of a passphrase that is drawn by chance."""

VARIED_SIGNS = 6
"""Different signs from which on a value without blanks is drawn or made up, whatever its letters spell."""

LONGEST_NUMBER = 27
"""Digits up to which a number may be an id, a date or a size."""

SHORTEST_LETTERS = 28
"""Bytes from which on letters of one case may be a secret."""

RANDOM_PART = 7
"""Bytes of the parts between `-`, `_`, `.`, `/` and blanks that must be drawn by chance."""


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


def is_hexadecimal(value: bytes) -> bool:
    """Whether the value is hexadecimal digits of one case, with or without `0x`."""
    return _HEX.fullmatch(value) is not None


@lru_cache(KEPT)
def is_reference(value: bytes, *, quoted: bool) -> bool:
    """Whether the value points to one kept elsewhere, is a text to be filled in, is encrypted, or is an expression of code."""
    return _REFERENCE.is_in(value) or _HASH.is_in(value) or (not quoted and _EXPRESSION.is_in(value))


@lru_cache(KEPT)
def is_password(value: bytes, *, quoted: bool, least: int = SHORTEST_PASSWORD) -> bool:
    """Whether a value that is called a password is one; `least` is the fewest bytes of one."""
    value = _ESCAPE.sub(b"", value)
    if not least <= len(value) <= LONGEST_PASSWORD:
        return False
    if is_hexadecimal(value) and (value.isdigit() or len(value) >= 16):
        return len(value) >= 16 and entropy(value) >= HEX_ENTROPY and not value.isdigit() and not is_stand_in(value)
    if _UUID.fullmatch(value):
        return not is_stand_in(value)
    if entropy(value) < 2.2 or classes(value) < 2:
        return False
    return (_has_varied_signs(value) or _is_drawn(value, quoted=quoted)) and not _is_other_data(value, quoted=quoted)


def _is_drawn(value: bytes, *, quoted: bool) -> bool:
    """Whether a password is drawn by chance."""
    bits = chance(value) if b" " not in value else sum(map(chance, value.split()))
    needed = SHORT_PASSWORD_BITS if len(value) <= SHORT else PASSWORD_BITS
    if bits + _class_bits(value) < needed or (not quoted and bits < NAME_BITS and _IDENTIFIER.fullmatch(value)):
        return False
    return _holds_chance(value, RANDOM_PART - 2) and not _is_words(value)


@lru_cache(KEPT)
def is_secret(value: bytes, kind: NameClass, *, quoted: bool) -> bool:
    """Whether a value that is called a key, a token or a secret is one: long and drawn by chance."""
    if b"\\u00" in value:
        value = re.sub(rb"\\+u00([2-7][0-9a-fA-F])", lambda code: bytes([int(code[1], 16)]), value)
    if not SHORTEST_SECRET <= len(value) <= LONGEST_SECRET or _PUBLIC.match(value):
        return False
    if is_hexadecimal(value):
        least = LONGEST_NUMBER + 1 if value.isdigit() else 16 if quoted else 20
        return len(value) >= least and entropy(value) >= HEX_ENTROPY and not is_stand_in(value)
    if entropy(value) < 3.0:
        return False
    if _UUID.fullmatch(value):
        return kind >= NameClass.STRONG_SECRET and not is_stand_in(value)
    return (_has_varied_signs(value) or _is_drawn_secret(value, quoted=quoted)) and not _is_other_data(
        value, quoted=quoted
    )


def _is_drawn_secret(value: bytes, *, quoted: bool) -> bool:
    """Whether a key or a token is drawn by chance."""
    bits = chance(value)
    needed = max(SECRET_BITS, SECRET_RATE * len(value), _letter_bits(value))
    named = not quoted and bits < NAME_BITS and _IDENTIFIER.fullmatch(value) is not None
    mixed = classes(value) > 1 or (value.isalpha() and len(value) >= SHORTEST_LETTERS)
    return bits >= needed and mixed and not named and _holds_chance(value, RANDOM_PART) and not _is_words(value)


def is_bearer(token: bytes) -> bool:
    """Whether what follows `Bearer` is a token; a signed or encrypted one is for other rules."""
    return is_secret(token, NameClass.STRONG_SECRET, quoted=True)


def _letter_bits(value: bytes) -> float:
    """The bits that letters alone need."""
    return min(LETTERS_RATE * max(len(value), 24), MOST_LETTER_BITS) if value.isalpha() else 0.0


def _has_varied_signs(value: bytes) -> bool:
    """Whether the value has many different signs, as no name, sentence or path has, and letters between them."""
    if b" " in value or len(value) > 2 * SHORTEST_LETTERS:
        return False
    return len(_SIGN_RUN.findall(value)) >= 4 and len({*value} & _RARE_SIGNS) >= VARIED_SIGNS


def _class_bits(value: bytes) -> float:
    """What mixed classes add: a policy asks for them."""
    mixed = classes(value)
    return 3.0 if mixed == 4 else 1.0 if mixed == 3 else 0.0


def _holds_chance(value: bytes, least: int) -> bool:
    """Whether the parts that are drawn by chance have so many bytes: `my-service-key-7f` has two."""
    if b" " in value:
        return sum(len(part) for part in value.split() if chance(part) > PHRASE_BITS) >= max(least, SHORTEST_PASSWORD)
    return sum(len(part) for part in _PARTS.findall(value) if chance(part) > 1.5 or len(part) < 4) >= least


def _is_words(value: bytes) -> bool:
    """Whether common words, letters written as digits included, make up most of the value."""
    plain = value.translate(_LEET)
    known = max(len(text) - len(_WORDS.sub(b"", text)) for text in (value, plain))
    return 5 * known > 3 * len(value) or residue(value) < 3 - value.count(b"_")


def _is_other_data(value: bytes, *, quoted: bool) -> bool:
    """References, hashes, files, versions, dates, addresses, patterns, stand-ins."""
    return (
        is_stand_in(value)
        or is_reference(value, quoted=quoted)
        or _PLAIN.is_in(value)
        or _PATTERN.is_in(value)
        or _FILE.fullmatch(value) is not None
    )
