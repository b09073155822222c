"""What the baseline verbs do: scan without the baseline, choose, accept, and write the file in one step.

Guarantees: a baseline that exists is changed or refused, never replaced unseen; an incomplete scan accepts nothing, for who knows
what it would have found; every entry has a reason and an author.
"""

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestra_creds.core.material import Material
from orchestra_creds.core.text import visible
from orchestra_creds.errors import ConfigError, ExitCode, IncompleteError, NotFoundError, PreconditionError
from orchestra_creds.scanner import fingerprint
from orchestra_creds.scanner.baseline import file as files
from orchestra_creds.scanner.baseline.file import AuditedEntry, Baseline, BaselineEntry, EntryState
from orchestra_creds.scanner.file_names import BASELINE_FILE
from orchestra_creds.scanner.finding import Finding, ScanReport
from orchestra_creds.scanner.git.repository import Repository
from orchestra_creds.scanner.gitleaks import accepted as gitleaks_accepted
from orchestra_creds.textfile import read_bytes


@dataclass(frozen=True, slots=True)
class Acceptance:
    """Who accepts, why, and until when."""

    reason: str
    author: str
    today: dt.date
    expires: dt.date | None = None


@dataclass(frozen=True, slots=True)
class BaselineAudit:
    """Every entry of a baseline with its state."""

    entries: tuple[AuditedEntry, ...]
    pruned: int = 0

    @property
    def exit_code(self) -> ExitCode:
        """1 when an entry has expired or vanished: somebody must decide."""
        undecided = any(entry.state in {EntryState.EXPIRED, EntryState.VANISHED} for entry in self.entries)
        return ExitCode.ATTENTION if undecided else ExitCode.OK


class BaselineService:
    """The baseline of one scanned root; `scan` looks at everything, with no baseline applied.

    `scan_history` looks at what git holds besides, where `scan` does not; PreconditionError where there is no repository.
    """

    def __init__(
        self,
        root: Path,
        *,
        file: Path | None,
        scan: Callable[[], ScanReport],
        scan_history: Callable[[], ScanReport] | None,
        keys: Path,
        environment: Mapping[str, str],
    ) -> None:
        self._file = file or default_file(root)
        self._root = root
        self._scan = scan
        self._scan_history = scan_history
        self._keys = keys
        self._environment = environment

    def create(self, acceptance: Acceptance, *, folder: Path | None = None) -> str:
        """Accept all that is found now; with `folder`, only what is in that folder of the root."""
        if self._file.exists():
            raise PreconditionError(
                f"there is a baseline already: {visible(str(self._file))}",
                hint="add to it: scan baseline add FINGERPRINT",
            )
        report = self._complete_scan()
        within = "." if folder is None else folder.resolve().relative_to(self._root).as_posix()
        below = "" if within == "." else within + "/"
        chosen = [finding for finding in report.findings if finding.first.path.startswith(below)]
        made = _accept(Baseline(self._key("").id), chosen, acceptance)
        files.save(self._file, made)
        return f"accepted {_quantity(len(made.entries), 'finding')} in {self._file}"

    def add(self, prefix: str, acceptance: Acceptance, *, anywhere: bool = False) -> str:
        """Accept the findings of one credential."""
        present = self._load_or_new()
        chosen = files.choose(self._complete_scan().findings, prefix)
        files.save(self._file, _accept(present, chosen, acceptance, anywhere=anywhere))
        where = "everywhere" if anywhere else f"at {', '.join(visible(finding.first.path) for finding in chosen)}"
        return f"accepted {chosen[0].rule} {where}"

    def remove(self, prefix: str) -> str:
        """Stop accepting the findings of one credential."""
        left, gone = files.remove(self._load(), prefix)
        files.save(self._file, left)
        return f"removed {_quantity(len(gone), 'entry')}: {gone[0].rule} at {', '.join(entry.path for entry in gone)}"

    def audit(self, *, today: dt.date, prune: bool = False) -> BaselineAudit:
        """Compare every entry with what is found now."""
        present = self._load()
        self._key(present.key)
        audited = files.audit(present, self._complete_scan().findings, today)
        if not prune:
            return BaselineAudit(audited)
        gone = {item.entry for item in audited if item.state is EntryState.VANISHED} - self._in_history(
            present, audited, today
        )
        files.save(self._file, files.drop_entries(present, gone))
        kept = tuple(item for item in audited if item.entry not in gone)
        return BaselineAudit(kept, pruned=len(gone))

    def _in_history(self, present: Baseline, audited: Sequence[AuditedEntry], today: dt.date) -> set[BaselineEntry]:
        """Of the entries that have vanished, those that git holds still: what a working tree lost is no reason to forget them."""
        if self._scan_history is None or not any(item.state is EntryState.VANISHED for item in audited):
            return set()
        try:
            report = _complete(self._scan_history())
        except PreconditionError:  # no repository, and so no history
            return set()
        return {
            item.entry for item in files.audit(present, report.findings, today) if item.state is not EntryState.VANISHED
        }

    def import_(self, source: Path, acceptance: Acceptance) -> str:
        """Take over a gitleaks report or ignore file: positions become fingerprints where the credential is still found."""
        legacy = (
            gitleaks_accepted.load_report(source) if source.suffix == ".json" else gitleaks_accepted.load_ignore(source)
        )
        present = self._load_or_new()
        found = gitleaks_accepted.rekey(legacy, self._complete_scan(), self._key(present.key))
        files.save(self._file, _accept(present, found.findings, acceptance))
        lost = f"; not found today: {_quantity(len(found.lost), 'entry')}" if found.lost else ""
        return f"took over {_quantity(len(found.findings), 'finding')}{lost}"

    def _complete_scan(self) -> ScanReport:
        return _complete(self._scan())

    def _load(self) -> Baseline:
        if not self._file.exists():
            raise NotFoundError(f"no baseline at {visible(str(self._file))}", hint="`scan baseline create` makes one")
        return files.load(self._file)

    def _load_or_new(self) -> Baseline:
        if not self._file.exists():
            return Baseline(self._key("").id)
        present = files.load(self._file)
        self._key(
            present.key
        )  # from now on the key of this place, so the scan makes the fingerprints that the file holds
        return present

    def _key(self, wanted: str) -> fingerprint.FingerprintKey:
        key = fingerprint.load_key(self._keys, place_of(self._root), wanted=wanted, environment=self._environment)
        if key.temporary:
            raise ConfigError(
                "the fingerprint key cannot be kept, so a baseline would be worthless",
                hint=f"make {self._keys} writable, or set {fingerprint.VARIABLE}",
            )
        return key


