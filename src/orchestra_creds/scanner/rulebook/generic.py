"""Rules of the generic family."""

from orchestra_creds.scanner.rule import Rule

RULES: tuple[Rule, ...] = ()
