"""The only file that puts services and adapters together: choices of the command line and settings go in, results come out.

Heavy imports stand inside the functions that need them, so that a scan loads no cloud and a cloud verb no scanner.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

from orchestra_creds import folders
from orchestra_creds.errors import ConfigError, NotFoundError

if TYPE_CHECKING:
    from orchestra_creds.config import Settings
    from orchestra_creds.core.ports import KeyStore, PolicyStore, ProjectInspector, SecretStore, TokenIssuer
    from orchestra_creds.core.progress import Progress
    from orchestra_creds.emulator.control import Running
    from orchestra_creds.gcp.session import Session
    from orchestra_creds.manage.doctor import Check
    from orchestra_creds.scanner.accepting import Acceptance, Acceptor
    from orchestra_creds.scanner.finding import ScanReport
    from orchestra_creds.scanner.request import ScanRequest
    from orchestra_creds.scanner.rule import Rule

DEFAULT_MAX_SIZE = 2 << 30
"""Bytes; a larger file is skipped and named."""
DEFAULT_ARCHIVE_DEPTH = 3
_LOOPBACK = re.compile(r"(?:127\.0\.0\.1|localhost|\[::1\]):[0-9]{1,5}")


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
    config: Path | None = None
    engine: str = "auto"


def scan(choice: ScanChoice, *, progress: "Progress | None" = None) -> "ScanReport":
    """Run one scan.

    Every rule runs, whichever are wanted: one compiled database serves all choices, and a credential of an unwanted rule is
    not reported as something more general.

    Raises:
        ConfigError: a rule, a severity or a file of settings is wrong.
        NotFoundError, PreconditionError: what is to be scanned is not there.
    """
    from orchestra_creds.scanner import pipeline
    from orchestra_creds.scanner.rulebook.catalog import all_rules, select

    rules = all_rules()
    known = {rule.id for rule in rules}
    request, only, exclude, notes = _scan_request(choice, _scan_settings(choice))
    request = replace(request, exclude=tuple(name for name in exclude if name not in known))
    if not (request.gitleaks_config or request.added_rules):  # else a name may be that of a rule in those files
        select(rules, only=only)
    report = pipeline.scan(request, rules, progress=progress)
    wanted = tuple(f for f in report.findings if f.rule not in exclude and (not only or f.rule in only))
    return replace(report, findings=wanted, notes=(*notes, *report.notes))


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
    settings, stats = _scan_settings(choice), report.stats
    return (
        f"looked at: {report.source} of {report.root}",
        f"settings: {settings.path if settings and settings.path else 'no orchestra-creds.toml'}",
        f"engine: {engine}, {len(all_rules())} built-in rules",
        f"cache: {folders.cache_folder()}{'' if choice.use_cache else ', not used for objects'}",
        f"read: {stats.blobs:,} new and {stats.cached:,} known from an earlier scan, {stats.bytes:,} bytes",
        f"hidden: {report.accepted:,} by the baseline, {report.allowed:,} inline",
    )


def _scan_settings(choice: ScanChoice) -> "Settings | None":
    """The settings, without loading their reader when there is no file."""
    if choice.config is None and not os.environ.get("ORCHESTRA_CREDS_CONFIG"):
        here = Path.cwd()
        if not any((folder / "orchestra-creds.toml").is_file() for folder in (here, *here.parents)):
            return None
    from orchestra_creds import config

    return config.load(choice.config)


def _scan_request(
    choice: ScanChoice, settings: "Settings | None"
) -> tuple["ScanRequest", tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """The request, the rules wanted and unwanted by name, and what to tell the operator.

    A file that was found, not named, sets speed only: it may lie in a tree that somebody else wrote (ADR 0011).
    """
    from orchestra_creds.scanner.request import ScanRequest, Source
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
        source=Source(choice.source),
        since=choice.since,
        all_files=choice.all_files,
        jobs=_first(choice.jobs, chosen.jobs if chosen else None, 0),
        max_size=_first(choice.max_size, trusted.max_size if trusted else None, DEFAULT_MAX_SIZE),
        archive_depth=_first(choice.archive_depth, trusted.archive_depth if trusted else None, DEFAULT_ARCHIVE_DEPTH),
        engine=choice.engine,
        cache_dir=folders.private(folders.cache_folder()),
        use_cache=choice.use_cache,
        state_dir=folders.state_folder(),
        baseline=choice.baseline,
        gitleaks_config=_text(choice.gitleaks_config) or (trusted.gitleaks_config if trusted else ""),
        gitleaks_baseline=_text(choice.gitleaks_baseline),
        gitleaks_ignore=_text(choice.gitleaks_ignore),
        added_rules=(str(choice.rules_file),) if choice.rules_file else (),
        min_severity=names[severity] if severity else Severity.LOW,
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


def baseline(path: Path, *, file: Path | None, history: bool) -> "Acceptor":
    """The baseline verbs for the folder whose baseline is meant: that of a repository holds for all of it."""
    from orchestra_creds.scanner.accepting import Acceptor

    if not path.is_dir():
        raise NotFoundError(f"no such folder: {path}", hint="a baseline belongs to a folder or repository")
    root = path.resolve() if file else baseline_root(path)
    choice = ScanChoice(paths=(str(root),), source="history" if history else "tree", baseline="")
    return Acceptor(root, file=file, scan=lambda: scan(choice), keys=fingerprint_keys(), environment=os.environ)


def baseline_root(path: Path) -> Path:
    """The folder to which the baseline of a path belongs: its own, or the top of the repository around it."""
    from orchestra_creds.scanner.accepting import default_file

    return default_file(path.resolve()).parent


def acceptance(reason: str, author: str, expires: datetime | None) -> "Acceptance":
    """Who accepts, why and until when; the author is the user of this machine unless one is named."""
    import getpass

    from orchestra_creds.scanner.accepting import Acceptance

    return Acceptance(reason, author or getpass.getuser(), utc_now().date(), expires.date() if expires else None)


def fingerprint_keys() -> Path:
    """The folder that holds the fingerprint keys."""
    return Path(folders.private(folders.state_folder())) / "keys"


def machine_checks() -> "Iterator[Check]":
    """What the doctor finds on this machine, without any cloud."""
    import shutil

    from orchestra_creds.manage.doctor import Check, Health
    from orchestra_creds.scanner.libraries import hyperscan

    git = shutil.which("git")
    yield (
        Check("git", Health.OK, git)
        if git
        else Check("git", Health.FAIL, "not found", "install git: scans of repositories need it")
    )
    for name, folder in (("state folder", folders.state_folder()), ("cache folder", folders.cache_folder())):
        try:
            yield Check(name, Health.OK, f"{folders.private(folder)} is yours alone")
        except ConfigError as error:
            yield Check(name, Health.FAIL, str(error), error.hint)
    try:
        hyperscan()
        yield Check("scan engine", Health.OK, "hyperscan")
    except ImportError:
        yield Check(
            "scan engine",
            Health.WARN,
            "RE2 only: the same findings, slower",
            "hyperscan has no wheel for this platform",
        )


def project_checks(cloud: "Cloud") -> "Iterator[Check]":
    """What the doctor finds in the project."""
    from orchestra_creds.manage.doctor import cloud_checks

    return cloud_checks(
        place=cloud.place,
        project=cloud.project,
        tokens=cloud.tokens,
        policies=cloud.policies,
        inspector=cloud.inspector,
        now=utc_now(),
    )


def rule_families() -> "Mapping[str, Sequence[Rule]]":
    """All rules by family."""
    from orchestra_creds.scanner.rulebook.catalog import FAMILIES

    return FAMILIES


def utc_now() -> datetime:
    """The real clock; everything below is handed the time."""
    return datetime.now(UTC)


class Cloud:
    """The stores of one cloud, made when first used; close it, or use it in a `with` block."""

    def __init__(self, session: "Session", settings: "Settings", location: str, embedded: "Running | None") -> None:
        self.session = session
        self.project = session.project
        self._settings = settings
        self._location = location
        self._embedded = embedded

    @cached_property
    def secrets(self) -> "SecretStore":
        """Secret Manager."""
        from orchestra_creds.gcp.secrets import SecretManagerStore

        return SecretManagerStore(self.session, location=self._location)

    @cached_property
    def keys(self) -> "KeyStore":
        """Service-account keys."""
        from orchestra_creds.gcp.keys import IamKeyStore

        return IamKeyStore(self.session)

    @cached_property
    def policies(self) -> "PolicyStore":
        """IAM policies."""
        from orchestra_creds.gcp.policies import RestPolicyStore

        return RestPolicyStore(self.session)

    @cached_property
    def tokens(self) -> "TokenIssuer":
        """Tokens for key files, and the operator's identity."""
        from orchestra_creds.gcp.tokens import KeyTokenIssuer

        return KeyTokenIssuer(self.session)

    @cached_property
    def inspector(self) -> "ProjectInspector":
        """Facts about the project."""
        from orchestra_creds.gcp.project import RestProjectInspector

        return RestProjectInspector(self.session)

    @property
    def place(self) -> str:
        """Which cloud this is, in words."""
        return (
            "Google Cloud" if self.session.endpoints is None else f"the embedded cloud at {self.session.endpoints.grpc}"
        )

    def full_name(self, name: str, environment: str) -> str:
        """The name of a secret in an environment, by the configured pattern.

        Raises:
            ConfigError: the configuration has environments, and this is none of them.
        """
        from orchestra_creds.core.values import full_name

        known = self._settings.document.environments
        if environment and known and environment not in known:
            raise ConfigError(
                f"there is no environment {environment!r}", hint=f"configured: {', '.join(sorted(known))}"
            )
        return full_name(name, environment, self._settings.document.naming.secret)

    def in_environment(self, name: str, environment: str) -> bool:
        """Whether a secret belongs to an environment, by its name."""
        return not environment or self.full_name(name, environment) == name

    def secret_resource(self, name: str) -> str:
        """The full resource name of a secret."""
        place = f"locations/{self._location}/" if self._location else ""
        return f"projects/{self.project}/{place}secrets/{name}"

    def close(self) -> None:
        """End the connections, and the embedded cloud if this process runs it."""
        self.session.close()
        if self._embedded is not None:
            self._embedded.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


