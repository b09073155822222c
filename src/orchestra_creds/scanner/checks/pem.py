"""Private keys in PEM armour, as they are found in the wild: escaped, quoted, indented, on one line, split by `+`.

`read` takes the armour apart without trusting it: it looks at no more than `LONGEST` bytes, undoes the escapes of JSON,
shells, string literals and markup, and answers with the label and the bare base64 body. `prove` says whether the body
is a key. RSA keys are loaded without OpenSSL's own validation, for that tests primes and takes as long as the file asks
it to; instead the numbers are checked against one another here (n = p*q, e*d = 1 modulo p-1 and q-1), which no damaged
or invented key passes and which costs microseconds. Nothing is ever decrypted: a guessed key derivation may cost hours.
"""

import base64
import binascii
import re
import warnings
from collections.abc import Callable

from orchestra_creds.core.record import dataclass, replace
from orchestra_creds.scanner.checks import der
from orchestra_creds.scanner.checks.entropy import entropy
from orchestra_creds.scanner.checks.plausible import is_placeholder
from orchestra_creds.scanner.checks.verdict import Subject
from orchestra_creds.scanner.rule import Confidence

LONGEST = 12 * 1024
"""Most bytes of armour that are read: an RSA-8192 key with doubled escapes takes 7 KB."""

SHORTEST_BODY = 60
"""Base64 characters of the shortest real body: an Ed25519 key takes 64."""

PLAUSIBLE_BODY = 200
"""Base64 characters that a body needs when nothing but its shape speaks for it."""

MARGIN = 200
"""Most bytes before and behind each line of a key: a time, a container's name, a line number, the sign of a patch."""

MOST_LINES = 400

MOST_DER = 12 * 1024
MOST_RSA_BITS = 16384

_HEADER = re.compile(rb"-----BEGIN[ +]((?:[A-Z0-9]{2,9}[ +]){0,2}PRIVATE[ +]KEY(?:[ +]BLOCK)?)-----")
_END = re.compile(rb"-----(END|BEGIN)[ +]")
_CODE_POINT = re.compile(rb"\\+(?:u00|x)([0-9a-fA-F]{2})")
_ESCAPED_BREAK = re.compile(rb"\\+[rnt]|\\+\r?\n|`[rn]|&#(?:1[03]|[xX]0?[aAdD]);|<br ?/?>|%0[aAdD]")
_JOIN = re.compile(
    rb"""["'`]\s{0,200}(?:&\s{0,8}(?i:vb(?:crlf|lf|cr|newline)|environment\.newline|chr\(1[03]\)|chr\$\(1[03]\))\s{0,8}){0,2}[+.&,]?\s{0,200}_?\s{0,200}["'`]"""
)
_OPENSSH = b"openssh-key-v1\0"
"""How a key of OpenSSH begins, under whatever label some tools write it."""

_OPENSSH_START = b"b3BlbnNzaC1rZXktdjEA"
_ZEROS = b"AAAAA"

_FIELDS = re.compile(
    rb"Proc-Type:\s*4,ENCRYPTED|DEK-Info:\s*[A-Z0-9-]{3,32},\s*[0-9A-Fa-f]{8,64}|(?m:^\W{0,8}(?:Version|Comment|Hash|Charset|MessageID):[^\n]*$)"
)
_LEAD = re.compile(rb"(?m)^[ \t]*(?:(?:#+|//+|[>|;*]) )?[ \t]*")
_BODY = re.compile(rb"[A-Za-z0-9+/]+={0,2}")
_BASE64_RUN = re.compile(rb"[A-Za-z0-9+/\s]{0,65536}")
_SPACE = re.compile(rb"[\s\"'`]+")
_SAME = re.compile(rb"(.)\1{11,}")
_CRC = re.compile(rb"=([A-Za-z0-9+/]{4})$")


@dataclass(frozen=True, slots=True)
class PemBlock:
    """One armoured key. `end` is an offset of the buffer; `whole` says whether the closing line was found there."""

    label: str
    body: bytes
    checksum: bytes
    locked: bool
    whole: bool
    end: int

    def canonical(self) -> bytes:
        """The armour as OpenSSL writes it: 64 columns, line feeds, nothing around it."""
        lines = [self.body[at : at + 64] for at in range(0, len(self.body), 64)]
        label = self.label.encode()
        return b"\n".join([b"-----BEGIN " + label + b"-----", *lines, b"-----END " + label + b"-----", b""])


