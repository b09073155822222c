"""The choice among detections of one text that stand on the same bytes.

Guarantees: the result is a function of the set of detections, whatever their order; it is sorted by place. Of detections
that cover each other the surest and then the widest stays: a service-account file over the key inside it, a token over
the generic assignment around it. `generic-…` rules give way to any other that they touch.
"""

from collections.abc import Iterable

from orchestra_creds.scanner.detection import Detection

_CELL = 1024
GENERIC = "generic"
"""How the ids of rules begin that know only a context, not a format."""


def settle(detections: Iterable[Detection]) -> list[Detection]:
    """What stays, sorted by start, end and rule."""
    kept: list[Detection] = []
    cells: dict[int, list[Detection]] = {}
    for detection in sorted(detections, key=_rank):
        span = range(detection.start // _CELL, max(detection.start, detection.end - 1) // _CELL + 1)
        if any(_covers(other, detection) for cell in span for other in cells.get(cell, ())):
            continue
        kept.append(detection)
        for cell in span:
            cells.setdefault(cell, []).append(detection)
    kept.sort(key=lambda one: (one.start, one.end, one.rule.id))
    return kept


def _generic(detection: Detection) -> bool:
    return detection.rule.id.startswith(GENERIC)


def _rank(detection: Detection) -> tuple[object, ...]:
    """Best first; the last items only make the order total."""
    return (
        _generic(detection),
        -detection.confidence,
        detection.start - detection.end,
        len(detection.decoded),
        -detection.rule.severity,
        detection.start,
        detection.rule.id,
        detection.decoded,
        detection.material.reveal(),
        detection.note,
        detection.read_from,
        detection.read_to,
    )


def _covers(better: Detection, other: Detection) -> bool:
    """Whether `better` makes `other` superfluous: the same bytes, most of them, or any where one knows no format."""
    overlap = min(better.end, other.end) - max(better.start, other.start)
    if overlap <= 0:
        return False
    if better.rule.added and not other.rule.added:
        return False  # what a file adds may be filtered out by the same file; the built-in finding must survive that
    if not better.decoded and not other.decoded and better.rule.id == other.rule.id:
        return True
    if _generic(other) and not _generic(better):
        return True
    return 2 * overlap >= other.end - other.start
