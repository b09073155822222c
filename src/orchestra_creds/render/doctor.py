"""A diagnosis as a result."""

from collections.abc import Sequence

from orchestra_creds.core.result import Result
from orchestra_creds.errors import ExitCode

SIGNS = {"ok": "✓ ok", "warn": "! warn", "fail": "✗ fail"}
KEYS = ("name", "health", "detail", "fix")


def diagnosis(checks: Sequence[tuple[str, str, str, str]], exit_code: ExitCode) -> Result:
    """The answer of `doctor`: (name, health, detail, fix) a check; what to do stands below what was found."""
    lines: list[str] = []
    for name, health, detail, fix in checks:
        lines.append(f"{SIGNS[health]:7} {name}: {detail}")
        if fix:
            lines.append(f"        do: {fix}")
    return Result(
        schema="orchestra-creds/doctor/1",
        body={"checks": [dict(zip(KEYS, check, strict=True)) for check in checks]},
        lines=tuple(lines),
        exit_code=exit_code,
    )