def open_cloud(
    *,
    backend: str = "",
    project: str = "",
    impersonate: str = "",
    config: Path | None = None,
    location: str = "",
    say: Callable[[str], None] = lambda _line: None,
) -> Cloud:
    """The cloud that the options, the environment and the settings choose.

    The embedded cloud is chosen by `local`, or by the variables of `emulator env`; Google by `gcp`, or by a project. A running
    daemon is used, with its permissions; else this process serves the same state for as long as the verb takes.

    Raises:
        ConfigError: nothing chooses one.
    """
    from orchestra_creds import config as configuration

    settings = configuration.load(config)
    endpoints = None if backend == "gcp" else named_endpoints(os.environ)
    wanted = project or settings.document.project.id
    local = backend == "local" or endpoints is not None
    if not local and not wanted:
        raise ConfigError(
            "no project is named",
            hint="name one with --project, ORCHESTRA_CREDS_PROJECT or orchestra-creds.toml, or use the embedded cloud: --backend local",
        )
    silence_libraries()
    from orchestra_creds.gcp.session import Endpoints, Session

    if not local:
        return Cloud(Session(wanted, impersonate=impersonate, announce=say), settings, location, None)
    from orchestra_creds.emulator import control

    embedded, owner = None, ""
    if endpoints is None and (daemon := control.find_daemon(emulator_state())) is not None:
        endpoints = daemon.endpoints.grpc, daemon.endpoints.http
        owner = control.owner_token(emulator_state()) if daemon.auth else ""  # who has the state file is the owner
    if endpoints is None:
        embedded = control.start_in_process(emulator_state())
        endpoints = embedded.endpoints.grpc, embedded.endpoints.http
    wanted = wanted or os.environ.get("CLOUDSDK_CORE_PROJECT", "") or control.DEFAULT_PROJECT
    session = Session(wanted, endpoints=Endpoints(*endpoints), impersonate=impersonate, owner_token=owner, announce=say)
    return Cloud(session, settings, location, embedded)


