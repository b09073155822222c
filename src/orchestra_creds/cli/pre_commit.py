"""What the hook of pre-commit is to look at: a range of commits, what is staged, or files.

pre-commit (pre-commit.com) names the files that it was started for, and for a push or `--from-ref` and `--to-ref` the two revisions in
variables. `--all-files` shows in the names alone: they are more than what is staged.
"""

import os

from orchestra_creds.errors import CredsError
from orchestra_creds.scanner.git import process as git_process

FROM, TO = "PRE_COMMIT_FROM_REF", "PRE_COMMIT_TO_REF"


def choose_source(paths: "tuple[str, ...]") -> "tuple[str, str, tuple[str, ...]]":
    """Return the source, the revisions for the source "since", and the paths that a scan for pre-commit is to look at.

    A whole tree is looked at if neither files nor revisions are named and nothing is staged: a hook that looks at nothing is always green.
    """
    first, last = os.environ.get(FROM, ""), os.environ.get(TO, "")
    if first and last:
        return "since", f"{first}..{last}", (".",)
    staged = _staged_paths()
    if staged and {os.fsencode(path) for path in paths} <= staged:
        return "staged", "", (".",)
    return "tree", "", paths or (".",)


def _staged_paths() -> "frozenset[bytes]":
    """Return the paths that the next commit would add or change; none where git cannot tell."""
    try:
        found = git_process.find(".")
        if found is None:
            return frozenset()
        index = git_process.index_of_the_hook(found[0])
        return frozenset(git_process.Git(found[0], work_tree=found[1], index=index).staged_ids())
    except CredsError:
        return frozenset()
