"""The structure checks that rules name: what looks like a credential is parsed, verified, graded or refused.

`CHECKS` is the whole list. Each check is a pure function from a `Subject` to a `Verdict` or to None; the families stand
in files of their own, beside the formats they read, and their names are unique (a test says so).
"""

from orchestra_creds.scanner import checksums, structure_generic, structure_google, structure_jwt, structure_keys
from orchestra_creds.scanner.verdict import Check, Subject, Verdict

__all__ = ["CHECKS", "Check", "Subject", "Verdict"]

FAMILIES: tuple[dict[str, Check], ...] = (
    checksums.CHECKS,
    structure_generic.CHECKS,
    structure_google.CHECKS,
    structure_jwt.CHECKS,
    structure_keys.CHECKS,
)

CHECKS: dict[str, Check] = {name: check for family in FAMILIES for name, check in family.items()}
"""Name, as rules write it, to check."""
