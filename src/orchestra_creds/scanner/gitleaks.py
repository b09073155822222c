"""gitleaks' files put to use: a configuration becomes rules for our engine and a policy over its sightings.

A configuration that the operator names counts whole, as gitleaks reads it. One that merely lies in the scanned tree may
add rules, and its allowlists concern those alone: nobody relaxes a scan of his own repository (docs/adr/0011). Patterns run
in our engines; what gitleaks decides after a match (secret group, entropy, keywords, paths, allowlists, required rules,
ignores) is decided here, on sightings. docs/gitleaks.md lists what differs, and why.
"""

import os
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from math import log2
from pathlib import Path

from orchestra_creds.core.material import Material
from orchestra_creds.errors import ConfigError
from orchestra_creds.scanner.detection import Detection, Sighting
from orchestra_creds.scanner.finding import Place
from orchestra_creds.scanner.gitleaks_allow import Allowlist, Candidate
from orchestra_creds.scanner.gitleaks_config import FILE_NAME, Config, ForeignRule, Required, bytewise, load
from orchestra_creds.scanner.gitleaks_legacy import IGNORE_NAME, Legacy, load_ignore, load_report
from orchestra_creds.scanner.gitleaks_names import means
from orchestra_creds.scanner.libraries import Regex
from orchestra_creds.scanner.rule import Confidence, Rule, Severity

LONGEST = 4096
"""Bytes that one match of a foreign pattern may take; a longer one is cut there."""

MOST_READ = 64 << 20
"""Bytes of a file that are searched for a keyword which does not stand beside the match."""

REMEDY = "Revoke the credential where it was issued, then replace it."


@dataclass(frozen=True, slots=True)
class Extra:
    """What a configuration says about a rule beyond its pattern; `regex` only when the pattern is the configuration's."""

    regex: Regex | None = None
    group: int = 0
    entropy: float = 0.0
    path: Regex | None = None
    keywords: tuple[bytes, ...] = ()
    allowlists: tuple[Allowlist, ...] = ()
    required: tuple[Required, ...] = ()
    skip_report: bool = False


@dataclass(frozen=True, slots=True)
class Setup:
    """What a scan needs: all rules to run, the policy over their sightings, and what the operator should know."""

    rules: tuple[Rule, ...]
    policy: "GitleaksPolicy | None" = None
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class GitleaksPolicy:
    """Decides which sightings count. `read` gives the text of a file of the scanned tree, None when it cannot.

    own_files    paths that are never reported: the configuration and the baseline themselves
    """

    extras: dict[str, Extra] = field(default_factory=dict)
    allowlists: list[Allowlist] = field(default_factory=list)
    path_rules: list[tuple[Rule, Extra]] = field(default_factory=list)
    accepted: tuple[Legacy, ...] = ()
    own_files: frozenset[str] = frozenset()
    read: Callable[[str], bytes | None] | None = None

    @property
    def own(self) -> frozenset[str]:
        """The ids of the rules whose pattern comes from a configuration."""
        by_name = (rule.id for rule, _ in self.path_rules)
        return frozenset([*by_name, *(id_ for id_, extra in self.extras.items() if extra.regex is not None)])

    def keep(self, sightings: Sequence[Sighting]) -> list[Sighting]:
        """The sightings that count, in the order given; the material of a foreign rule becomes its secret."""
        passed = [kept for sighting in sightings if (kept := self._judged(sighting)) is not None]
        passed = [s for s in passed if self._requirements_met(s, passed)]
        skipped = {id_ for id_, extra in self.extras.items() if extra.skip_report}
        passed = [s for s in passed if s.detection.rule.id not in skipped and not self._is_accepted(s)]
        return _one_for_a_spot(passed)

    def detect_paths(self, paths: Iterable[str]) -> list[Sighting]:
        """Sightings of the rules that look at names alone; the caller names every file that it looks at."""
        return [
            _of_path(rule, path)
            for rule, extra in self.path_rules
            for path in paths
            if extra.path is not None and _found(extra.path, _path_bytes(path))
        ]

    def _judged(self, sighting: Sighting) -> Sighting | None:
        place, rule = sighting.place, sighting.detection.rule
        if place.path in self.own_files:
            return None
        extra = self.extras.get(rule.id, Extra())
        match = sighting.match.reveal()
        if extra.regex is not None:
            match = sighting.detection.material.reveal().strip(b"\n")
            secret = _secret(extra.regex, extra.group, match)
            if extra.entropy and entropy(secret) <= extra.entropy:
                return None
            sighting = replace(sighting, detection=replace(sighting.detection, material=Material(secret)))
        path = _path_bytes(place.path)
        if extra.path is not None and not _found(extra.path, path):
            return None
        if extra.keywords and not self._has_keyword(sighting, extra.keywords):
            return None
        one = Candidate(path, place.commit, sighting.detection.material.reveal(), match, sighting.line.reveal())
        lists = [a for a in self.allowlists if not a.rules or rule.id in a.rules]
        return None if any(a.allows(one) for a in (*lists, *extra.allowlists)) else sighting

    def _has_keyword(self, sighting: Sighting, keywords: tuple[bytes, ...]) -> bool:
        """Whether a keyword stands on the lines of the match, else in its file; a file that cannot be read has it."""
        near = sighting.line.reveal().lower() + sighting.detection.material.reveal().lower()
        if any(word in near for word in keywords):
            return True
        text = self.read(sighting.place.path) if self.read and not sighting.place.commit else None
        return text is None or any(word in text.lower() for word in keywords)

    def _requirements_met(self, sighting: Sighting, others: Sequence[Sighting]) -> bool:
        required = self.extras.get(sighting.detection.rule.id, Extra()).required
        return all(any(_near(sighting, other, need) for other in others) for need in required)

    def _is_accepted(self, sighting: Sighting) -> bool:
        return any(entry.accepts(sighting, self.own) for entry in self.accepted)


