"""One allowlist of a gitleaks configuration: which findings it lets pass.

Kinds of checks: commits, paths, regexes on a chosen text, stopwords in the secret. OR needs one of them to hold, AND every
kind that is present.
"""

from dataclasses import dataclass

from orchestra_creds.scanner.libraries import Regex


@dataclass(frozen=True, slots=True)
class AllowlistInput:
    """What an allowlist may look at: path and commit, and the texts of one match."""

    path: bytes
    commit: str
    secret: bytes
    match: bytes
    line: bytes


@dataclass(frozen=True, slots=True)
class Allowlist:
    """`target` is secret, match or line: what `regexes` are searched in. `rules`: only for these; empty means all."""

    all_of: bool = False
    commits: frozenset[str] = frozenset()
    paths: tuple[Regex, ...] = ()
    target: str = "secret"
    regexes: tuple[Regex, ...] = ()
    stopwords: tuple[bytes, ...] = ()
    rules: frozenset[str] = frozenset()

    def allows(self, one: AllowlistInput) -> bool:
        """Whether the finding is let pass."""
        checks = []
        if self.commits:
            checks.append(one.commit.lower() in self.commits)
        if self.paths:
            checks.append(any_in(self.paths, one.path))
        if self.regexes:
            text = {"secret": one.secret, "match": one.match, "line": one.line}[self.target]
            checks.append(any_in(self.regexes, text))
        if self.stopwords:
            secret = one.secret.lower()
            checks.append(any(word in secret for word in self.stopwords))
        return all(checks) if self.all_of else any(checks)


def any_in(patterns: tuple[Regex, ...], text: bytes) -> bool:
    """Whether one of the patterns is found in the text."""
    return any(pattern.search(text, 0, len(text)) is not None for pattern in patterns)
