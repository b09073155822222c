"""Just enough DER to find where a structure ends and to check a PKCS#12 file's own checksum.

Reads definite lengths of at most three bytes and never recurses; anything else is "not DER". The checksum of a PKCS#12
file (RFC 7292, appendix B) proves a password without decrypting anything; the number of iterations that the file asks
for is bounded first, for a hostile file may ask for hours.
"""

import base64
import binascii
import hashlib
import hmac
import re

MOST_ITERATIONS = 100_000
_PIECE = re.compile(rb"""(?:\\+[nrt]|\s|["']\s{0,40}[+,]?\s{0,40}["'])*([A-Za-z0-9+/]+)""")
_HASHES = {
    bytes.fromhex("2b0e03021a"): "sha1",
    bytes.fromhex("608648016503040201"): "sha256",
    bytes.fromhex("608648016503040202"): "sha384",
    bytes.fromhex("608648016503040203"): "sha512",
}


def item(content: bytes, at: int = 0) -> tuple[int, int, int] | None:
    """Tag, start and end of the value that begins at `at`; None when it is not DER. The end may lie behind the bytes."""
    if at + 2 > len(content):
        return None
    tag, length = content[at], content[at + 1]
    start = at + 2
    if length >= 0x80:
        size = length - 0x80
        if not 1 <= size <= 3 or start + size > len(content):
            return None
        start, length = start + size, int.from_bytes(content[start : start + size], "big")
    return tag, start, start + length


def is_sequence(content: bytes) -> bool:
    """Whether the bytes are one sequence, whole, with nothing behind it."""
    outer = item(content)
    return outer is not None and outer[0] == 0x30 and outer[2] == len(content)


def from_base64(text: bytes) -> tuple[bytes, int] | None:
    """The sequence that base64 at the start of `text` holds, and how many bytes of the text it takes.

    Line breaks, written or escaped, and the seams of string literals are skipped; what follows the sequence is left.
    """
    letters, at = b"", 0
    while piece := _PIECE.match(text, at):
        letters, at = letters + piece[1], piece.end()
        if len(letters) < 8:
            continue
        outer = item(base64.b64decode(letters[:8]))
        if outer is None or outer[0] != 0x30:
            return None
        wanted = (outer[2] * 4 + 2) // 3
        if len(letters) >= wanted:
            try:
                content = base64.b64decode(letters[:wanted] + b"=" * (-wanted % 4))
            except binascii.Error:
                return None
            at -= len(letters) - wanted
            return content[: outer[2]], at + (len(text[at : at + 2]) - len(text[at : at + 2].lstrip(b"=")))
    return None


def pkcs12_opens(content: bytes, password: str) -> bool:
    """Whether the checksum of the PKCS#12 file fits the password. False also when it has none that can be checked."""
    checksum = _checksum(content)
    if checksum is None:
        return False
    name, salt, rounds, safe, digest = checksum
    return hmac.compare_digest(hmac.digest(_mac_key(password, salt, rounds, name), safe, name), digest)


def pkcs12_rounds(content: bytes) -> int:
    """How many hashes it takes to try one password on the PKCS#12 file; 0 when it has no checksum that can be checked."""
    checksum = _checksum(content)
    return checksum[2] if checksum else 0


def _checksum(content: bytes) -> tuple[str, bytes, int, bytes, bytes] | None:
    """The checksum of a PKCS#12 file: name of the hash, salt, rounds, what is signed, digest."""
    match _values(content):
        case [(0x30, file)]:
            pass
        case _:
            return None
    match _values(file):
        case [(0x02, b"\x03"), (0x30, info), (0x30, mac)]:
            pass
        case _:
            return None
    match _values(info), _values(mac):
        case [(0x06, _), (0xA0, wrapped)], [(0x30, digest_info), (0x04, salt), *rest]:
            rounds = int.from_bytes(rest[0][1], "big") if rest else 1
        case _:
            return None
    match _values(wrapped), _values(digest_info):
        case [(0x04, safe)], [(0x30, algorithm), (0x04, digest)]:
            name = next((_HASHES.get(value) for tag, value in _values(algorithm) if tag == 0x06), None)
        case _:
            return None
    if name is None or not 1 <= rounds <= MOST_ITERATIONS or len(salt) > 1024:
        return None
    return name, salt, rounds, safe, digest


def _values(content: bytes) -> list[tuple[int, bytes]]:
    """Tag and content of the values that stand one after another; empty when they are not DER or are cut short."""
    values: list[tuple[int, bytes]] = []
    at = 0
    while at < len(content) and len(values) < 8:
        value = item(content, at)
        if value is None or value[2] > len(content):
            return []
        values.append((value[0], content[value[1] : value[2]]))
        at = value[2]
    return values


def _mac_key(password: str, salt: bytes, rounds: int, name: str) -> bytes:
    """The key of the checksum: the first block of RFC 7292's key derivation, purpose 3."""
    block = hashlib.new(name, usedforsecurity=False).block_size
    encoded = password.encode("utf-16-be") + b"\0\0"
    key = b"\3" * block + _fill(salt, block) + _fill(encoded, block)
    for _ in range(rounds):
        key = hashlib.new(name, key, usedforsecurity=False).digest()
    return key


def _fill(text: bytes, block: int) -> bytes:
    """The text repeated until it fills whole blocks."""
    length = -(-len(text) // block) * block
    return (text * (length // max(len(text), 1) + 1))[:length]
