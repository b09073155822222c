r"""Texts from outside, made fit to show: names, and the reasons of the system.

A path in a repository may hold line breaks, terminal escapes, right-to-left marks, or bytes that are no UTF-8 (which
Python carries as lone surrogates). `visible` is for people: everything unprintable becomes `\n`, `\x1b`, `\u202e`.
`portable` is for machines: the text stays as it is, only bytes that are no UTF-8 become `\xNN`.
"""


def _escape_char(char: str) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is no UTF-8, as `os.fsdecode` carries it
        return f"\\x{code - 0xDC00:02x}"
    return char.encode("unicode_escape").decode()


def visible(text: str) -> str:
    """The text on one line, without anything that a terminal or a browser could act on."""
    return text if text.isprintable() else "".join(char if char.isprintable() else _escape_char(char) for char in text)


def portable(text: str) -> str:
    """The text as valid Unicode: lone surrogates escaped, all else untouched."""
    if text.isascii():
        return text
    return "".join(_escape_char(char) if 0xD800 <= ord(char) <= 0xDFFF else char for char in text)


def os_error_text(error: OSError) -> str:
    """Return the system's reason for an error in lower case, such as "no such file or directory"."""
    return (error.strerror or type(error).__name__).lower()