def _frame(text: bytes) -> re.Pattern[bytes]:
    """What matches `text` before or behind every line: numbers count on, blanks align."""
    parts = re.split(rb"([0-9]+)|([ \t]+)", text)
    pattern = b""
    for at in range(0, len(parts), 3):
        pattern += re.escape(parts[at])
        if at + 1 < len(parts):
            pattern += rb"[ \t]*[0-9]+" if parts[at + 1] else rb"[ \t]*"
    return re.compile(pattern)


def _without_frame(before: bytes, inner: bytes) -> bytes:
    """The text between the lines of the armour without the margin that `before`, the start of its first line, shows.

    A patch, a log, a listing and a table write something before each line, some of them also behind it.
    """
    first, *lines = inner.split(b"\n")
    margin = before[before.rfind(b"\n") + 1 :]
    if (
        not lines
        or len(lines) > MOST_LINES
        or len(first) > MARGIN
        or len(margin) > MARGIN
        or (b"\n" not in before and len(before) >= MARGIN)
    ):
        return inner
    if margin.strip():
        left = _frame(margin.lstrip(b" \t"))
        found = [left.match(line.lstrip(b" \t")) for line in lines]
        # the last line is that of the closing one, so nothing but the margin is left of it
        bare = [line.lstrip(b" \t")[match.end() :] for line, match in zip(lines, found, strict=True) if match]
        if len(bare) == len(lines) or (len(bare) == len(lines) - 1 and not lines[-1].strip()):
            lines = bare
    if behind := first.strip():
        right = re.compile(rb"[ \t]*" + _frame(behind).pattern + rb"[ \t\r]*$")
        ended = [right.search(line) for line in lines[: len(lines) - 1]]
        if all(ended):
            lines = [line[: match.start()] for line, match in zip(lines, ended, strict=False) if match]
            first = b""
    return b"\n".join([first, *lines])


def plain(text: bytes) -> bytes:
    """The text without the escapes and the quotes that a file format put around and into it."""
    if b"\\" in text:
        text = _CODE_POINT.sub(lambda code: bytes([int(code[1], 16)]), text)
    text = _ESCAPED_BREAK.sub(b"\n", text)
    return _JOIN.sub(b"", text.replace(b"\\", b""))


def parse_pem(subject: Subject) -> PemBlock | None:
    """The armour whose opening line is the match, or None when what stands in it is no key material."""
    raw = subject.read(subject.start, subject.start + LONGEST)
    header = _HEADER.match(raw)
    if header is None:
        return None
    stop = _END.search(raw, header.end())
    whole = stop is not None and stop[1] == b"END"
    armoured = raw[header.end() : stop.start() if stop else len(raw)]
    inner = plain(_without_frame(subject.before(MARGIN), armoured))
    locked = b"ENCRYPTED" in header[1] or b"ENCRYPTED" in inner[:200]
    lines = _LEAD.sub(b"", _FIELDS.sub(b"\n", inner))
    body, checksum = _SPACE.sub(b"", lines), b""
    if header[1].endswith(b"BLOCK") and (crc := _CRC.search(body)):
        body, checksum = body[: crc.start()], crc[1]
    end = subject.start + (len(raw) if stop is None else stop.start())
    if whole and stop is not None:
        closing = raw.find(b"-----", stop.end())
        end = subject.start + (closing + 5 if 0 <= closing - stop.end() < 64 else stop.end())
    else:  # cut short: what still is base64 counts
        run = _BASE64_RUN.match(lines.lstrip())
        body = _SPACE.sub(b"", run[0]) if run else b""
    if len(body) < SHORTEST_BODY or not _BODY.fullmatch(body):
        return None
    return PemBlock(header[1].decode().replace("+", " "), body, checksum, locked, whole, end)


