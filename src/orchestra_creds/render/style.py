"""What a text may assume of the place it is written to: a terminal or not, colours or not.

A pipe or a file never gets colours, whatever FORCE_COLOR or GITHUB_ACTIONS say: their reader is a program. A terminal
gets them unless NO_COLOR is set to anything, or TERM says `dumb`; then not even bold.
"""

import os
from collections.abc import Mapping

from orchestra_creds.core.record import dataclass

TYPE_CHECKING = False  # typing's own costs 2 ms
if TYPE_CHECKING:
    from typing import IO, Any

_CODES = {"red": "31", "yellow": "33", "cyan": "36", "green": "32", "dim": "2", "bold": "1", "bold red": "1;31"}

DEFAULT_WIDTH = 80


@dataclass(frozen=True, slots=True)
class Style:
    """How to write: for a person at a terminal (`terminal`) of `width` columns, with colours (`color`)."""

    terminal: bool = False
    color: bool = False
    width: int = DEFAULT_WIDTH

    def paint(self, text: str, how: str) -> str:
        """The text in a colour, where colours are wanted."""
        return f"\x1b[{_CODES[how]}m{text}\x1b[0m" if self.color else text


PLAIN = Style()


def style_of(stream: "IO[Any] | None", environment: Mapping[str, str], *, color: bool = True) -> Style:
    """The style that suits a stream; `color=False` is `--no-color`."""
    terminal = stream is not None and stream.isatty()
    wanted = color and not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"
    return Style(terminal, terminal and wanted, _columns(environment) if terminal else DEFAULT_WIDTH)


def _columns(environment: Mapping[str, str]) -> int:
    """The width that the user names, else that of the terminal behind stdout, else 80."""
    named = environment.get("COLUMNS", "")
    if named.isdecimal() and len(named) < 6 and int(named) > 0:
        return int(named)
    try:
        return os.get_terminal_size().columns or DEFAULT_WIDTH
    except OSError:
        return DEFAULT_WIDTH