def _near(sighting: Sighting, other: Sighting, need: Required) -> bool:
    here, there = sighting.place, other.place
    if not means(need.id, other.detection.rule.id) or (here.path, here.commit) != (there.path, there.commit):
        return False
    lines_ok = need.within_lines is None or abs(here.line - there.line) <= need.within_lines
    return lines_ok and (need.within_columns is None or abs(here.column - there.column) <= need.within_columns)


def _one_for_a_spot(sightings: list[Sighting]) -> list[Sighting]:
    """Where a foreign and a built-in rule matched the same bytes, the built-in one stays unless it is generic.

    Among foreign rules, generic ones give way to any other on the same line whose secret holds theirs.
    """
    spots: dict[tuple[str, str], list[Sighting]] = {}
    for sighting in sightings:
        spots.setdefault((sighting.place.path, sighting.place.commit), []).append(sighting)

    def gives_way(one: Sighting) -> bool:
        return any(_beats(other, one) for other in spots[one.place.path, one.place.commit] if other is not one)

    return [sighting for sighting in sightings if not gives_way(sighting)]


def _beats(better: Sighting, other: Sighting) -> bool:
    one, two = better.detection, other.detection
    generic, rival_generic = two.rule.id.startswith("generic"), one.rule.id.startswith("generic")
    if one.rule.added and two.rule.added:
        same_line = better.place.line == other.place.line
        return generic and not rival_generic and same_line and two.material.reveal() in one.material.reveal()
    if one.rule.added == two.rule.added or min(one.end, two.end) <= max(one.start, two.start):
        return False
    return generic and not rival_generic if one.rule.added else not rival_generic or generic


def _secret(regex: Regex, group: int, match: bytes) -> bytes:
    """The chosen group of the match read by itself, else its first group that is not empty, else all of it."""
    spans = regex.search(match, 0, len(match))
    if spans is None:
        return match
    if group:
        start, end = spans[group] if group < len(spans) else (-1, -1)
        return match[start:end] if 0 <= start < end else match
    return next((match[start:end] for start, end in spans[1:] if 0 <= start < end), match)


def entropy(secret: bytes) -> float:
    """Entropy as gitleaks counts: over characters, but divided by the number of bytes."""
    counts = Counter(secret.decode("utf-8", "surrogateescape"))
    return -sum(count / len(secret) * log2(count / len(secret)) for count in counts.values())


def _found(pattern: Regex, text: bytes) -> bool:
    return pattern.search(text, 0, len(text)) is not None


