"""`scan` before Typer is loaded, when its arguments are plain: what hooks and pipelines run, without 100 ms of parsing.

A staged scan has two steps: when no rule matches anything (`scanner.git.staged_precheck`), the answer is printed at once. A whole history
that has not changed since its last scan is not scanned again (`scanner.git.report_cache`). Otherwise the scan runs here, with the
service and the renderers that the verb uses. Guarantees: output and exit code are those of the verb, which tests compare;
arguments that are not plain, a setting from a file or the environment, standard input, a terminal, or a shell's completion
go to Typer.
"""

import os
import sys
import time

from orchestra_creds.errors import CredsError, ExitCode
from orchestra_creds.scanner.source import SOURCES

TYPE_CHECKING = False  # typing's own costs 3 ms
if TYPE_CHECKING:
    from collections.abc import Iterable

    from orchestra_creds.scanner.finding import ScanReport

    Document = tuple[Iterable[str], int]

CHOICES = {source.option: source for source in SOURCES.values() if source.option}
FLAGS = {
    "--all-files",
    "--no-cache",
    "--quiet",
    "--no-color",
    "--pre-commit",
    *(o for o, one in CHOICES.items() if not one.takes_value),
}
VALUES = {"--format", "--jobs", *(option for option, source in CHOICES.items() if source.takes_value)}
SHORT = {"-q": "--quiet", "-f": "--format", "-j": "--jobs"}
SUBCOMMANDS = ("rules", "baseline")
DEFAULT_FORMAT = "table"
SETTINGS = "orchestra-creds.toml"
_UNTOUCHED = ("ORCHESTRA_CREDS_STATE_DIR", "ORCHESTRA_CREDS_CACHE_DIR", "ORCHESTRA_CREDS_DEBUG")


class PlainArguments:
    """Arguments that need no parser: paths, and options by their long names."""

    def __init__(self, paths: list[str], options: dict[str, str]) -> None:
        self.paths = tuple(paths)
        self.options = options
        self.format = options.get("--format", DEFAULT_FORMAT)
        sources = [source for option, source in CHOICES.items() if option in options]
        self.source = sources[0] if sources else SOURCES["tree"]
        self.since = options.get("--since", "")
        self.is_plain = (
            _is_format(self.format)
            and len(sources) + ("--pre-commit" in options) <= 1
            and options.get("--since") != ""
            and _is_small_number(options.get("--jobs", "0"))
            and self.paths[:1] not in {(name,) for name in SUBCOMMANDS}
        )

    @property
    def names_revision(self) -> bool:
        """Whether the report names the commit that is checked out."""
        if self.format == DEFAULT_FORMAT:
            return False
        from orchestra_creds.render.formats import FORMATS

        return FORMATS[self.format].names_revision

    def choose_for_pre_commit(self) -> None:
        """Take the source, the revisions and the paths that pre-commit asks for."""
        from orchestra_creds.cli.pre_commit import choose_source

        name, self.since, paths = choose_source(self.paths)
        self.source, self.paths = SOURCES[name], () if paths == (".",) else paths


def scan(arguments: list[str]) -> int | None:
    """The exit code of `scan`, or None when the arguments are not plain or the place is special."""
    began = time.perf_counter()
    plain = _parse_arguments(arguments)
    if plain is None or _on_a_terminal() or _has_settings():
        return None
    try:
        if "--pre-commit" in plain.options:
            plain.choose_for_pre_commit()
        quick = QUICK_ANSWERS.get(plain.source.name)
        answer = quick(plain, began) if quick is not None else None
        parts, code = answer or _render_report(_scan(plain), plain)
        return _print(parts, code)
    except KeyboardInterrupt:
        sys.stderr.write("cancelled\n")
        return ExitCode.CANCELLED
    except CredsError as error:
        from orchestra_creds.cli.session import report_error

        report_error(error, as_json=plain.format.startswith("json"))
        return error.exit_code


