"""What one scan is asked to do, as data: the CLI fills it in, `pipeline.scan` answers it.

Nothing here reads a file, the environment or the clock: folders, the environment and the time are arguments.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType

from orchestra_creds.core.record import dataclass, field
from orchestra_creds.scanner.rule import Severity


@dataclass(frozen=True, slots=True)
class ScanRequest:
    """One scan.

    paths             files, folders, or "-" for standard input; for a repository source, one folder inside it
    source            a name in `source.SOURCES`
    since             the revision of the source "since"
    all_files         in a working tree, also ignored files (never `.git`)
    exclude           globs of paths that are left out; see `exclusions.Exclusions`
    jobs              worker processes; 0 asks for one per processor
    max_size          bytes; a larger file is skipped and named in the report; 0 sets no limit
    archive_depth     how many archives deep to look; 0 scans archives as plain bytes
    engine            "auto", "hyperscan" or "re2"
    cache_dir         holds the compiled rules and the ids of scanned objects; "" stores nothing
    use_cache         False scans every object of a history again, and neither reads nor writes what was seen
    state_dir         holds the fingerprint keys; "" uses a key that ends with the process
    baseline          None takes `.orchestra-creds-baseline.json` of the scanned root when it is there; "" takes none
    gitleaks_*        files named by the operator, which count whole; "" for none named
    accept_missing    kinds of missing content, see `absence.ABSENCES`, that leave a note and no incomplete report
    added_rules       configurations in gitleaks' format of which only the rules are wanted
    use_gitleaks      False ignores a `.gitleaks.toml` that merely lies in the scanned root
    name_revision     whether the report names the commit that is checked out
    environment       variables, for the fingerprint key
    now               when the scan begins; for baseline entries that expire
    """

    paths: tuple[str, ...] = (".",)
    source: str = "tree"
    since: str = ""
    all_files: bool = False
    exclude: tuple[str, ...] = ()
    jobs: int = 0
    max_size: int = 0
    archive_depth: int = 5
    engine: str = "auto"
    cache_dir: str = ""
    use_cache: bool = True
    state_dir: str = ""
    baseline: str | None = None
    gitleaks_config: str = ""
    gitleaks_baseline: str = ""
    gitleaks_ignore: str = ""
    accept_missing: tuple[str, ...] = ()
    added_rules: tuple[str, ...] = ()
    use_gitleaks: bool = True
    min_severity: Severity = Severity.LOW
    name_revision: bool = False
    environment: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    now: datetime = field(default_factory=lambda: datetime.fromtimestamp(0, UTC))
