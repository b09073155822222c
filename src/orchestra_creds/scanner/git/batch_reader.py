"""What `git cat-file --batch` answers, read from its pipe: lines and blocks of known size, in bounded memory."""

import os

TYPE_CHECKING = False  # typing's own costs 3 ms
if TYPE_CHECKING:
    from collections.abc import Callable

CHUNK = 1 << 18
"""Bytes asked for at once."""


class BatchReader:
    """Reads lines and blocks from a descriptor."""

    def __init__(self, fd: int, wait: "Callable[[], object]" = lambda: None) -> None:
        """`wait` returns when there is something to read, and raises when nothing will come."""
        self._fd = fd
        self._wait = wait
        self._buffer = bytearray()
        self._at = 0

    def _more(self) -> bool:
        self._wait()
        chunk = os.read(self._fd, CHUNK)
        if self._at:
            del self._buffer[: self._at]
            self._at = 0
        self._buffer += chunk
        return bool(chunk)

    def line(self) -> bytes:
        """The next line without its end; empty at the end of the stream."""
        while (end := self._buffer.find(b"\n", self._at)) < 0:
            if not self._more():
                if len(self._buffer) > self._at:
                    raise EOFError
                return b""
        line = bytes(self._buffer[self._at : end])
        self._at = end + 1
        return line

    def take(self, size: int) -> bytes:
        """Exactly so many bytes."""
        while len(self._buffer) - self._at < size:
            if not self._more():
                raise EOFError
        taken = bytes(memoryview(self._buffer)[self._at : self._at + size])
        self._at += size
        return taken

    def skip(self, size: int) -> None:
        """Passes over so many bytes without holding them."""
        while size > (have := len(self._buffer) - self._at):
            size -= have
            self._at = len(self._buffer)
            if not self._more():
                raise EOFError
        self._at += size
