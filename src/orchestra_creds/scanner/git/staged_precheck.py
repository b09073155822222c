"""The first look at staged changes, before anything heavy is loaded: does any rule match anything at all?

A pre-commit hook runs at every commit and nearly always finds nothing. `precheck_staged` needs git, the compiled rules and
30 ms where the first pass reports nothing; where it does, the engine, with rules from the cache, refutes it in 40 ms more;
only what may be a finding loads the whole scanner. Guarantees: it says "nothing" only where the scan would:
same objects, same engine, no archive, no UTF-16, no file that could add rules or notes; anything else, any doubt and any
error but a git that stalls is None, and the scan decides. The compiled rules are those that the last scan has kept (`engine/compiled_cache.py`).

Until the first pass reports something nothing is imported that imports `dataclasses` or `typing`: those two cost as much
as the whole look.
"""

import os
import sys
from types import ModuleType

from orchestra_creds.errors import CredsError
from orchestra_creds.scanner.buffers import SAMPLE, SEPARATOR, SPECIAL_STARTS, ZIP_END, ZIP_END_SIZE
from orchestra_creds.scanner.engine import compiled_cache
from orchestra_creds.scanner.file_names import SETTINGS_OF_A_SCAN
from orchestra_creds.scanner.git import process as git_process
from orchestra_creds.scanner.git.watch import GitStalledError
from orchestra_creds.scanner.native import hex_ends

TYPE_CHECKING = False  # typing's own costs 3 ms
if TYPE_CHECKING:
    from typing import Any

    from orchestra_creds.scanner.engine.compiled_cache import CompiledRules

MOST_BYTES = 16 << 20
"""Staged content above this is no small change; the scan takes its time."""


def precheck_staged(folder: str, cache: str) -> "tuple[str, int, int] | None":
    """The root, and how many files and bytes were looked at, when no rule may match in them; None: the scan must tell.

    Raises:
        GitStalledError: git makes no progress here.
    """
    try:
        found = git_process.find(folder)
        if found is None or any(
            os.path.lexists(os.path.join(found[1] or found[0], name)) for name in SETTINGS_OF_A_SCAN
        ):
            return None
        rules = compiled_cache.recall(cache)
        if rules is None:
            return None
        git = git_process.Git(found[0], work_tree=found[1], index=git_process.index_of_the_hook(found[0]))
        extension, wanted = _hyperscan(), git.staged_ids()
        contents = _contents(git, wanted)
        if contents is None:
            return None
        texts = list(contents.values())
        if texts and not _finds_nothing(extension, rules, texts):
            return None
        return found[1] or found[0], len(wanted), sum(len(contents[oid]) for oid in wanted.values())
    except GitStalledError:
        raise  # it would stall in the scan, too
    except (CredsError, OSError, ValueError, ImportError):
        return None


def _finds_nothing(extension: ModuleType, rules: "CompiledRules", texts: "list[bytes]") -> bool:
    """Whether the first pass reports nothing in the texts, or the engine refutes it."""
    try:
        database = extension.loadb(rules.database, extension.HS_MODE_BLOCK)
        return not _matches(extension, database, SEPARATOR.join(texts)) or _has_no_detection(texts, rules, database)
    except extension.error:
        return False  # compiled by another build of the library, or for another processor


def _contents(git: git_process.Git, wanted: "dict[bytes, str]") -> "dict[str, bytes] | None":
    """Object id to content of what is staged; None when something is missing, special or too large for a quick look."""
    contents: dict[str, bytes] = {}
    left = MOST_BYTES
    for oid, _, size, content in git.objects(wanted.values(), max_size=MOST_BYTES):
        left -= size
        if content is None or left < 0 or _is_special(content):
            return None
        contents[oid] = content
    return contents if contents.keys() == set(wanted.values()) else None


def _has_no_detection(texts: "list[bytes]", rules: "CompiledRules", database: "Any") -> bool:
    """Whether nothing of what the first pass reports is a credential."""
    from orchestra_creds.scanner.engine.engine import Engine

    engine = Engine.from_database(rules.rules(), database, rules.widest)
    return not any(engine.examine(text, engine.find_hits(text)) or engine.excess for text in texts)


def _matches(extension: ModuleType, database: "Any", text: bytes) -> bool:
    """Whether the first pass of any rule reports anything: that of `prefilter.HyperscanMatcher`."""
    if hex_ends is not None and hex_ends(text, 1):
        return True
    found = False

    def report(*_: object) -> bool:
        nonlocal found
        found = True
        return True  # enough

    try:
        database.scan(text, match_event_handler=report, scratch=extension.Scratch(database))
    except extension.error:
        return True  # ended by the report
    return found


def _hyperscan() -> ModuleType:
    """The extension module alone, as `libraries` loads it."""
    from importlib.machinery import PathFinder
    from importlib.util import module_from_spec

    for entry in sys.path:
        spec = PathFinder.find_spec("hyperscan._hs_ext", [os.path.join(entry, "hyperscan")])
        if spec is not None and spec.loader is not None:
            module = sys.modules[spec.name] = module_from_spec(spec)  # for `libraries`, too
            spec.loader.exec_module(module)
            return module
    raise ImportError("hyperscan")


def _is_special(content: bytes) -> bool:
    """Whether a file may be more than its bytes: an archive, text in another encoding, or a pointer to another file."""
    return bool(content) and (
        content.startswith(SPECIAL_STARTS) or b"\0" in content[:SAMPLE] or content[-ZIP_END_SIZE:].startswith(ZIP_END)
    )
