"""The formats of archives, known by their first bytes and never by a file's name.

A format without a reader has a member of `ArchiveKind` too: the scan names each file of it as not looked at.
A magic number of few bytes is believed only if the header behind it holds what its format demands.
"""

import re
from collections.abc import Callable
from enum import Enum

from orchestra_creds.scanner.buffers import MAGIC_STARTS, MAGICS, ZIP_END, ZIP_END_SIZE
from orchestra_creds.scanner.content import tar

HEAD = 512
"""Bytes at the start of a file that tell what it is."""


class ArchiveKind(Enum):
    """A format that holds other files, or one file compressed. The value is its name in `buffers.MAGICS`."""

    ZIP = "zip"
    TAR = "tar"
    GZIP = "gzip"
    BZIP2 = "bzip2"
    XZ = "xz"
    LZMA = "lzma"
    ZSTD = "zstd"
    AR = "ar"
    SEVEN_ZIP = "7z"
    RAR = "rar"
    LZ4 = "lz4"
    CAB = "cab"
    RPM = "rpm"
    CPIO = "cpio"
    COMPRESS = "compress"
    LZIP = "lzip"
    LZOP = "lzop"
    ARJ = "arj"
    LHA = "lha"
    XAR = "xar"
    SQUASHFS = "squashfs"
    WIM = "wim"
    LRZIP = "lrzip"
    BZIP3 = "bzip3"
    SNAPPY = "snappy"
    SZDD = "szdd"
    STUFFIT = "stuffit"
    ANDROID_BACKUP = "android-backup"
    KEEPASS = "keepass"
    LUKS = "luks"
    SQLITE = "sqlite"

    @property
    def compresses_one(self) -> bool:
        """Whether it holds exactly one stream without a name."""
        return self in _COMPRESSED

    @property
    def is_sought_in(self) -> bool:
        """Whether its reader needs all of it at once, to go back and forth."""
        return self in {ArchiveKind.ZIP, ArchiveKind.SQLITE}

    @property
    def unread_reason(self) -> str:
        """Why its content cannot be looked at; "" for a format that has a reader."""
        if self in _READ:
            return ""
        if self in _ENCRYPTED:
            return f"{_ENCRYPTED[self]} is encrypted: its content was not looked at"
        return f"archives of the format {self.value} cannot be read: its content was not looked at"


_COMPRESSED = frozenset((ArchiveKind.GZIP, ArchiveKind.BZIP2, ArchiveKind.XZ, ArchiveKind.LZMA, ArchiveKind.ZSTD))
_READ = _COMPRESSED | {ArchiveKind.ZIP, ArchiveKind.TAR, ArchiveKind.AR, ArchiveKind.SQLITE}
_ENCRYPTED = {ArchiveKind.KEEPASS: "a KeePass database", ArchiveKind.LUKS: "a LUKS volume"}

# Compiled at first use: every start would pay.
_HEX_110 = rb"0707[0-9A-Fa-f]{106}"
_OCTAL_76 = rb"070707[0-7]{70}"
_LHA = rb"(?s)..-l[hz][0-9ds]-"
_FEWEST_BITS, _MOST_BITS = 9, 16


def _is_bzip2(head: bytes) -> bool:
    return head[4:10] in (b"1AY&SY", b"\x17rE8P\x90")


def _is_lzma(head: bytes) -> bool:
    """Whether the header of a stream without a container is one that writers make: they draw on few dictionary sizes."""
    dictionary, size = int.from_bytes(head[1:5], "little"), head[5:13]
    low = dictionary & -dictionary
    return (
        len(head) > 13
        and head[13] == 0
        and dictionary in (low, 3 * low, (1 << 32) - 1)
        and (size == b"\xff" * 8 or size[5:] == b"\0\0\0")
    )


def _is_cpio(head: bytes) -> bool:
    if head.startswith(b"070707"):
        return re.match(_OCTAL_76, head) is not None
    if head.startswith(b"0707"):
        return re.match(_HEX_110, head) is not None
    name_size = int.from_bytes(head[20:22], "little" if head.startswith(b"\xc7q") else "big")
    name = head[26 : 26 + name_size]
    return 1 < name_size <= HEAD and len(name) == name_size and name.find(b"\0") == name_size - 1


def _is_compress(head: bytes) -> bool:
    if head[1:2] != b"\x9d":
        return True
    flags = head[2:3] or b"\0"
    return not flags[0] & 0x60 and _FEWEST_BITS <= flags[0] & 0x1F <= _MOST_BITS


def _is_arj(head: bytes) -> bool:
    return 0 < int.from_bytes(head[2:4], "little") <= 2600 and head[10:11] == b"\2"


def _is_lzip(head: bytes) -> bool:
    return head[4:5] in (b"\0", b"\1")


def _is_squashfs(head: bytes) -> bool:
    return head[28:30] == b"\4\0"


_CHECKS: dict[ArchiveKind, Callable[[bytes], bool]] = {
    ArchiveKind.BZIP2: _is_bzip2,
    ArchiveKind.LZMA: _is_lzma,
    ArchiveKind.CPIO: _is_cpio,
    ArchiveKind.COMPRESS: _is_compress,
    ArchiveKind.ARJ: _is_arj,
    ArchiveKind.LZIP: _is_lzip,
    ArchiveKind.SQUASHFS: _is_squashfs,
}


def kind_of(head: bytes) -> ArchiveKind | None:
    """Return the format of a file that starts with `head`; None for a file that is no archive."""
    if head and head[0] in MAGIC_STARTS:
        for magic, name in MAGICS.items():
            if head.startswith(magic):
                kind = ArchiveKind(name)
                if kind not in _CHECKS or _CHECKS[kind](head):
                    return kind
    if tar.is_tar(head):
        return ArchiveKind.TAR
    return ArchiveKind.LHA if head[2:3] == b"-" and re.match(_LHA, head) and b"\0" in head else None


def ends_as_zip(tail: bytes) -> bool:
    """Whether a file that ends with `tail` is a zip behind something else: a program that unpacks itself, a .pyz."""
    return tail[-ZIP_END_SIZE:].startswith(ZIP_END)