def silence_libraries() -> None:
    """Switch off the logging of requests and replies that the environment can switch on in gRPC and Google's clients.

    They write payloads as they are. It is read when they are imported, so this comes first.
    """
    for name in ("GRPC_TRACE", "GOOGLE_SDK_PYTHON_LOGGING_SCOPE"):
        os.environ.pop(name, None)
    os.environ["GRPC_VERBOSITY"] = "NONE"


def named_endpoints(environment: Mapping[str, str]) -> tuple[str, str] | None:
    """The gRPC and HTTP endpoints that `emulator env` exported, or None.

    Raises:
        ConfigError: only one of the two is there, or one is not on this machine.
    """
    grpc, http = (
        environment.get("ORCHESTRA_CREDS_EMULATOR_GRPC", ""),
        environment.get("ORCHESTRA_CREDS_EMULATOR_HTTP", ""),
    )
    if not grpc and not http:
        return None
    if not _LOOPBACK.fullmatch(grpc) or not _LOOPBACK.fullmatch(http.removeprefix("http://").rstrip("/")):
        raise ConfigError(
            "ORCHESTRA_CREDS_EMULATOR_GRPC and ORCHESTRA_CREDS_EMULATOR_HTTP do not name the embedded cloud",
            hint='set both with: eval "$(orchestra-creds emulator env)", or unset both',
        )
    return grpc, http.rstrip("/")


def emulator_state() -> Path:
    """The state file of the embedded cloud, in a private folder."""
    return Path(folders.private(folders.state_folder())) / "emulator.db"
