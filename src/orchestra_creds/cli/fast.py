"""`scan --staged` before Typer is loaded: what a pre-commit hook runs, in a quarter of the time.

Two steps. When no rule matches anything (`scanner.quick`), the answer is printed at once. Otherwise the scan itself runs
here, with the service and the renderers that the verb uses. Guarantees: output and exit code are those of the verb, which
tests compare; arguments that are not plain, a setting from a file or the environment, a terminal, or a shell's completion
go to Typer.
"""

import os
import sys
import time

PLAIN = ("--staged", "--quiet", "-q", "--no-color")
FORMATS = ("table", "json", "sarif", "gitleaks", "html", "github")
SETTINGS = "orchestra-creds.toml"
_UNTOUCHED = ("ORCHESTRA_CREDS_STATE_DIR", "ORCHESTRA_CREDS_CACHE_DIR", "ORCHESTRA_CREDS_DEBUG")


def staged(arguments: list[str]) -> int | None:
    """The exit code of `scan --staged`, or None when the arguments are not plain or the place is special."""
    began = time.perf_counter()
    chosen = _plain(arguments)
    if chosen is None or _has_settings():
        return None
    try:
        answer = _quick(chosen, began) or _scan(chosen)
    except KeyboardInterrupt:
        sys.stderr.write("cancelled\n")
        return 130
    return None if answer is None else _print(*answer)


def _quick(format_: str, began: float) -> tuple[str, int] | None:
    """The report and the exit code when no rule matches anything."""
    from orchestra_creds import folders
    from orchestra_creds.scanner import quick

    looked = quick.nothing_staged(".", folders.cache_folder())
    if looked is None:
        return None
    root, files, size = looked
    seconds = time.perf_counter() - began
    if format_ == "table":
        from orchestra_creds.render.numbers import clean

        return clean(files, size, seconds) + "\n", 0
    from orchestra_creds.render.report import render
    from orchestra_creds.scanner.finding import ScanReport, ScanStats

    report = ScanReport(root, "staged", stats=ScanStats(files, size, seconds=seconds))
    return render(report, format_), 0


def _scan(format_: str) -> tuple[str, int] | None:
    """The report and the exit code of the scan; None when there is more to say than a report, which the verb does."""
    from orchestra_creds import bootstrap
    from orchestra_creds.errors import CredsError
    from orchestra_creds.render.report import render

    try:
        report = bootstrap.scan(bootstrap.ScanChoice(source="staged"))
    except CredsError:
        return None
    return None if report.notes else (render(report, format_), int(report.exit_code))


def _plain(arguments: list[str]) -> str | None:
    """The format asked for, when the arguments are `scan --staged` and nothing that changes what is scanned."""
    if arguments[:1] != ["scan"] or "--staged" not in arguments or sys.stdout is None or sys.stdout.isatty():
        return None
    format_ = "table"
    rest = iter(arguments[1:])
    for argument in rest:
        if argument in {"--format", "-f"}:
            format_ = next(rest, "")
        elif argument.startswith("--format="):
            format_ = argument.removeprefix("--format=")
        elif argument not in PLAIN:
            return None
    return format_ if format_ in FORMATS else None


def _has_settings() -> bool:
    """Whether a file or a variable may say more about this scan."""
    if any(name.startswith(("ORCHESTRA_CREDS_", "_ORCHESTRA_CREDS")) and name not in _UNTOUCHED for name in os.environ):
        return True
    here = os.getcwd()
    while not os.path.lexists(os.path.join(here, SETTINGS)):
        if here == os.path.dirname(here):
            return False
        here = os.path.dirname(here)
    return True


def _print(text: str, code: int) -> int | None:
    """Write the one document; whatever goes wrong is for the verb to say."""
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(text.encode("utf-8", "backslashreplace"))
        sys.stdout.buffer.flush()
    except OSError:
        return None
    return code
