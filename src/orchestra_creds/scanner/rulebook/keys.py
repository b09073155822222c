"""Rules of the keys family."""

from orchestra_creds.scanner.rule import Rule

RULES: tuple[Rule, ...] = ()
