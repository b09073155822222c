"""Scans put together: the choices of the command line and the settings go in, reports come out.

Heavy imports stand inside the functions that need them, so that a scan loads no cloud and a cloud verb no scanner.
"""

import fnmatch
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import cache, partial
from pathlib import Path

from orchestra_creds import folders
from orchestra_creds.bootstrap.clock import utc_now
from orchestra_creds.core.record import dataclass, replace
from orchestra_creds.errors import ConfigError

TYPE_CHECKING = False  # typing's own costs 2 ms, for which the listing of a tree would wait
if TYPE_CHECKING:
    from orchestra_creds.config.settings import Settings
    from orchestra_creds.core.progress import Progress
    from orchestra_creds.scanner.baseline.service import Acceptance, BaselineService
    from orchestra_creds.scanner.engine.compiled_cache import CompiledRules
    from orchestra_creds.scanner.finding import ScanReport, SkippedItem
    from orchestra_creds.scanner.request import ScanRequest
    from orchestra_creds.scanner.rule import Rule

DEFAULT_MAX_SIZE = 2 << 30
"""Bytes; a larger file is skipped and named."""
DEFAULT_ARCHIVE_DEPTH = 3


@dataclass(frozen=True, slots=True)
class ScanChoice:
    """What the operator asked of a scan; None and empty mean: as the settings say, else the default."""

    paths: tuple[str, ...] = (".",)
    source: str = "tree"
    since: str = ""
    all_files: bool = False
    only: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    rules_file: Path | None = None
    severity: str = ""
    max_size: int | None = None
    archive_depth: int | None = None
    jobs: int | None = None
    use_cache: bool = True
    baseline: str | None = None
    gitleaks_config: Path | None = None
    gitleaks_baseline: Path | None = None
    gitleaks_ignore: Path | None = None
    accept_missing: tuple[str, ...] = ()
    config: Path | None = None
    engine: str = "auto"
    name_revision: bool = False


def scan(
    choice: ScanChoice, *, progress: "Progress | None" = None, meanwhile: Callable[[], None] = lambda: None
) -> "ScanReport":
    """Run one scan; `meanwhile` is called once beside its workers, if it has any.

    Every rule runs, whichever are wanted: one compiled database serves all choices, and a credential of an unwanted rule is
    not reported as something more general.

    Raises:
        ConfigError: a rule, a severity or a file of settings is wrong.
        NotFoundError, PreconditionError: what is to be scanned is not there.
    """
    from orchestra_creds.scanner import pipeline

    settings, unused = _scan_settings(choice)
    request, only, exclude, notes = _scan_request(choice, settings)
    rulebook = cache(partial(_rules, request))  # loaded late: a tree is listed meanwhile
    if exclude:
        known = {rule.id for rule in rulebook()[0]}
        request = replace(request, exclude=tuple(name for name in exclude if name not in known))
    if only and not (
        request.gitleaks_config or request.added_rules
    ):  # else a name may be that of a rule in those files
        from orchestra_creds.scanner.rulebook.catalog import check_rule_names

        check_rule_names(rulebook()[0], only)
    report = pipeline.scan(request, rulebook, progress=progress, meanwhile=meanwhile)
    wanted = tuple(f for f in report.findings if f.rule not in exclude and (not only or _is_selected(f.rule, only)))
    return replace(report, findings=wanted, notes=(*notes, *report.notes), skipped=(*unused, *report.skipped))


def _rules(request: "ScanRequest") -> "tuple[tuple[Rule, ...], CompiledRules | None]":
    """All rules: as the last scan kept them, compiled, else as they are written."""
    from orchestra_creds.scanner.engine import compiled_cache

    found = None
    if request.engine != "re2":
        with suppress(OSError, ValueError, EOFError, TypeError):
            found = compiled_cache.recall(request.cache_dir)
    if found is not None:
        return found.rules(), found
    from orchestra_creds.scanner.rulebook.catalog import all_rules

    return all_rules(), None


def _is_selected(rule: str, names: Iterable[str]) -> bool:
    """Whether one of the names is this rule's id, or a pattern of ids that it matches."""
    return any(fnmatch.fnmatchcase(rule, name) for name in names)


def scan_facts(choice: ScanChoice, report: "ScanReport") -> tuple[str, ...]:
    """How a scan was done, for an operator who wonders: what it looked at, with which engine, rules and cache."""
    from orchestra_creds.scanner.libraries import hyperscan
    from orchestra_creds.scanner.rulebook.catalog import all_rules

    engine = choice.engine
    if engine == "auto":
        try:
            hyperscan()
            engine = "hyperscan"
        except ImportError:
            engine = "re2"
    settings, stats = _scan_settings(choice)[0], report.stats
    return (
        f"looked at: {report.source} of {report.root}",
        f"settings: {settings.path if settings and settings.path else 'no orchestra-creds.toml'}",
        f"engine: {engine}, {len(all_rules())} built-in rules",
        f"cache: {folders.cache_folder()}{'' if choice.use_cache else ', not used for objects'}",
        f"read: {stats.blobs:,} new and {stats.cached:,} known from an earlier scan, {stats.bytes:,} bytes",
        f"hidden: {report.accepted:,} by the baseline, {report.allowed:,} inline, {report.gitleaks:,} by gitleaks files",
    )