def _quantity(number: int, noun: str) -> str:
    if number == 1:
        return f"1 {noun}"
    return f"{number} {noun[:-1]}ies" if noun.endswith("y") else f"{number} {noun}s"


def _accept(baseline: Baseline, findings: Iterable[Finding], terms: Acceptance, *, anywhere: bool = False) -> Baseline:
    return files.accept(
        baseline,
        findings,
        reason=terms.reason,
        author=terms.author,
        today=terms.today,
        expires=terms.expires,
        anywhere=anywhere,
    )


def default_file(root: Path) -> Path:
    """Where the baseline of a scanned root lies: in it, or at the top of the repository around it."""
    repository = Repository.discover(root)
    top = repository.work_tree if repository is not None and repository.work_tree is not None else root
    beside = root / BASELINE_FILE
    return beside if beside.exists() else top / BASELINE_FILE


def baseline_root(path: Path, file: Path | None = None) -> Path:
    """Return the folder whose findings the baseline of `path` accepts.

    It is `path` itself where the baseline is a named `file`, else the folder that `default_file` finds the baseline in.

    Raises:
        NotFoundError: there is no such folder.
    """
    if not path.is_dir():
        raise NotFoundError(f"no such folder: {path}", hint="a baseline belongs to a folder or repository")
    return path.resolve() if file else default_file(path.resolve()).parent


def place_of(root: Path) -> Path:
    """What a fingerprint key belongs to: the repository, shared by its worktrees, else the folder."""
    repository = Repository.discover(root)
    return repository.common_dir if repository is not None else root


def hand_over(root: Path, *, keys: Path, environment: Mapping[str, str]) -> tuple[str, Material]:
    """The public name of a repository's key, and the key as text for a colleague or CI."""
    key = fingerprint.load_key(keys, place_of(root), environment=environment)
    return key.id, fingerprint.key_text(key)


def take_over(root: Path, source: Path, *, keys: Path) -> str:
    """Keep a key that was handed over as the key of this repository; returns its public name."""
    text = read_bytes(source)
    key = fingerprint.parse_key(text, str(source))
    fingerprint.install_key(keys, place_of(root), key)
    return key.id


def _complete(report: ScanReport) -> ScanReport:
    if not report.complete:
        first = report.skipped[0]
        raise IncompleteError(
            f"nothing was accepted, the scan is incomplete: {visible(first.path)}: {first.reason}",
            hint="mend or --exclude it, then try again",
        )
    return report
