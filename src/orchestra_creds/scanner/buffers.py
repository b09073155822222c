"""How texts lie side by side in one buffer, and the bytes that tell which of them may be more than text.

Imports nothing: the first look at staged changes reads it.
"""

SEPARATOR = b"\n\0\n"
"""Between texts in one buffer: no match reaches across it, and every line ends there. `_native.c` and `_files.c` have it too."""

MAGIC_STARTS = frozenset(b"P\x1fB\xfd\xff\xfe")
"""First bytes of archives (zip, gzip, bzip2, xz) and of byte order marks."""

SAMPLE = 1024
"""Bytes at the start of a text that tell its encoding and what kind of file it is."""

ZIP_END = b"PK\5\6"
ZIP_END_SIZE = 22
"""Start and size in bytes of the record that ends a zip."""