def prove(armour: PemBlock) -> tuple[Confidence, str] | None:
    """How sure it is that the armour holds a key, and what kind; None for a stand-in or a damaged key."""
    found = _load(armour)
    if found is not None:
        return found if found[0] > Confidence.POSSIBLE else None
    drawn = armour.body
    if drawn.startswith(_OPENSSH_START):
        drawn = drawn.replace(_ZEROS, b"A")  # the first bytes of lengths
    varied = len(set(drawn)) >= 40 and entropy(drawn) >= 5 and not _SAME.search(drawn)
    if not varied or len(armour.body) < PLAUSIBLE_BODY or is_placeholder(drawn):
        return None
    return (Confidence.LIKELY, "") if armour.whole else (Confidence.POSSIBLE, "cut short")


def _load(armour: PemBlock) -> tuple[Confidence, str] | None:
    try:
        content = base64.b64decode(armour.body + b"=" * (-len(armour.body) % 4), validate=True)
    except binascii.Error:
        return None
    if not armour.whole:
        return None
    if armour.label.startswith("PGP"):
        proven = armour.checksum == base64.b64encode(crc24(content).to_bytes(3, "big"))
        return (Confidence.PROVEN, "OpenPGP, checksum fits") if proven and content[0] & 0x80 else None
    if armour.label.startswith("OPENSSH") or content.startswith(_OPENSSH):
        return _openssh(replace(armour, label="OPENSSH PRIVATE KEY"), content)
    if armour.locked:
        fits = b"ENCRYPTED" not in armour.label.encode() or der.is_sequence(content)
        return (Confidence.LIKELY, "locked with a passphrase") if fits else None
    return load_der(content)


def load_der(content: bytes) -> tuple[Confidence, str] | None:
    """Whether the bytes are a private key in DER (PKCS#8, PKCS#1, SEC 1 or DSA), not locked; possible when damaged."""
    from cryptography.hazmat.primitives.serialization import load_der_private_key

    if len(content) > MOST_DER or not der.is_sequence(content):
        return None
    return _try_load(lambda: load_der_private_key(content, None, unsafe_skip_rsa_key_validation=True))


def _openssh(armour: PemBlock, content: bytes) -> tuple[Confidence, str] | None:
    from cryptography.hazmat.primitives.serialization import load_ssh_private_key

    if not content.startswith(_OPENSSH):
        return None
    if content[15:23] != b"\0\0\0\x04none":
        return Confidence.LIKELY, "locked with a passphrase"
    return _try_load(lambda: load_ssh_private_key(armour.canonical(), None, unsafe_skip_rsa_key_validation=True))


def _try_load(load: Callable[[], object]) -> tuple[Confidence, str] | None:
    from cryptography.exceptions import UnsupportedAlgorithm

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an old algorithm is no news to who only looks whether a key leaked
        try:
            return _describe(load())
        except UnsupportedAlgorithm:
            return Confidence.LIKELY, "a key of an unknown kind"
        except (ValueError, TypeError):
            return None


def _describe(key: object) -> tuple[Confidence, str]:
    from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa

    match key:
        case rsa.RSAPrivateKey():
            bits = key.key_size
            if bits > MOST_RSA_BITS:
                return Confidence.LIKELY, f"RSA {bits}"
            return Confidence.PROVEN if rsa_fits(key.private_numbers()) else Confidence.POSSIBLE, f"RSA {bits}"
        case ec.EllipticCurvePrivateKey():
            return Confidence.PROVEN, f"EC {key.curve.name}"
        case dsa.DSAPrivateKey():
            return Confidence.PROVEN, f"DSA {key.key_size}"
        case _:
            return Confidence.PROVEN, type(key).__name__.removesuffix("PrivateKey")


def rsa_fits(numbers: object) -> bool:
    """Whether the numbers of an RSA private key belong together; arithmetic only, no test of primes."""
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateNumbers

    if not isinstance(numbers, RSAPrivateNumbers):
        return False
    public = numbers.public_numbers
    return (
        numbers.p > 1
        and numbers.q > 1
        and numbers.p * numbers.q == public.n
        and numbers.d * public.e % (numbers.p - 1) == 1
        and numbers.d * public.e % (numbers.q - 1) == 1
    )


def crc24(content: bytes) -> int:
    """The checksum of OpenPGP's armour (RFC 9580, section 6.1)."""
    crc = 0xB704CE
    for byte in content:
        crc ^= byte << 16
        for _ in range(8):
            crc <<= 1
            if crc & 0x1000000:
                crc ^= 0x1864CFB
    return crc & 0xFFFFFF
