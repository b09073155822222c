"""The structure checks that rules name: what looks like a credential is parsed, verified, graded or refused.

`CHECKS` is the whole list. Each check is a pure function from a `Subject` to a `Verdict` or to None; the families stand
in files of their own (`structure_*.py`), beside the formats they read.
"""

from orchestra_creds.scanner.verdict import Check, Subject, Verdict

__all__ = ["CHECKS", "Check", "Subject", "Verdict"]

CHECKS: dict[str, Check] = {}
"""Name, as rules write it, to check."""
