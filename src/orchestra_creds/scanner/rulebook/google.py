"""Rules of the google family."""

from orchestra_creds.scanner.rule import Rule

RULES: tuple[Rule, ...] = ()
