"""Engines over the whole rulebook, opened once for all tests, and what they find."""

from functools import cache

from orchestra_creds.scanner.checks.verdict import Buffer
from orchestra_creds.scanner.detection import Detection
from orchestra_creds.scanner.engine.engine import Engine, EngineKind
from orchestra_creds.scanner.rule import Rule, Severity
from orchestra_creds.scanner.rulebook.catalog import all_rules


@cache
def fast() -> Engine:
    """Hyperscan over every rule."""
    return Engine.open(all_rules(), kind=EngineKind.HYPERSCAN)


@cache
def plain() -> Engine:
    """RE2 over every rule."""
    return Engine.open(all_rules(), kind=EngineKind.RE2)


def rule(name: str, pattern: str, *, longest: int = 128, group: int = 0, entropy: float = 0.0) -> Rule:
    """A rule of no consequence."""
    return Rule(name, name, pattern, Severity.HIGH, "", "", (), longest=longest, group=group, entropy=entropy)


def detect(engine: Engine, data: Buffer) -> list[Detection]:
    """Everything in one text, not settled."""
    return engine.examine(data, engine.find_hits(data))


def told(detections: list[Detection]) -> list[tuple[object, ...]]:
    """All that is known of detections, sorted, so that two lists compare."""
    return sorted(
        (
            one.start,
            one.end,
            one.rule.id,
            one.decoded,
            one.read_from,
            one.read_to,
            one.material.reveal(),
            one.confidence,
            one.note,
        )
        for one in detections
    )
