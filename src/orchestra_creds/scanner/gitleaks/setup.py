"""gitleaks' files put to use: a configuration becomes rules for our engine and a policy over its sightings.

A configuration that the operator names counts whole, as gitleaks reads it. One that merely lies in the scanned tree may
add rules, and its allowlists concern those alone: nobody relaxes a scan of his own repository (docs/adr/0011). Patterns run
in our engines; what gitleaks decides after a match is in `gitleaks/policy.py`. docs/gitleaks.md lists what differs, and why.
Without any such file this module loads nothing else: a staged scan pays for no reader of TOML.
"""

import os
import stat
from collections.abc import Callable, Sequence
from pathlib import Path

from orchestra_creds.core.record import dataclass
from orchestra_creds.scanner.file_names import GITLEAKS_CONFIG, GITLEAKS_IGNORE
from orchestra_creds.scanner.finding import SkippedItem
from orchestra_creds.scanner.rule import Rule

TYPE_CHECKING = False  # typing's own costs 2 ms, for which the listing of a tree would wait
if TYPE_CHECKING:
    from orchestra_creds.scanner.gitleaks.policy import GitleaksPolicy

MOST_READ = 64 << 20
"""Bytes of a file that are searched for a keyword which does not stand beside the match."""


@dataclass(frozen=True, slots=True)
class GitleaksSetup:
    """What a scan needs: all rules to run, the policy over their sightings, and what the operator should know.

    `skipped` names files of the tree that add rules and could not be used.
    """

    rules: tuple[Rule, ...]
    policy: "GitleaksPolicy | None" = None
    notes: tuple[str, ...] = ()
    skipped: tuple[SkippedItem, ...] = ()


def setup(
    ours: Sequence[Rule],
    *,
    root: Path,
    config: str = "",
    ignore: str = "",
    baseline: str = "",
    added: Sequence[str] = (),
    look: bool = True,
) -> GitleaksSetup:
    """Rules and policy of one scan of the tree at `root`.

    config, ignore, baseline    files that the operator names; they count whole
    added                       configurations of which only the rules are wanted (`--rules`)
    look                        also take up what lies in the tree: rules of `.gitleaks.toml` are added, the rest is
                                named in a note

    Raises:
        ConfigError: a named file cannot be read or is wrong.
    """
    found = look and not config and _is_plain(root / GITLEAKS_CONFIG)
    notes = []
    if look and not ignore and _is_plain(root / GITLEAKS_IGNORE):
        notes.append(f"{GITLEAKS_IGNORE} is not used: name it with --gitleaks-ignore, or import it into a baseline")
    if not (found or config or ignore or baseline or added):
        return GitleaksSetup(tuple(ours), None, tuple(notes))

    from orchestra_creds.scanner.gitleaks.accepted import load_ignore, load_report
    from orchestra_creds.scanner.gitleaks.config import load
    from orchestra_creds.scanner.gitleaks.rules import RuleSetBuilder

    builder = RuleSetBuilder(ours)
    if config:
        builder.take_whole(load(Path(config)))
    elif found:
        builder.add_tree_config(root / GITLEAKS_CONFIG)
    for name in added:
        builder.add(load(Path(name)))
    accepted = (load_ignore(Path(ignore)) if ignore else ()) + (load_report(Path(baseline)) if baseline else ())
    own_files = frozenset(inside for name in (config, baseline) if name and (inside := _inside(Path(name), root)))
    policy = builder.policy(accepted, own_files, tree_reader(root))
    return GitleaksSetup(builder.all_rules(), policy, (*builder.notes, *notes), tuple(builder.skipped))


def _is_plain(path: Path) -> bool:
    """Whether this is a regular file, and no link to one."""
    return path.is_file() and not path.is_symlink()


def _inside(path: Path, root: Path) -> str:
    """The path relative to the root with `/`, or "" when it lies elsewhere."""
    absolute, above = path.resolve(), root.resolve()
    return absolute.relative_to(above).as_posix() if absolute.is_relative_to(above) else ""


def tree_reader(root: Path) -> Callable[[str], bytes | None]:
    """Reads files of a tree for the policy: regular files only, no links, of at most `MOST_READ` bytes."""
    kept: dict[str, bytes | None] = {}

    def read_file(path: str) -> bytes | None:
        if path not in kept:
            kept.clear()  # sightings come file by file
            kept[path] = _regular(root / path)
        return kept[path]

    return read_file


def _regular(path: Path) -> bytes | None:
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        descriptor = os.open(path, flags)
        with open(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            return file.read() if stat.S_ISREG(status.st_mode) and status.st_size <= MOST_READ else None
    except OSError:
        return None
