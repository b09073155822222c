"""An audited baseline as a result."""

from collections.abc import Sequence

from orchestra_creds.core.result import Result
from orchestra_creds.errors import ExitCode

KEYS = ("fingerprint", "state", "rule", "path", "expires", "reason")


def audit_result(entries: Sequence[tuple[str, ...]], *, pruned: int, exit_code: ExitCode) -> Result:
    """The answer of `scan baseline audit`: (fingerprint, state, rule, path, expires, reason) a line."""
    removed = (f"removed {pruned} entries that vanished",) if pruned else ()
    return Result(
        schema="orchestra-creds/baseline-audit/1",
        body={"entries": [dict(zip(KEYS, entry, strict=True)) for entry in entries], "pruned": pruned},
        columns=tuple(key.upper() for key in KEYS),
        rows=tuple(entries),
        lines=removed or (() if entries else ("the baseline is empty",)),
        exit_code=exit_code,
    )
