"""The structure checks that rules name: what looks like a credential is parsed, verified, graded or refused.

Each check is a pure function from a `Subject` to a `CheckVerdict` or to None; the families stand in files of their own, beside
the formats they read, and their names are unique (a test says so). A family is loaded when one of its checks is wanted,
or one of a family behind it: most places lead to the first ones.
"""

from collections.abc import Iterator
from functools import cache

from orchestra_creds.scanner.checks.verdict import Check, QuickLook, Subject


def families() -> Iterator[dict[str, Check]]:
    """Name, as rules write it, to check: family by family, each loaded as it is reached."""
    from orchestra_creds.scanner.checks import generic as generic_checks

    yield generic_checks.CHECKS
    from orchestra_creds.scanner.checks import checksums

    yield checksums.CHECKS
    from orchestra_creds.scanner.checks import arguments

    yield arguments.CHECKS
    from orchestra_creds.scanner.checks import kubernetes

    yield kubernetes.CHECKS
    from orchestra_creds.scanner.checks import tokens

    yield tokens.CHECKS
    from orchestra_creds.scanner.checks import jwt as jwt_checks

    yield jwt_checks.CHECKS
    from orchestra_creds.scanner.checks import google as google_checks

    yield google_checks.CHECKS
    from orchestra_creds.scanner.checks import private_keys as private_key_checks

    yield private_key_checks.CHECKS


def password_rounds(subject: Subject) -> int:
    """How many hashes it takes to try one password on what begins here; see `budget.ROUNDS`."""
    from orchestra_creds.scanner.checks.private_keys import pkcs12_rounds

    return pkcs12_rounds(subject)


@cache
def check_of(name: str) -> Check:
    """The check of this name; KeyError when there is none."""
    for checks in families():
        if name in checks:
            return checks[name]
    raise KeyError(name)


@cache
def quick_look_of(name: str) -> QuickLook:
    """The quick look of the check of this name; KeyError when it has none."""
    from orchestra_creds.scanner.checks.generic import QUICK_LOOKS

    return QUICK_LOOKS[name]