def _path_bytes(path: str) -> bytes:
    return path.encode("utf-8", "surrogateescape")


def _of_path(rule: Rule, path: str) -> Sighting:
    name = Material(_path_bytes(path))
    detection = Detection(rule, 0, 0, 0, 0, name, rule.confidence, note="the name alone tells")
    return Sighting(detection, Place(path, 1, 1, 1), Material(b""), name)


def tree_reader(root: Path) -> Callable[[str], bytes | None]:
    """Reads files of a tree for the policy: regular files only, no links, of at most `MOST_READ` bytes."""
    kept: dict[str, bytes | None] = {}

    def read(path: str) -> bytes | None:
        if path not in kept:
            kept.clear()  # sightings come file by file
            kept[path] = _regular(root / path)
        return kept[path]

    return read


def _regular(path: Path) -> bytes | None:
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        descriptor = os.open(path, flags)
        with open(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            return file.read() if stat.S_ISREG(status.st_mode) and status.st_size <= MOST_READ else None
    except OSError:
        return None


def setup(
    ours: Sequence[Rule],
    *,
    root: Path,
    config: str = "",
    ignore: str = "",
    baseline: str = "",
    added: Iterable[str] = (),
    look: bool = True,
) -> Setup:
    """Rules and policy of one scan of the tree at `root`.

    config, ignore, baseline    files that the operator names; they count whole
    added                       configurations of which only the rules are wanted (`--rules`)
    look                        also take up what lies in the tree: rules of `.gitleaks.toml` are added, the rest is
                                named in a note

    Raises:
        ConfigError: a named file cannot be read or is wrong.
    """
    builder = _Builder({rule.id: rule for rule in ours})
    found = root / FILE_NAME
    if config:
        builder.take_whole(load(Path(config)))
    elif look and _regular(found) is not None:
        try:
            builder.add(load(found, follow=False), found=True)
        except ConfigError as error:
            builder.notes.append(f"{FILE_NAME} is not used: {error}")
    for name in added:
        builder.add(load(Path(name)), found=False)
    if not ignore and look and _regular(root / IGNORE_NAME) is not None:
        builder.notes.append(f"{IGNORE_NAME} is not used: name it with --gitleaks-ignore, or import it into a baseline")
    accepted = (load_ignore(Path(ignore)) if ignore else ()) + (load_report(Path(baseline)) if baseline else ())
    own_files = frozenset(inside for name in (config, baseline) if name and (inside := _inside(Path(name), root)))
    return builder.build(accepted, own_files, tree_reader(root))


def _inside(path: Path, root: Path) -> str:
    """The path relative to the root with `/`, or "" when it lies elsewhere."""
    absolute, above = path.resolve(), root.resolve()
    return absolute.relative_to(above).as_posix() if absolute.is_relative_to(above) else ""


class _Builder:
    """Gathers rules and what is said about them, one configuration after the other."""

    def __init__(self, rules: dict[str, Rule]) -> None:
        self.rules = rules
        self.policy = GitleaksPolicy()
        self.notes: list[str] = []

    def build(
        self, accepted: tuple[Legacy, ...], own_files: frozenset[str], read: Callable[[str], bytes | None]
    ) -> Setup:
        policy = replace(self.policy, accepted=accepted, own_files=own_files, read=read)
        needed = policy.extras or policy.allowlists or policy.path_rules or accepted or own_files
        rules = tuple(sorted(self.rules.values(), key=lambda rule: rule.id))
        return Setup(rules, policy if needed else None, tuple(self.notes))

    def take_whole(self, config: Config) -> None:
        """The configuration as gitleaks reads it: without `useDefault` its rules alone, if it has any."""
        self.notes += config.notes
        if config.rules and not config.use_default:
            self.rules = {}
        base = set(self.rules)
        for id_ in sorted(config.disabled):
            gone = _known(id_, base)
            if not gone and config.use_default:
                self.notes.append(f"{config.name}: disabledRules names {id_}, which has no equal here")
            for one in gone:
                del self.rules[one]
        for foreign in config.rules.values():
            if foreign.regex or (foreign.path and not _known(foreign.id, base)):
                self._define(foreign)
            elif not self._overlay(foreign):
                self._no_pattern(foreign, config)
        self._check_required(config)
        for allowlist in config.allowlists:
            self._allow(allowlist, config)

    def add(self, config: Config, *, found: bool) -> None:
        """Only what adds: new rules with their own allowlists; all else is left out, and said."""
        self.notes += config.notes
        new = {id_: rule for id_, rule in config.rules.items() if id_ not in self.rules and (rule.regex or rule.path)}
        for foreign in new.values():
            self._define(foreign)
        self._check_required(Config(config.name, new, use_default=True))
        ids = frozenset(new)
        for allowlist in config.allowlists:
            if scope := (allowlist.rules & ids if allowlist.rules else ids):
                self.policy.allowlists.append(replace(allowlist, rules=scope))
        if len(new) < len(config.rules) or config.allowlists or config.disabled:
            name = FILE_NAME if found else config.name
            self.notes.append(
                f"{name} adds {len(new)} rules; what it says about built-in rules is not used: "
                "name it with --gitleaks-config to let it count whole"
            )

    def _define(self, foreign: ForeignRule) -> None:
        rule = Rule(
            id=foreign.id,
            description=foreign.description or foreign.id,
            pattern=bytewise(foreign.regex),
            severity=Severity.HIGH,
            remedy=REMEDY,
            source="gitleaks configuration",
            examples=(),
            longest=LONGEST,
            confidence=Confidence.LIKELY,
            tags=foreign.tags,
            added=True,
        )
        extra = _extra(foreign)
        if foreign.regex:
            self.rules[rule.id] = rule
            self.policy.extras[rule.id] = extra
        else:
            self.policy.path_rules.append((rule, extra))

    def _overlay(self, foreign: ForeignRule) -> bool:
        """Lay what is said without a pattern over the built-in rules that are meant; False when there are none."""
        targets = _known(foreign.id, self.rules)
        for id_ in targets:
            rule = self.rules[id_]
            self.rules[id_] = replace(
                rule,
                description=foreign.description or rule.description,
                entropy=foreign.entropy or rule.entropy,
                group=foreign.secret_group or rule.group,
                tags=(*rule.tags, *foreign.tags),
            )
            self.policy.extras[id_] = replace(_extra(foreign), keywords=(), entropy=0.0)
        return bool(targets)

    def _no_pattern(self, foreign: ForeignRule, config: Config) -> None:
        if not config.use_default:
            raise ConfigError(f"{foreign.where}: rule {foreign.id} has neither regex nor path", hint="give it one")
        self.notes.append(f"{config.name}: rule {foreign.id} extends a rule that has no equal here")

    def _check_required(self, config: Config) -> None:
        for foreign in config.rules.values():
            for need in foreign.required:
                if not _known(need.id, self.rules):
                    raise ConfigError(
                        f"{foreign.where}: rule {foreign.id} requires {need.id}, which is not there",
                        hint="require the id of a rule of this file",
                    )

    def _allow(self, allowlist: Allowlist, config: Config) -> None:
        ids: set[str] = set()
        for id_ in sorted(allowlist.rules):
            known = _known(id_, self.rules)
            if not known and not config.use_default:
                raise ConfigError(
                    f"{config.name}: targetRules names {id_}, which is not there", hint="name a rule's id"
                )
            if not known:
                self.notes.append(f"{config.name}: targetRules names {id_}, which has no equal here")
            ids |= set(known)
        if ids or not allowlist.rules:
            self.policy.allowlists.append(replace(allowlist, rules=frozenset(ids)))


def _known(id_: str, rules: Iterable[str]) -> list[str]:
    """The rules that an id means: the one of that name, else those that look for what gitleaks' rule of that name does."""
    there = set(rules)
    return [id_] if id_ in there else sorted(name for name in there if means(id_, name))


def _extra(foreign: ForeignRule) -> Extra:
    return Extra(
        regex=Regex(bytewise(foreign.regex)) if foreign.regex else None,
        group=foreign.secret_group,
        entropy=foreign.entropy,
        path=Regex(bytewise(foreign.path)) if foreign.path else None,
        keywords=tuple(word.encode() for word in foreign.keywords),
        allowlists=foreign.allowlists,
        required=foreign.required,
        skip_report=foreign.skip_report,
    )
