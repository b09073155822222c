"""Kinds of content that a clone of a repository may lack, by their names in `--accept-missing`.

A scan that meets one is incomplete, unless the operator has accepted this kind: then the report has a note instead.
"""

from collections.abc import Collection, Iterable

from orchestra_creds.errors import ConfigError
from orchestra_creds.scanner.finding import SkippedItem

SHALLOW = "shallow"
PARTIAL = "partial"
LFS = "lfs"
SUBMODULES = "submodules"
ABSENCES = (SHALLOW, PARTIAL, LFS, SUBMODULES)


def parse_absences(text: str) -> tuple[str, ...]:
    """Return the kinds in a list with commas.

    Raises:
        ConfigError: a name is unknown, or there is none.
    """
    names = tuple(name.strip() for name in text.split(","))
    for name in names:
        if name not in ABSENCES:
            raise ConfigError(
                f"--accept-missing: there is no kind {name!r}", hint=f"one or more of {','.join(ABSENCES)}"
            )
    return names


def split_accepted(items: Iterable[SkippedItem], accepted: Collection[str]) -> tuple[list[SkippedItem], list[str]]:
    """Return the items that make a report incomplete, and a note for each that the operator has accepted."""
    skipped: list[SkippedItem] = []
    notes: list[str] = []
    for item in sorted(set(items), key=lambda one: (one.path, one.reason)):
        if item.absence and item.absence in accepted:
            notes.append(f"missing and accepted: {item.path}: {item.reason}")
        else:
            skipped.append(item)
    return skipped, notes
