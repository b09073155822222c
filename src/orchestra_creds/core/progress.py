"""How a long job tells that it goes on. A port like those in `ports.py`, apart from them because a scan needs only this one."""

from typing import Protocol


class Progress(Protocol):
    """Listens to a long job. Called from one thread; must return at once and never raise."""

    def announce(self, what: str) -> None:
        """Something that takes seconds comes first, in words."""

    def start(self, *, items: int | None, size: int | None) -> None:
        """The job begins: `items` (files or objects) and `size` bytes are ahead, None when unknown."""

    def advance(self, *, items: int = 0, size: int = 0) -> None:
        """So many more items and bytes are done."""

    def add_findings(self, count: int) -> None:
        """So many more findings came up."""

    def finish(self) -> None:
        """The job is over, also after an error."""


class NoProgress:
    """The listener that does nothing: off a terminal, and in tests."""

    def announce(self, what: str) -> None:
        """Nothing."""

    def start(self, *, items: int | None, size: int | None) -> None:
        """Nothing."""

    def advance(self, *, items: int = 0, size: int = 0) -> None:
        """Nothing."""

    def add_findings(self, count: int) -> None:
        """Nothing."""

    def finish(self) -> None:
        """Nothing."""
