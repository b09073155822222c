"""Sightings on a private pipe between our own processes.

`Material` cannot be pickled, on purpose; here it is unwrapped for the one journey from a worker to the process that forked
it, through a pipe that nobody else holds. A rule travels as its position, which both processes know.
"""

import marshal
from collections.abc import Sequence
from typing import Any

from orchestra_creds.core.material import Material
from orchestra_creds.scanner.detection import Detection, Sighting
from orchestra_creds.scanner.finding import FindingPlace
from orchestra_creds.scanner.rule import Confidence, Rule


class SightingCodec:
    """Writes and reads sightings of the given rules."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = rules
        self._position = {rule.id: position for position, rule in enumerate(rules)}

    def dumps(self, sightings: Sequence[Sighting], *more: Any) -> bytes:
        """The sightings and further plain values (numbers, bytes, text, tuples and lists of them) as bytes."""
        return marshal.dumps(([self._plain(sighting) for sighting in sightings], *more))

    def loads(self, data: bytes) -> tuple[list[Sighting], tuple[Any, ...]]:
        """What `dumps` was given."""
        plain, *more = marshal.loads(data)  # noqa: S302  written by a process that we forked, on a pipe that only it has
        return [self._sighting(item) for item in plain], tuple(more)

    def _plain(self, sighting: Sighting) -> tuple[Any, ...]:
        found, place = sighting.detection, sighting.place
        return (
            self._position[found.rule.id],
            (found.start, found.end, found.read_from, found.read_to),
            found.material.reveal(),
            int(found.confidence),
            found.decoded,
            found.note,
            (place.path, place.line, place.end_line, place.column),
            (place.commit, place.author, place.date, place.in_head),
            sighting.line.reveal(),
            sighting.match.reveal(),
            sighting.allow,
        )

    def _sighting(self, plain: tuple[Any, ...]) -> Sighting:
        position, span, material, confidence, decoded, note, place, where, line, match, allow = plain
        start, end, read_from, read_to = span
        found = Detection(
            self._rules[position],
            start,
            end,
            read_from,
            read_to,
            Material(material),
            Confidence(confidence),
            decoded,
            note,
        )
        return Sighting(found, FindingPlace(*place, *where), Material(line), Material(match), allow)
