"""What gitleaks decides after a match, decided on our sightings.

Guarantees: the result depends on the sightings as a set; a foreign rule's material becomes its secret, as gitleaks chooses
it; what one rule allows hides no match of another. Nothing here reads a file but through `read`, for keywords.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from math import log2

from orchestra_creds.core.material import Material
from orchestra_creds.scanner.detection import Detection, Sighting
from orchestra_creds.scanner.finding import FindingPlace
from orchestra_creds.scanner.gitleaks.accepted import GitleaksEntry
from orchestra_creds.scanner.gitleaks.allowlist import Allowlist, AllowlistInput
from orchestra_creds.scanner.gitleaks.config import RequiredRule
from orchestra_creds.scanner.gitleaks.rule_names import means
from orchestra_creds.scanner.libraries import Regex
from orchestra_creds.scanner.rule import Rule


@dataclass(frozen=True, slots=True)
class RuleConstraints:
    """What a configuration says about a rule beyond its pattern; `regex` only when the pattern is the configuration's."""

    regex: Regex | None = None
    group: int = 0
    entropy: float = 0.0
    path: Regex | None = None
    keywords: tuple[bytes, ...] = ()
    allowlists: tuple[Allowlist, ...] = ()
    required: tuple[RequiredRule, ...] = ()
    skip_report: bool = False


@dataclass(slots=True)
class GitleaksPolicy:
    """Decides which sightings count. `read` gives the text of a file of the scanned tree, None when it cannot.

    own_files    paths that are never reported: the configuration and the baseline themselves
    hidden       the findings that `keep` took out because an allowlist or an entry accepts them
    """

    extras: dict[str, RuleConstraints] = field(default_factory=dict)
    allowlists: list[Allowlist] = field(default_factory=list)
    path_rules: list[tuple[Rule, RuleConstraints]] = field(default_factory=list)
    accepted: tuple[GitleaksEntry, ...] = ()
    own_files: frozenset[str] = frozenset()
    read: Callable[[str], bytes | None] | None = None
    hidden: set[tuple[str, Material, str]] = field(default_factory=set)

    @property
    def own(self) -> frozenset[str]:
        """The ids of the rules whose pattern comes from a configuration."""
        by_name = (rule.id for rule, _ in self.path_rules)
        return frozenset([*by_name, *(id_ for id_, extra in self.extras.items() if extra.regex is not None)])

    def keep(self, sightings: Sequence[Sighting]) -> list[Sighting]:
        """The sightings that count, in the order given; the material of a foreign rule becomes its secret."""
        passed = [kept for sighting in sightings if (kept := self._judge(sighting)) is not None]
        nearby = _NearbyMatches(passed)
        passed = [s for s in passed if self._meets_requirements(s, nearby)]
        skipped = {id_ for id_, extra in self.extras.items() if extra.skip_report}
        accepted: dict[str, list[GitleaksEntry]] = {}
        for entry in self.accepted:
            accepted.setdefault(entry.path, []).append(entry)
        own = self.own

        def counts(one: Sighting) -> bool:
            old = accepted.get(one.place.path, ())
            if one.detection.rule.id in skipped:
                return False
            if any(entry.accepts(one, own) for entry in old):
                self._hide(one)
                return False
            return True

        return _drop_duplicates([s for s in passed if counts(s)])

    def detect_paths(self, paths: Iterable[str]) -> list[Sighting]:
        """Sightings of the rules that look at names alone; the caller names every file that it looks at."""
        return [
            _of_path(rule, path)
            for rule, extra in self.path_rules
            for path in paths
            if extra.path is not None and _matches(extra.path, _path_bytes(path))
        ]

    def _judge(self, sighting: Sighting) -> Sighting | None:
        place, rule = sighting.place, sighting.detection.rule
        if place.path in self.own_files:
            return None
        extra = self.extras.get(rule.id, RuleConstraints())
        match = sighting.match.reveal()
        if extra.regex is not None:
            match = sighting.detection.material.reveal().strip(b"\n")
            secret = _secret(extra.regex, extra.group, match)
            if extra.entropy and character_entropy(secret) <= extra.entropy:
                return None
            sighting = replace(sighting, detection=replace(sighting.detection, material=Material(secret)))
        path = _path_bytes(place.path)
        if extra.path is not None and not _matches(extra.path, path):
            return None
        if extra.keywords and not self._has_keyword(sighting, extra.keywords):
            return None
        one = AllowlistInput(path, place.commit, sighting.detection.material.reveal(), match, sighting.line.reveal())
        lists = [a for a in self.allowlists if not a.rules or rule.id in a.rules]
        if any(a.allows(one) for a in (*lists, *extra.allowlists)):
            self._hide(sighting)
            return None
        return sighting

    def _hide(self, sighting: Sighting) -> None:
        detection = sighting.detection
        self.hidden.add((detection.rule.id, detection.material, sighting.place.path))

    def _has_keyword(self, sighting: Sighting, keywords: tuple[bytes, ...]) -> bool:
        """Whether a keyword stands on the lines of the match, else in its file; a file that cannot be read has it."""
        near = sighting.line.reveal().lower() + sighting.detection.material.reveal().lower()
        if any(word in near for word in keywords):
            return True
        text = self.read(sighting.place.path) if self.read and not sighting.place.commit else None
        return text is None or any(word in text.lower() for word in keywords)

    def _meets_requirements(self, sighting: Sighting, nearby: "_NearbyMatches") -> bool:
        required = self.extras.get(sighting.detection.rule.id, RuleConstraints()).required
        return all(nearby.has(sighting.place, need) for need in required)


