"""From gitleaks' configurations to our rules, and to what the policy knows about them.

Guarantees: a whole configuration changes the rules as gitleaks would; an added one never changes, replaces or removes a rule
that is there already. An id of gitleaks' own set means our equals of it. What has no effect here is named in a note.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from orchestra_creds.errors import ConfigError
from orchestra_creds.scanner.file_names import LARGEST_SETTINGS
from orchestra_creds.scanner.finding import SkippedItem
from orchestra_creds.scanner.gitleaks.accepted import GitleaksEntry
from orchestra_creds.scanner.gitleaks.allowlist import Allowlist
from orchestra_creds.scanner.gitleaks.config import ForeignRule, GitleaksConfig, bytewise, load
from orchestra_creds.scanner.gitleaks.policy import GitleaksPolicy, RuleConstraints
from orchestra_creds.scanner.gitleaks.rule_names import means
from orchestra_creds.scanner.libraries import Regex
from orchestra_creds.scanner.rule import Confidence, Rule, Severity

LONGEST = 4096
"""Bytes that one match of a foreign pattern may take; a longer one is cut there."""

REMEDY = "Revoke the credential where it was issued, then replace it."


class RuleSetBuilder:
    """Gathers rules and what is said about them, one configuration after the other."""

    def __init__(self, ours: Sequence[Rule]) -> None:
        self.rules = {rule.id: rule for rule in ours}
        self.notes: list[str] = []
        self.skipped: list[SkippedItem] = []
        self._policy = GitleaksPolicy()

    def all_rules(self) -> tuple[Rule, ...]:
        """The rules to run, sorted by id."""
        return tuple(self.rules[id_] for id_ in sorted(self.rules))

    def policy(
        self, accepted: tuple[GitleaksEntry, ...], own_files: frozenset[str], read: Callable[[str], bytes | None]
    ) -> GitleaksPolicy:
        """What is left to decide on sightings."""
        return replace(self._policy, accepted=accepted, own_files=own_files, read=read)

    def take_whole(self, config: GitleaksConfig) -> None:
        """The configuration as gitleaks reads it: without `useDefault` its rules alone, if it has any."""
        self.notes += config.notes
        if config.rules and not config.use_default:
            self.rules = {}
        base = set(self.rules)
        for id_ in sorted(config.disabled):
            gone = _matching_rule_ids(id_, base)
            if not gone and config.use_default:
                self.notes.append(f"{config.name}: disabledRules names {id_}, which has no equal here")
            for one in gone:
                del self.rules[one]
        for foreign in config.rules.values():
            if foreign.regex or (foreign.path and not _matching_rule_ids(foreign.id, base)):
                self._define(foreign)
            elif not self._overlay(foreign):
                self._no_pattern(foreign, config)
        self._check_required_rules(config)
        for allowlist in config.allowlists:
            self._allow(allowlist, config)

    def add_tree_config(self, path: Path) -> None:
        """The rules of a configuration that nobody named; one that is wrong stops no scan, which is then incomplete."""
        try:
            self.add(replace(load(path, follow=False, most=LARGEST_SETTINGS), name=path.name))
        except ConfigError as error:
            self.skipped.append(SkippedItem(path.name, f"its rules are not used: {error}"))

    def add(self, config: GitleaksConfig) -> None:
        """Only what adds: new rules with their own allowlists; all else is left out, and said."""
        self.notes += config.notes
        new = {id_: rule for id_, rule in config.rules.items() if id_ not in self.rules and (rule.regex or rule.path)}
        self._check_required_rules(GitleaksConfig(config.name, new, use_default=True))
        for foreign in new.values():
            self._define(foreign)
        ids = frozenset(new)
        for allowlist in config.allowlists:
            if scope := (allowlist.rules & ids if allowlist.rules else ids):
                self._policy.allowlists.append(replace(allowlist, rules=scope))
        if len(new) < len(config.rules) or config.allowlists or config.disabled:
            self.notes.append(
                f"{config.name} adds {len(new)} rules; what it says about built-in rules is not used: "
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
        extra = _rule_constraints(foreign)
        if foreign.regex:
            self.rules[rule.id] = rule
            self._policy.extras[rule.id] = extra
        else:
            self._policy.path_rules.append((rule, extra))

    def _overlay(self, foreign: ForeignRule) -> bool:
        """Lay what is said without a pattern over the built-in rules that are meant; False when there are none."""
        targets = _matching_rule_ids(foreign.id, self.rules)
        for id_ in targets:
            rule = self.rules[id_]
            self.rules[id_] = replace(
                rule,
                description=foreign.description or rule.description,
                entropy=foreign.entropy or rule.entropy,
                group=foreign.secret_group or rule.group,
                tags=(*rule.tags, *foreign.tags),
            )
            self._policy.extras[id_] = replace(_rule_constraints(foreign), keywords=(), entropy=0.0)
        return bool(targets)

    def _no_pattern(self, foreign: ForeignRule, config: GitleaksConfig) -> None:
        if not config.use_default:
            raise ConfigError(f"{foreign.where}: rule {foreign.id} has neither regex nor path", hint="give it one")
        self.notes.append(f"{config.name}: rule {foreign.id} extends a rule that has no equal here")

    def _check_required_rules(self, config: GitleaksConfig) -> None:
        for foreign in config.rules.values():
            for need in foreign.required:
                if not _matching_rule_ids(need.id, self.rules):
                    raise ConfigError(
                        f"{foreign.where}: rule {foreign.id} requires {need.id}, which is not there",
                        hint="require the id of a rule of this file",
                    )

    def _allow(self, allowlist: Allowlist, config: GitleaksConfig) -> None:
        ids: set[str] = set()
        for id_ in sorted(allowlist.rules):
            known = _matching_rule_ids(id_, self.rules)
            if not known and not config.use_default:
                raise ConfigError(
                    f"{config.name}: targetRules names {id_}, which is not there", hint="name a rule's id"
                )
            if not known:
                self.notes.append(f"{config.name}: targetRules names {id_}, which has no equal here")
            ids |= set(known)
        if ids or not allowlist.rules:
            self._policy.allowlists.append(replace(allowlist, rules=frozenset(ids)))


def _matching_rule_ids(id_: str, rules: Iterable[str]) -> list[str]:
    """The rules that an id means: the one of that name, else those that look for what gitleaks' rule of that name does."""
    there = set(rules)
    return [id_] if id_ in there else sorted(name for name in there if means(id_, name))


def _rule_constraints(foreign: ForeignRule) -> RuleConstraints:
    return RuleConstraints(
        regex=Regex(bytewise(foreign.regex)) if foreign.regex else None,
        group=foreign.secret_group,
        entropy=foreign.entropy,
        path=Regex(bytewise(foreign.path)) if foreign.path else None,
        keywords=tuple(word.encode() for word in foreign.keywords),
        allowlists=foreign.allowlists,
        required=foreign.required,
        skip_report=foreign.skip_report,
    )
