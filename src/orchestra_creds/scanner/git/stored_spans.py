"""Places of findings as the scan cache stores them, and back: numbers that say nothing about what was found there."""

from collections.abc import Iterable, Mapping, Sequence

from orchestra_creds.scanner.git.collect import CollectionResult, ReportedSpan, TextSpan
from orchestra_creds.scanner.git.scan_cache import ScanCache, StoredGroup, StoredReport, StoredSpan
from orchestra_creds.scanner.rule import Rule


def store(now: ScanCache, collected: CollectionResult, chosen: Iterable[ReportedSpan], rules: Sequence[Rule]) -> None:
    """Store in `now` where something was found, under numbers that say nothing about it."""
    numbers: dict[bytes, int] = {}

    def store_span(oid: bytes, span: TextSpan) -> StoredSpan:
        if span.digest not in numbers:
            numbers[span.digest] = len(numbers)
            rule = rules[collected.texts[span.digest].rule].id
            now.groups.append(StoredGroup(oid.hex(), rule, span.start, span.end, span.inner))
        group = numbers[span.digest]
        return StoredSpan(group, span.start, span.end, span.line, span.end_line, span.column, span.inner)

    for one in chosen:
        path = one.path.decode("latin-1")
        span = store_span(one.oid, one.span)
        now.reported_spans.append(
            StoredReport(one.oid.hex(), path, one.commit, one.author, one.date, one.in_head, span)
        )
    for oid, spans in collected.spans.items():
        now.spans[oid.hex()] = [store_span(oid, span) for span in spans]
    now.pointers = collected.pointers
    now.kinds = {oid.hex(): kind for oid, kind in collected.kinds.items()}


def _restore_span(span: StoredSpan, digests: Mapping[int, bytes] | Sequence[bytes]) -> TextSpan:
    """Return a stored span with the digest that its group has today."""
    return TextSpan(digests[span.group], span.start, span.end, span.line, span.end_line, span.column, span.inner)


def restore_reported(before: ScanCache, revived: CollectionResult) -> list[ReportedSpan]:
    """Return what the scan before reported, with the digests of today."""
    digests = {
        stored.group: span.digest
        for oid, spans in before.spans.items()
        for stored, span in zip(spans, revived.spans[bytes.fromhex(oid)], strict=True)
    }
    return [
        ReportedSpan(
            one.path.encode("latin-1"),
            one.commit,
            bytes.fromhex(one.oid),
            _restore_span(one.span, digests),
            one.author,
            one.date,
            one.in_head,
        )
        for one in before.reported_spans
    ]


def restore(before: ScanCache, again: CollectionResult, rules: Sequence[Rule]) -> CollectionResult | None:
    """Return what was found before, with the texts of `again`, which has read one object of each group once more.

    None when the repository no longer says the same.
    """
    indices = {rule.id: index for index, rule in enumerate(rules)}
    digests: list[bytes] = []
    for group in before.groups:
        same = (
            span.digest
            for span in again.spans.get(bytes.fromhex(group.oid), ())
            if (span.start, span.end, span.inner) == (group.start, group.end, group.inner)
            and again.texts[span.digest].rule == indices.get(group.rule)
        )
        if (digest := next(same, None)) is None:
            return None
        digests.append(digest)
    revived = CollectionResult(texts=again.texts)
    for oid, spans in before.spans.items():
        revived.spans[bytes.fromhex(oid)] = [_restore_span(span, digests) for span in spans]
    revived.kinds = {bytes.fromhex(oid): kind for oid, kind in before.kinds.items()}
    return revived
