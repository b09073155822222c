"""The state of an embedded cloud in memory, which can be copied: a test that begins where another one has come to makes no second way there."""

import sqlite3
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from orchestra_creds.emulator.service_usage.services import TITLES
from orchestra_creds.emulator.store.store import Store
from tests.strictness import switch_to_strict


@dataclass(frozen=True, slots=True)
class Image:
    """Everything that a store holds at one moment."""

    database: bytes
    box: AESGCM
    owner_token: str


class MemoryStore(Store):
    """A store that begins as an image and leaves no file."""

    def __init__(self, image: Image, *, wall: Callable[[], float]) -> None:  # it opens no file
        self.path = Path("/dev/null")
        self._wall, self._lock = wall, threading.Lock()
        self._database = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        self._database.deserialize(image.database)
        self._box, self.owner_token = image.box, image.owner_token

    @property
    def changes(self) -> int:
        """How many rows were written since it was opened."""
        return self._database.total_changes

    def image(self) -> Image:
        """Return what it holds now."""
        return Image(self._database.serialize(), self._box, self.owner_token)


@cache
def empty_image(*, strict: bool) -> Image:
    """Return the image of a new store; strict ones have the APIs on that are served from the start."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "emulator.db", wall=lambda: 0.0)
        if strict:
            switch_to_strict(store, apis=TITLES)
        store._database.execute("PRAGMA journal_mode=DELETE")  # an image in memory cannot have a log beside it
        image = Image(store._database.serialize(), store._box, store.owner_token)
        store.close()
    return image
