"""The rules by which programs that are not on this machine read what `secret export` writes, and values that are hard to write."""

import random
import re
from collections.abc import Iterator

BEGIN, END = "-----BEGIN " + "PRIVATE KEY-----", "-----END " + "PRIVATE KEY-----"
ATOMS = [
    *"'\"`\\$#;=&|<>(){}[]*?!~%^,:@ \t\n\r\x01\x07\x08\x0b\x0c\x1b\x1c\x7f\x80\x85\xa0\xad",
    *"aZ09é漢🔑\u0301\u200b\u202e\u2028\u2029\ufeff\ufdd0\ufffd\ufffe\uffff\U0001fffe\U0010ffff",
    "\r\n", "\\n", "\\\n", "\\\\", "$$", "$(", "${", "${X}", "${X:-y}", "$HOME", "%0A", "%25", "<<", "EOF", "::add-mask::",
    "export ", "NAME=", "''", '""', "\\'", '\\"', " #", "#!", "null", "true", "no", "1e3", "0x1f", "---", BEGIN, END,
]  # fmt: skip


def hostile_values(count: int) -> dict[str, str]:
    """Return the same values under variable names at every run; the first are single atoms, the others up to eight of them."""
    chosen = random.Random(17)
    values = [*ATOMS, *("".join(chosen.choices(ATOMS, k=chosen.randint(0, 8))) for _ in range(count - len(ATOMS)))]
    return {f"V{number}": value for number, value in enumerate(values)}


YAML_ATOMS = [
    "no", "NO", "on", "off", "yes", "y", "n", "null", "Null", "true", "False", "nan", "inf", "-", "---", "_", "0", "1", "7", "123", "0x1f",
    "0o7", "0b1", "1_000", "1e3", "2026-12-01", "e", "E", "x",
]  # fmt: skip
"""What a reader of YAML 1.1 or 1.2 may take for something else than text, made of the characters that a secret's name may have."""


def hostile_names(count: int) -> list[str]:
    """Return the same names of secrets at every run; the first are single atoms, the others up to five of them."""
    chosen = random.Random(18)
    names = dict.fromkeys(YAML_ATOMS)
    while len(names) < count:
        names["".join(chosen.choices(YAML_ATOMS, k=chosen.randint(2, 5)))] = None
    return list(names)


class SystemdRefusalError(Exception):
    """systemd ignores the whole file."""


def read_as_systemd(text: str) -> dict[str, str]:
    """Read an EnvironmentFile= with the states of systemd's parser (src/basic/env-file.c); a line starts no comment here."""
    found: dict[str, str] = {}
    rest = iter(text)
    while name := _until_equals(rest):
        value = "".join(_value(rest))
        if any(0xFDD0 <= ord(char) <= 0xFDEF or ord(char) & 0xFFFE == 0xFFFE for char in value):
            raise SystemdRefusalError(name)
        found[name] = value
    return found


def _until_equals(rest: Iterator[str]) -> str:
    name = ""
    for char in rest:
        if char == "=":
            return name.strip()
        name = "" if char in "\n\r" else name + char
    return ""


def _value(rest: Iterator[str]) -> Iterator[str]:
    """Yield the characters of a value: unquoted or in quotes, which may change within it, up to the end of the line."""
    quote, blanks = "", ""
    for char in rest:
        if not quote and char in "\n\r":
            return
        if char == quote or (not quote and char in "'\""):
            quote = "" if quote else char
        elif char == "\\" and quote != "'":
            escaped = next(rest, "")
            kept = char if quote and escaped not in '"\\`$\n' else ""
            yield blanks + kept + ("" if escaped in "\n\r" and not kept else escaped)
            blanks = ""
        elif not quote and char in " \t":
            blanks += char
        else:
            yield blanks + char
            blanks = ""


def read_as_runner(text: str) -> dict[str, str]:
    """Read the file that GITHUB_ENV names as GitHub's runner does on Linux (EnvFileKeyValuePairs in src/Runner.Worker)."""
    found = {}
    lines = iter(re.findall(r"[^\n]*\n|[^\n]+", text))
    for line in (line.removesuffix("\n") for line in lines):
        name, opened, end = line.partition("<<")
        assert opened, "NAME=value is not what we write"
        assert name, "Name must not be empty"
        value = ""
        for one in lines:
            if one.removesuffix("\n") == end:
                break
            value += one
        else:
            raise AssertionError("Matching delimiter not found")
        found[name] = value.removesuffix("\n")
    return found


def read_masks(text: str) -> list[str]:
    """Return what the runner masks after it has read these lines of a log (ActionCommand.TryParseV2, AddMaskCommandExtension)."""
    found = []
    for line in re.split(r"\r\n|\r|\n", text):
        _, separator, data = line.partition("::add-mask::")
        if separator:
            data = data.replace("%0D", "\r").replace("%0A", "\n").replace("%25", "%")
            found += [data, *filter(None, (part.strip() for part in re.split(r"[\r\n]", data)))]
    return found
