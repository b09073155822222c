"""How texts lie side by side in one buffer, and the bytes that tell which of them may be more than text.

Imports nothing: the first look at staged changes reads it.
"""

SEPARATOR = b"\n\0\n"
"""Between texts in one buffer: no match reaches across it, and every line ends there. `_native.c` and `_files.c` have it too."""

ZIP_END = b"PK\5\6"
ZIP_END_SIZE = 22
"""Start and size in bytes of the record that ends a zip."""

MAGICS = {
    b"PK\3\4": "zip",
    ZIP_END: "zip",
    b"PK\7\x08PK\3\4": "zip",
    b"PK00PK\3\4": "zip",
    b"\x1f\x8b\x08": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\0": "xz",
    b"]\0\0": "lzma",
    b"(\xb5/\xfd": "zstd",
    **{bytes((first,)) + b"*M\x18": "zstd" for first in range(0x50, 0x60)},  # frames to pass over
    b"!<arch>\n": "ar",
    b"7z\xbc\xaf'\x1c": "7z",
    b"Rar!\x1a\x07": "rar",
    b'\x04"M\x18': "lz4",
    b"\x02!L\x18": "lz4",
    b"MSCF\0\0\0\0": "cab",
    b"ISc(": "cab",
    b"\xed\xab\xee\xdb": "rpm",
    b"070701": "cpio",
    b"070702": "cpio",
    b"070707": "cpio",
    b"\xc7q": "cpio",
    b"q\xc7": "cpio",
    b"\x1f\x9d": "compress",
    b"\x1f\xa0": "compress",
    b"\x1f\x1e": "compress",
    b"LZIP": "lzip",
    b"\x89LZO\0": "lzop",
    b"`\xea": "arj",
    b"xar!": "xar",
    b"hsqs": "squashfs",
    b"MSWIM\0\0\0": "wim",
    b"LRZI\0": "lrzip",
    b"BZ3v1": "bzip3",
    b"\xff\x06\0\0sNaPpY": "snappy",
    b"SZDD\x88\xf0'3": "szdd",
    b"KWAJ\x88\xf0\xd1'": "szdd",
    b"StuffIt (c)": "stuffit",
    b"ANDROID BACKUP\n": "android-backup",
    b"\x03\xd9\xa2\x9a": "keepass",
    b"LUKS\xba\xbe": "luks",
    b"SQLite format 3\0": "sqlite",
}
"""First bytes of an archive, to the name of its format in `content/formats.py`. `_files.c` has their first four bytes too."""

LFS_START = b"version https://git-lfs.github.com/spec/v1\n"
"""Start of a pointer that Git LFS keeps in the place of a large file. `_files.c` has it too."""

SPECIAL_STARTS = (*MAGICS, b"\xff\xfe", b"\xfe\xff", LFS_START)
"""First bytes of archives, of byte order marks, and of pointers to large files."""

MAGIC_STARTS = frozenset(start[0] for start in SPECIAL_STARTS)
"""The first of these bytes: few texts need a closer look."""

SAMPLE = 1024
"""Bytes at the start of a text that tell its encoding and what kind of file it is."""
