"""The rulebook for people and for machines: a list, or one rule explained. Examples are made up and shown masked."""

import json
from collections.abc import Mapping, Sequence

from orchestra_creds.scanner.rule import Rule

SCHEMA = "orchestra-creds/rules/1"


def as_json(families: Mapping[str, Sequence[Rule]]) -> str:
    """All rules as one JSON object."""
    rules = [
        {
            "id": rule.id,
            "family": family,
            "description": rule.description,
            "severity": rule.severity.name.lower(),
            "confidence": rule.confidence.name.lower(),
            "remedy": rule.remedy,
            "source": rule.source,
            "pattern": rule.pattern,
            "proven_by": rule.check,
        }
        for family, members in families.items()
        for rule in members
    ]
    return json.dumps({"schema": SCHEMA, "rules": sorted(rules, key=lambda rule: rule["id"])}, indent=2) + "\n"


def as_list(families: Mapping[str, Sequence[Rule]]) -> str:
    """One line a rule: id, severity, family, what it finds."""
    rows = sorted(
        (rule.id, rule.severity.name.lower(), family, rule.description)
        for family, members in families.items()
        for rule in members
    )
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
    lines = [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row[:3], widths, strict=True)), row[3]]) for row in rows
    ]
    return "\n".join([*lines, f"{len(rows)} rules; explain one with: orchestra-creds scan rules RULE"]) + "\n"


def rule_text(rule: Rule, family: str) -> str:
    """One rule in full."""
    public = f"{rule.prefix}***" if rule.prefix else "*** (no public start)"
    lines = [
        f"{rule.id}: {rule.description}",
        "",
        f"  family      {family}",
        f"  severity    {rule.severity.name.lower()}",
        f"  confidence  {rule.confidence.name.lower()}"
        + (f", decided by its structure ({rule.check})" if rule.check else ""),
        f"  shown as    {public}",
        f"  if it leaks {rule.remedy}",
        f"  format from {rule.source}",
        f"  pattern     {rule.pattern}",
    ]
    if rule.keywords:
        lines.append(f"  keywords    {', '.join(rule.keywords)}")
    if rule.entropy:
        lines.append(f"  entropy     at least {rule.entropy} bits a byte")
    return "\n".join(lines) + "\n"
