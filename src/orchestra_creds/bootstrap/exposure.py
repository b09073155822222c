"""Whether a file that is about to hold a value would be picked up by git."""

import os
import shutil

from orchestra_creds.errors import ConfigError
from orchestra_creds.scanner.git import process as git_process


def refuse_exposed(target: str) -> None:
    """Refuse a file in a working tree that git tracks, or would add.

    Only the repository's own rules count, not what this machine ignores: they hold for everybody who has the repository. What is no
    regular file, lies in no working tree or in `.git` itself, or where there is no git at all, is nobody's to add.

    Raises:
        ConfigError: git does not ignore it.
    """
    path = os.path.realpath(target)
    found = git_process.find(os.path.dirname(path))
    if found is None or shutil.which("git") is None or (os.path.exists(path) and not os.path.isfile(path)):
        return
    git_dir, work_tree = found
    if not work_tree or os.path.commonpath([path, os.path.realpath(git_dir)]) == os.path.realpath(git_dir):
        return
    git = git_process.Git(git_dir, work_tree=work_tree)
    inside = os.path.relpath(path, os.path.realpath(work_tree))
    # This verb takes no literal pathspecs, nor patterns: the dot keeps a colon from being read as magic.
    asked = ("--no-literal-pathspecs", "check-ignore", "--quiet", "--", f"./{inside}")
    code, _, errors = git.call(asked, in_tree=True)
    if code not in {0, 1}:
        raise git.call_error("check-ignore", errors)
    if code == 1:
        raise ConfigError(
            f"git does not ignore {target}, and it would hold values",
            hint="add it to .gitignore (and out of the index: git rm --cached), or write outside of the repository",
        )
