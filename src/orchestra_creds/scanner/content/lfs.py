"""Pointers of Git LFS: small texts that git keeps in the place of large files, which lie elsewhere."""

import re

from orchestra_creds.core.record import dataclass
from orchestra_creds.scanner.buffers import LFS_START

TYPE_CHECKING = False  # typing's own costs 3 ms
if TYPE_CHECKING:
    from orchestra_creds.scanner.checks.verdict import Buffer

MOST = 1024
"""Bytes of a pointer at most, as the format's specification has it."""

_POINTER = rb"(?:ext-[0-9]-[^\n]*\n)*oid sha256:([0-9a-f]{64})\nsize ([0-9]{1,19})\n?"


@dataclass(frozen=True, slots=True)
class LfsPointer:
    """The id of a large file, which is the SHA-256 of its content in hexadecimal, and its size in bytes."""

    oid: str
    size: int


def read_pointer(text: "Buffer") -> LfsPointer | None:
    """Return the pointer that a text is, or None for any other text."""
    if len(text) >= MOST:
        return None
    content = bytes(text)
    if not content.startswith(LFS_START):
        return None
    found = re.fullmatch(_POINTER, content[len(LFS_START) :])
    return None if found is None else LfsPointer(found[1].decode(), int(found[2]))


def object_path(oid: str) -> str:
    """Return where Git LFS keeps an object, relative to the git folder."""
    return f"lfs/objects/{oid[:2]}/{oid[2:4]}/{oid}"