def _scan_settings(choice: ScanChoice) -> "tuple[Settings | None, tuple[SkippedItem, ...]]":
    """The settings, without loading their reader when there is no file, and a file that was found and cannot be used.

    A file that nobody named may lie in a tree that somebody else wrote: it stops no scan, which is then incomplete.
    """
    if choice.config is None and not os.environ.get("ORCHESTRA_CREDS_CONFIG"):
        here = Path.cwd()
        if not any((folder / "orchestra-creds.toml").is_file() for folder in (here, *here.parents)):
            return None, ()
    from orchestra_creds.config import settings
    from orchestra_creds.scanner.file_names import LARGEST_SETTINGS
    from orchestra_creds.scanner.finding import SkippedItem

    try:
        return settings.load(choice.config, most=LARGEST_SETTINGS), ()
    except ConfigError as error:
        if choice.config is not None or os.environ.get(settings.CONFIG_VARIABLE):
            raise
        return None, (SkippedItem(settings.FILE_NAME, f"its settings are not used: {error}"),)


def _scan_request(
    choice: ScanChoice, settings: "Settings | None"
) -> tuple["ScanRequest", tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """The request, the rules wanted and unwanted by name, and what to tell the operator.

    A file that was found, not named, sets speed only: it may lie in a tree that somebody else wrote (ADR 0011).
    """
    from orchestra_creds.scanner.request import ScanRequest
    from orchestra_creds.scanner.rule import Severity

    chosen = settings.document.scan if settings else None
    trusted = chosen if settings and settings.named else None
    notes: tuple[str, ...] = ()
    if settings and chosen and not settings.named and chosen != type(chosen)(jobs=chosen.jobs):
        notes = (
            f"[scan] of {settings.path} was found, not named: only its jobs count; name it with --config to use all of it",
        )
    severity = choice.severity or (trusted.severity if trusted else "")
    names = {level.name.lower(): level for level in Severity}
    if severity and severity not in names:
        raise ConfigError(f"there is no severity {severity!r}", hint=f"one of {', '.join(names)}")
    request = ScanRequest(
        paths=choice.paths,
        source=choice.source,
        since=choice.since,
        all_files=choice.all_files,
        jobs=_first(choice.jobs, chosen.jobs if chosen else None, 0),
        max_size=_first(choice.max_size, trusted.max_size if trusted else None, DEFAULT_MAX_SIZE),
        archive_depth=_first(choice.archive_depth, trusted.archive_depth if trusted else None, DEFAULT_ARCHIVE_DEPTH),
        engine=choice.engine,
        cache_dir=folders.make_private_folder(folders.cache_folder()),
        use_cache=choice.use_cache,
        state_dir=folders.state_folder(),
        baseline=choice.baseline,
        gitleaks_config=_text(choice.gitleaks_config) or (trusted.gitleaks_config if trusted else ""),
        gitleaks_baseline=_text(choice.gitleaks_baseline),
        gitleaks_ignore=_text(choice.gitleaks_ignore),
        accept_missing=choice.accept_missing,
        added_rules=(str(choice.rules_file),) if choice.rules_file else (),
        min_severity=names[severity] if severity else Severity.LOW,
        name_revision=choice.name_revision,
        environment=os.environ,
        now=utc_now(),
    )
    return (
        request,
        choice.only or (trusted.only if trusted else ()),
        choice.exclude + (trusted.exclude if trusted else ()),
        notes,
    )


def _first(*values: int | None) -> int:
    return next(value for value in values if value is not None)


def _text(path: Path | None) -> str:
    return "" if path is None else str(path)


def baseline(path: Path, *, file: Path | None, history: bool) -> "BaselineService":
    """The baseline verbs for the folder whose baseline is meant: that of a repository holds for all of it."""
    from orchestra_creds.scanner.baseline.service import BaselineService, baseline_root

    root = baseline_root(path, file)
    # A finding can be accepted although other content is missing; a history that is cut would lose entries.
    choice = ScanChoice(
        paths=(str(root),),
        source="history" if history else "tree",
        baseline="",
        accept_missing=("lfs", "submodules"),
    )
    return BaselineService(
        root,
        file=file,
        scan=lambda: scan(choice),
        scan_history=None if history else lambda: scan(replace(choice, source="history")),
        keys=fingerprint_keys(),
        environment=os.environ,
    )


def acceptance(reason: str, author: str, expires: datetime | None) -> "Acceptance":
    """Who accepts, why and until when; the author is the user of this machine unless one is named."""
    import getpass

    from orchestra_creds.scanner.baseline.service import Acceptance

    return Acceptance(reason, author or getpass.getuser(), utc_now().date(), expires.date() if expires else None)


def fingerprint_keys() -> Path:
    """The folder that holds the fingerprint keys."""
    return Path(folders.make_private_folder(folders.state_folder())) / "keys"


def rule_families() -> "Mapping[str, Sequence[Rule]]":
    """All rules by family."""
    from orchestra_creds.scanner.rulebook.catalog import FAMILIES

    return FAMILIES
