"""What a verb answers, ready to be shown to a person or to a program; holds no material."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from orchestra_creds.errors import ExitCode


@dataclass(frozen=True, slots=True)
class Result:
    """One answer.

    schema     name and version of the JSON object, `orchestra-creds/secrets/1`    body      its keys (JSON values)
    columns    headings of the table                                              rows      its cells
    lines      sentences in place of, or below, the table
    """

    schema: str
    body: Mapping[str, object] = field(default_factory=dict)
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    lines: tuple[str, ...] = ()
    exit_code: ExitCode = ExitCode.OK