class _NearbyMatches:
    """Answers whether a rule matched near a place, without comparing every sighting with every other."""

    def __init__(self, sightings: Sequence[Sighting]) -> None:
        self._places: dict[tuple[str, str, str], list[tuple[int, int]]] = {}
        self._rules = {sighting.detection.rule.id for sighting in sightings}
        for one in sightings:
            key = (one.place.path, one.place.commit, one.detection.rule.id)
            self._places.setdefault(key, []).append((one.place.line, one.place.column))
        for places in self._places.values():
            places.sort()

    def has(self, place: FindingPlace, need: RequiredRule) -> bool:
        """Whether the required rule matched in the same file and commit, within the lines and columns asked for."""
        return any(
            need.within_columns is None or abs(column - place.column) <= need.within_columns
            for rule in self._rules
            if means(need.id, rule)
            for _, column in self._places_within_lines(
                self._places.get((place.path, place.commit, rule), []), place, need
            )
        )

    @staticmethod
    def _places_within_lines(
        places: list[tuple[int, int]], place: FindingPlace, need: RequiredRule
    ) -> list[tuple[int, int]]:
        if need.within_lines is None:
            return places
        low = bisect_left(places, (place.line - need.within_lines, 0))
        return places[low : bisect_left(places, (place.line + need.within_lines + 1, 0))]


def _drop_duplicates(sightings: list[Sighting]) -> list[Sighting]:
    """Where an added and a built-in rule matched the same bytes, the built-in one stays unless it is generic."""
    cells: dict[tuple[str, str, int], list[Sighting]] = {}
    for one in sightings:
        for cell in _cells(one):
            cells.setdefault((one.place.path, one.place.commit, cell), []).append(one)

    def gives_way(one: Sighting) -> bool:
        rivals = (cells[one.place.path, one.place.commit, cell] for cell in _cells(one))
        return any(_beats(rival.detection, one.detection) for cell in rivals for rival in cell)

    return [sighting for sighting in sightings if not gives_way(sighting)]


def _cells(one: Sighting) -> range:
    """The stretches of 1 kB that a sighting touches."""
    return range(one.detection.start >> 10, (one.detection.end >> 10) + 1)


def _beats(rival: Detection, one: Detection) -> bool:
    """Return whether `one` gives way to `rival`: they overlap, and one of the two rules was added to the built-in ones."""
    overlap = min(rival.end, one.end) > max(rival.start, one.start)
    if not overlap or rival.rule.added == one.rule.added:
        return False
    if _is_generic(rival) != _is_generic(one):
        return _is_generic(one)
    return one.rule.added


def _is_generic(detection: Detection) -> bool:
    return detection.rule.id.startswith("generic")


def _secret(regex: Regex, group: int, match: bytes) -> bytes:
    """The chosen group of the match read by itself, else its first group that is not empty, else all of it."""
    spans = regex.search(match, 0, len(match))
    if spans is None:
        return match
    if group:
        start, end = spans[group] if group < len(spans) else (-1, -1)
        return match[start:end] if 0 <= start < end else match
    return next((match[start:end] for start, end in spans[1:] if 0 <= start < end), match)


def character_entropy(secret: bytes) -> float:
    """Return the entropy as gitleaks counts it: over characters, but divided by the number of bytes."""
    counts = Counter(secret.decode("utf-8", "surrogateescape"))
    return -sum(count / len(secret) * log2(count / len(secret)) for count in counts.values())


def _matches(pattern: Regex, text: bytes) -> bool:
    return pattern.search(text, 0, len(text)) is not None


def _path_bytes(path: str) -> bytes:
    return path.encode("utf-8", "surrogateescape")


def _of_path(rule: Rule, path: str) -> Sighting:
    name = Material(_path_bytes(path))
    detection = Detection(rule, 0, 0, 0, 0, name, rule.confidence, note="the name alone tells")
    return Sighting(detection, FindingPlace(path, 1, 1, 1), Material(b""), name)
