"""`--exclude`: which paths an operator leaves out.

A glob without a slash names a file or folder anywhere (`node_modules`, `*.min.js`); one with a slash is a path from the
scanned root (`docs/*.md`, `/build`, `a/**/z`). `*` and `?` stay within one name, `**` crosses folders, `[a-z]` and `[!a-z]`
are one character. A folder that is left out is left out with everything in it. Paths are bytes, as the disk has them.
"""

import re
from collections.abc import Sequence

from orchestra_creds.core.record import dataclass, field
from orchestra_creds.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Exclusions:
    """The globs of one scan, compiled."""

    globs: tuple[str, ...] = ()
    _pattern: re.Pattern[bytes] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        if self.globs:
            joined = b"|".join(_translate(glob) for glob in self.globs)
            try:
                pattern = re.compile(b"(?s:(?:" + joined + b")(?:/.*)?)\\Z")
            except re.error:
                raise ConfigError(
                    "--exclude holds a glob that is malformed", hint="a range runs upwards: [a-z]; [[] is the bracket"
                ) from None
            object.__setattr__(self, "_pattern", pattern)

    def __bool__(self) -> bool:
        return self._pattern is not None

    def match(self, path: bytes) -> bool:
        """Whether `path` (relative, slashes) is left out, itself or with a folder above it."""
        return self._pattern is not None and self._pattern.match(path) is not None

    def keep(self, paths: Sequence[bytes]) -> list[bytes]:
        """The paths that are not left out."""
        if self._pattern is None:
            return list(paths)
        match = self._pattern.match
        return [path for path in paths if match(path) is None]


def _translate(glob: str) -> bytes:
    """The glob as a regular expression for the path, or for one of the folders above it."""
    text = glob.rstrip("/")
    if not text:
        raise ConfigError("--exclude needs a glob that is not empty", hint="for example --exclude node_modules")
    anywhere = "/" not in text
    text = text.removeprefix("./").lstrip("/")
    out = b"(?:.*/)?" if anywhere else b""
    at = 0
    while at < len(text):
        if text.startswith("**/", at):
            out += b"(?:.*/)?"
            at += 3
        elif text.startswith("**", at):
            out += b".*"
            at += 2
        elif text[at] == "*":
            out += b"[^/]*"
            at += 1
        elif text[at] == "?":
            out += b"[^/\x80-\xbf][\x80-\xbf]*"  # one character of UTF-8
            at += 1
        elif text[at] == "[" and (end := text.find("]", at + 2)) > 0:
            inner = text[at + 1 : end]
            negated = inner.startswith(("!", "^"))
            body = re.escape(inner[1:] if negated else inner).replace("\\-", "-")
            out += b"[" + (b"^/" if negated else b"") + body.encode("utf-8", "surrogateescape") + b"]"
            at = end + 1
        else:
            out += re.escape(text[at].encode("utf-8", "surrogateescape"))
            at += 1
    return out