def _precheck_staged(plain: PlainArguments, began: float) -> "Document | None":
    """Return the report and the exit code if no rule matches anything."""
    if plain.paths or plain.names_revision:
        return None
    from orchestra_creds import folders
    from orchestra_creds.scanner.git import staged_precheck

    looked = staged_precheck.precheck_staged(".", folders.cache_folder())
    if looked is None:
        return None
    root, files, size = looked
    seconds = time.perf_counter() - began
    if plain.format == "table":
        from orchestra_creds.render.numbers import clean

        return (clean(files, size, seconds) + "\n",), 0
    if plain.format == "json":
        from orchestra_creds.render.scan_json import clean as clean_json

        return (clean_json("staged", files, size, seconds),), 0
    from orchestra_creds.render.report import pieces
    from orchestra_creds.scanner.finding import ScanReport, ScanStats

    report = ScanReport(root, "staged", stats=ScanStats(files, size, seconds=seconds))
    return pieces(report, plain.format), 0


def _replay_history(plain: PlainArguments, began: float) -> "Document | None":
    """Return the report and the exit code of a whole history: those of the last scan if nothing has changed since."""
    if len(plain.paths) > 1 or "--no-cache" in plain.options or plain.names_revision:
        return None
    from orchestra_creds import folders
    from orchestra_creds.scanner.git import report_cache

    history = report_cache.ReportCache(
        plain.paths[0] if plain.paths else ".", folders.cache_folder(), folders.state_folder()
    )
    report = history.report(time.perf_counter() - began)
    if report is None:
        report = _scan(plain)
        history.keep(report)
    return _render_report(report, plain)


QUICK_ANSWERS = {"staged": _precheck_staged, "history": _replay_history}
"""For some sources, a function that may know the answer without a scan."""


def _scan(plain: PlainArguments) -> "ScanReport":
    from orchestra_creds.bootstrap import scanning

    choice = scanning.ScanChoice(
        paths=plain.paths or (".",),
        source=plain.source.name,
        since=plain.since,
        all_files="--all-files" in plain.options,
        jobs=int(plain.options["--jobs"]) if "--jobs" in plain.options else None,
        use_cache="--no-cache" not in plain.options,
        name_revision=plain.names_revision,
    )
    return scanning.scan(choice, meanwhile=lambda: _prepare(plain.format))


def _render_report(report: "ScanReport", plain: PlainArguments) -> "Document":
    """The text in parts and the exit code of a report; its notes go to standard error."""
    from orchestra_creds.core.text import visible
    from orchestra_creds.render.report import pieces, unnamed_skips

    if "--quiet" not in plain.options:
        for note in report.notes:
            sys.stderr.write(f"note: {visible(note)}\n")
    sys.stderr.write(unnamed_skips(report, plain.format))
    return pieces(report, plain.format), int(report.exit_code)


def _prepare(format_: str) -> None:
    """Load what prints the report, while workers read."""
    from orchestra_creds.render.formats import FORMATS
    from orchestra_creds.render.report import load_renderer

    load_renderer(FORMATS[format_])


def _is_format(name: str) -> bool:
    """Return whether this is the name of a report format; the default one loads no table."""
    if name == DEFAULT_FORMAT:
        return True
    from orchestra_creds.render.formats import FORMATS

    return name in FORMATS


def _is_small_number(text: str) -> bool:
    """Return whether this is a number of at most three digits."""
    return text.isascii() and text.isdecimal() and len(text) <= 3


def _parse_arguments(arguments: list[str]) -> PlainArguments | None:
    """The arguments of `scan`, when nothing among them needs Typer."""
    if arguments[:1] != ["scan"]:
        return None
    paths: list[str] = []
    options: dict[str, str] = {}
    rest = iter(arguments[1:])
    for argument in rest:
        name, equals, value = argument.partition("=") if argument.startswith("--") else (argument, "", "")
        name = SHORT.get(name, name)
        if name in VALUES:
            options[name] = value if equals else next(rest, "")
        elif name in FLAGS and not equals:
            options[name] = ""
        elif not argument.startswith("-"):
            paths.append(argument)
        else:
            return None
    plain = PlainArguments(paths, options)
    return plain if plain.is_plain else None


def _on_a_terminal() -> bool:
    """Whether somebody watches: then there are colours and progress to show."""
    return any(stream is None or stream.isatty() for stream in (sys.stdout, sys.stderr))


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


def _print(parts: "Iterable[str]", code: int) -> int:
    """Write the one document."""
    try:
        sys.stdout.flush()
        for part in parts:
            sys.stdout.buffer.write(part.encode("utf-8", "backslashreplace"))
        sys.stdout.buffer.flush()
    except OSError:
        from orchestra_creds.cli.session import write_stdout

        write_stdout(b"")  # fails once more, and says what it means
    return code
