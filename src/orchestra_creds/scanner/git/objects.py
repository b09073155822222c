"""The files that hold a repository's objects, and the objects that have a file of their own.

Guarantees: alternates are followed as git does it, each once; what has the name of an object and is no file is neither
opened nor passed over in silence; a loose object never expands to more than it says. Nothing is written.
"""

import errno
import os
from pathlib import Path

from orchestra_creds.core.record import dataclass
from orchestra_creds.scanner.git import control_files
from orchestra_creds.scanner.git.pack import BLOB, COMMIT, TAG, TREE, begin, inflate

TYPE_CHECKING = False  # typing's own costs 3 ms
if TYPE_CHECKING:
    from collections.abc import Mapping

_LOOSE_HEAD = 4096  # bytes, more than the header and the check sum of a loose object take
KINDS = {b"commit": COMMIT, b"tree": TREE, b"blob": BLOB, b"tag": TAG}
"""The names that git gives the kinds."""


@dataclass(frozen=True, slots=True)
class ObjectDatabase:
    """The files that hold a repository's objects; `odd` are those that have the name of one and are no files.

    `loose` is the objects folder in which each object that has a file of its own lies, by its id.
    """

    indexes: tuple[Path, ...]
    loose: "Mapping[str, str]"
    odd: tuple[Path, ...]
    promised: bool

    @classmethod
    def open(cls, objects: Path) -> "ObjectDatabase":
        """What lies in an objects folder and in its alternates; a pack without an index is left out, as git does it."""
        indexes: dict[str, Path] = {}
        loose: dict[str, str] = {}
        odd: list[Path] = []
        promised = False
        for folder in map(Path, control_files.object_folders(str(objects))):
            packed = dict(_files(folder / "pack"))
            for name, is_file in packed.items():
                promised |= name.endswith(".promisor")
                pack = name.removesuffix(".idx") + ".pack"
                if name.endswith(".idx") and pack in packed:
                    if is_file and packed[pack]:
                        indexes.setdefault(name, folder / "pack" / name)
                    else:
                        odd.append(folder / "pack" / name)
            place = str(folder)
            for fan in (name for name, is_file in _files(folder) if not is_file and len(name) == 2 and _is_hex(name)):
                for rest, is_file in _files(folder / fan):
                    if len(rest) not in {38, 62} or not _is_hex(rest):
                        continue
                    if is_file:
                        loose.setdefault(fan + rest, place)
                    else:
                        odd.append(folder / fan / rest)
        return cls(
            tuple(sorted(indexes.values(), key=lambda path: (-path.with_suffix(".pack").stat().st_size, path.name))),
            loose,
            tuple(sorted(odd)),
            promised,
        )


def loose_path(folder: str, oid: str) -> str:
    """Return the path of a loose object in an objects folder."""
    return os.path.join(folder, oid[:2], oid[2:])


def read_loose(path: str, limit: int) -> tuple[int, bytes]:
    """Kind and text of a loose object.

    Raises:
        ValueError and inflate errors, see DAMAGED; OverflowError when it is larger than the limit; OSError.
    """
    most = limit + limit // 64 + _LOOSE_HEAD  # deflate adds less to what it cannot compress
    try:
        data = control_files.read_regular(path, most)
    except OSError as error:
        if error.errno == errno.EFBIG:
            raise OverflowError("larger than the limit") from None
        raise
    header, found, _ = begin(data, 64).partition(b"\0")
    name, _, number = header.partition(b" ")
    if not found or name not in KINDS or not number.isdigit():
        raise ValueError("the object is damaged")
    size = int(number)
    if size > limit:
        raise OverflowError("larger than the limit")
    text = inflate(memoryview(data), size + len(header) + 1)
    return KINDS[name], text[len(header) + 1 :]


def _files(folder: Path) -> list[tuple[str, bool]]:
    """The names in a folder, and whether each is a file (a link to one, too); none when there is no such folder."""
    try:
        with os.scandir(folder) as entries:
            return sorted((entry.name, _is_file(entry)) for entry in entries)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _is_file(entry: "os.DirEntry[str]") -> bool:
    """Whether this is a file, or a link to one."""
    try:
        return entry.is_file()
    except OSError:  # links in a loop
        return False


def _is_hex(name: str) -> bool:
    return not name.strip("0123456789abcdef")
