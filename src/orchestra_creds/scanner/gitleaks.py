"""gitleaks' files put to use: a configuration becomes rules for our engine and a policy over its sightings.

A configuration that the operator names counts whole, as gitleaks reads it. One that merely lies in the scanned tree may
add rules, and its allowlists concern those alone: nobody relaxes a scan of his own repository (docs/adr/0011). Patterns run
in our engines; what gitleaks decides after a match is in `gitleaks_policy`. docs/gitleaks.md lists what differs, and why.
"""

import os
import stat
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from orchestra_creds.errors import ConfigError
from orchestra_creds.scanner.gitleaks_allow import Allowlist
from orchestra_creds.scanner.gitleaks_config import FILE_NAME, Config, ForeignRule, bytewise, load
from orchestra_creds.scanner.gitleaks_legacy import IGNORE_NAME, Legacy, load_ignore, load_report
from orchestra_creds.scanner.gitleaks_names import means
from orchestra_creds.scanner.gitleaks_policy import Extra, GitleaksPolicy
from orchestra_creds.scanner.libraries import Regex
from orchestra_creds.scanner.rule import Confidence, Rule, Severity

LONGEST = 4096
"""Bytes that one match of a foreign pattern may take; a longer one is cut there."""

MOST_READ = 64 << 20
"""Bytes of a file that are searched for a keyword which does not stand beside the match."""

REMEDY = "Revoke the credential where it was issued, then replace it."


@dataclass(frozen=True, slots=True)
class Setup:
    """What a scan needs: all rules to run, the policy over their sightings, and what the operator should know."""

    rules: tuple[Rule, ...]
    policy: GitleaksPolicy | None = None
    notes: tuple[str, ...] = ()


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
