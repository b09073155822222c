"""`scan`: looks for leaked credentials and reports them without showing them."""

import os
import re
import sys
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from orchestra_creds import outfile
from orchestra_creds.bootstrap import scanning
from orchestra_creds.cli import baseline, rules
from orchestra_creds.cli.pre_commit import choose_source
from orchestra_creds.cli.session import (
    DefaultCommand,
    DefaultGroup,
    NoColorOption,
    QuietOption,
    Session,
    VerboseOption,
    file_of,
    write_stdout,
)
from orchestra_creds.errors import ConfigError, ExitCode
from orchestra_creds.render.formats import ReportFormat
from orchestra_creds.render.progress import progress_on
from orchestra_creds.render.report import pieces, unnamed_skips
from orchestra_creds.render.style import style_of
from orchestra_creds.scanner.absence import parse_absences
from orchestra_creds.scanner.source import SOURCES, Source

app = typer.Typer(
    name="scan",
    cls=DefaultGroup,
    rich_markup_mode=None,
    help="Look for leaked credentials in files, git and archives.",
)


class SeverityName(StrEnum):
    """Severities by name."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class EngineName(StrEnum):
    """The first pass of the scanner: the findings are the same."""

    AUTO = "auto"
    HYPERSCAN = "hyperscan"
    RE2 = "re2"


def parse_size(text: str) -> int:
    """Bytes in `1000`, `64K`, `20M` or `2G` (powers of 1024); 0 sets no limit.

    Raises:
        ConfigError: it is none of these.
    """
    size = re.fullmatch(r"\s*([0-9]{1,15})([KMG]?)(?:i?B)?\s*", text, re.ASCII | re.IGNORECASE)
    if size is None:
        raise ConfigError(
            f"--max-size: {text!r} is not a size", hint="a number of bytes with an optional K, M or G: 20M"
        )
    return int(size[1]) << 10 * " KMG".index(size[2].upper() or " ")


PathsArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="[PATH]...", help="Files or folders; - reads standard input. Default: the working folder."),
]
HistoryOption = Annotated[
    bool,
    typer.Option(
        "--history", help="Every object that git holds: all branches, merges, stashes, reflog, dangling objects."
    ),
]
StagedOption = Annotated[bool, typer.Option("--staged", help="What the next commit would add.")]
SinceOption = Annotated[
    str | None,
    typer.Option(
        "--since", metavar="REV[..REV]", help="Only objects that came after a revision, up to HEAD or another."
    ),
]
PreCommitOption = Annotated[
    bool,
    typer.Option(
        "--pre-commit", help="For its hook: scan the commits, staged changes or files that it was started for."
    ),
]
FormatOption = Annotated[
    ReportFormat,
    typer.Option("--format", "-f", envvar="ORCHESTRA_CREDS_FORMAT", help="How to print the report."),
]
OutputOption = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help="Write the report to a file (mode 0600); - is stdout."),
]
OnlyOption = Annotated[
    list[str] | None,
    typer.Option("--only", metavar="RULE", help="Only this rule, or those of a pattern: google-*; may be repeated."),
]
ExcludeOption = Annotated[
    list[str] | None,
    typer.Option(
        "--exclude", metavar="GLOB|RULE", help="Leave out paths that match, or one rule by its id; may be repeated."
    ),
]
RulesOption = Annotated[
    Path | None, typer.Option("--rules", metavar="FILE", help="Add the rules of a TOML file in gitleaks' v8 format.")
]
SeverityOption = Annotated[
    SeverityName | None, typer.Option("--severity", help="Report only what is at least this bad.")
]
MaxSizeOption = Annotated[
    str | None,
    typer.Option(
        "--max-size", metavar="BYTES", help="Skip larger files and say so; takes K, M, G; 0 for no limit. Default: 2G."
    ),
]
DepthOption = Annotated[
    int | None,
    typer.Option(
        "--archive-depth", min=0, max=16, help="How many archives deep to look; 0 reads archives as bytes. Default: 3."
    ),
]
JobsOption = Annotated[
    int | None, typer.Option("--jobs", "-j", min=0, help="Worker processes; 0 for one per processor.")
]
NoCacheOption = Annotated[bool, typer.Option("--no-cache", help="Scan every object again; remember nothing.")]
AllFilesOption = Annotated[bool, typer.Option("--all-files", help="Also files that git ignores.")]
BaselineOption = Annotated[
    Path | None,
    typer.Option("--baseline", metavar="FILE", help="Accepted findings. Default: the file of the scanned tree."),
]
NoBaselineOption = Annotated[bool, typer.Option("--no-baseline", help="Report accepted findings too.")]
GitleaksConfigOption = Annotated[
    Path | None, typer.Option("--gitleaks-config", metavar="FILE", help="Rules and allowlists of a .gitleaks.toml.")
]
GitleaksBaselineOption = Annotated[
    Path | None,
    typer.Option("--gitleaks-baseline", metavar="FILE", help="A gitleaks JSON report whose findings are accepted."),
]
GitleaksIgnoreOption = Annotated[
    Path | None,
    typer.Option("--gitleaks-ignore", metavar="FILE", help="A .gitleaksignore file, or the folder that holds it."),
]
AcceptMissingOption = Annotated[
    str | None,
    typer.Option(
        "--accept-missing",
        metavar="KIND,...",
        help="Note missing content instead of exiting with 5: shallow, partial, lfs, submodules.",
    ),
]
ConfigOption = Annotated[Path | None, typer.Option("--config", metavar="FILE", help="The orchestra-creds.toml to use.")]
EngineOption = Annotated[EngineName, typer.Option("--engine", help="The first pass; the findings are the same.")]
ExitZeroOption = Annotated[
    bool, typer.Option("--exit-zero", help="End with 0 also with findings; an incomplete scan still ends with 5.")
]


@app.command("path", cls=DefaultCommand)
def scan(
    ctx: typer.Context,
    *,
    paths: PathsArgument = None,
    history: HistoryOption = False,
    staged: StagedOption = False,
    since: SinceOption = None,
    pre_commit: PreCommitOption = False,
    all_files: AllFilesOption = False,
    only: OnlyOption = None,
    exclude: ExcludeOption = None,
    rules_file: RulesOption = None,
    severity: SeverityOption = None,
    max_size: MaxSizeOption = None,
    archive_depth: DepthOption = None,
    jobs: JobsOption = None,
    no_cache: NoCacheOption = False,
    baseline_file: BaselineOption = None,
    no_baseline: NoBaselineOption = False,
    gitleaks_config: GitleaksConfigOption = None,
    gitleaks_baseline: GitleaksBaselineOption = None,
    gitleaks_ignore: GitleaksIgnoreOption = None,
    accept_missing: AcceptMissingOption = None,
    config: ConfigOption = None,
    engine: EngineOption = EngineName.AUTO,
    format_: FormatOption = ReportFormat.TABLE,
    output: OutputOption = None,
    exit_zero: ExitZeroOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
    no_color: NoColorOption = False,
) -> None:
    """Look for leaked credentials in files, git and archives; no value is ever printed.

    Without an option the working tree and `.git/config` are scanned. `scan rules` lists and explains what is looked for, `scan baseline`
    keeps accepted findings.

    Exit codes: 0 clean, 1 findings, 2 usage, 4 no such path or repository, 5 something could not be looked at.
    """
    session, output = Session.of(ctx), file_of(output)
    source, wanted = one_source(ctx.params), tuple(paths or (".",))
    if pre_commit:
        name, since, wanted = choose_source(tuple(paths or ()))
        source = SOURCES[name]
    choice = scanning.ScanChoice(
        paths=wanted,
        source=source.name,
        since=since or "",
        all_files=all_files,
        only=tuple(only or ()),
        exclude=tuple(exclude or ()),
        rules_file=rules_file,
        severity=severity.value if severity else "",
        max_size=None if max_size is None else parse_size(max_size),
        archive_depth=archive_depth,
        jobs=jobs,
        use_cache=not no_cache,
        baseline="" if no_baseline else (str(baseline_file) if baseline_file else None),
        gitleaks_config=gitleaks_config,
        gitleaks_baseline=gitleaks_baseline,
        gitleaks_ignore=gitleaks_ignore,
        accept_missing=() if accept_missing is None else parse_absences(accept_missing),
        config=config,
        engine=engine.value,
        name_revision=format_.names_revision,
    )
    if output is not None:
        outfile.check(str(output))
    report = scanning.scan(choice, progress=progress_on(sys.stderr, source.unit, quiet=quiet))
    for note in report.notes:
        session.say(f"note: {note}")
    sys.stderr.write(unnamed_skips(report, format_.value))
    if verbose:
        for fact in scanning.scan_facts(choice, report):
            session.say(fact)
    target = sys.stdout if output is None else None
    text = pieces(report, format_.value, style=style_of(target, os.environ, color=not no_color))
    if output is None:
        write_stdout(text)
    else:
        outfile.write(str(output), text)
    raise typer.Exit(ExitCode.OK if exit_zero and report.exit_code is ExitCode.ATTENTION else report.exit_code)


def one_source(parameters: Mapping[str, object]) -> Source:
    """Return the one source that the command line chooses: an option has the name of its source.

    Raises:
        ConfigError: several sources are chosen, or the revision is empty, as a variable that is not set makes it.
    """
    if parameters["since"] == "":
        raise ConfigError(
            "--since names no revision", hint="a branch, a tag or a commit; without it the files are scanned"
        )
    chosen = [source for source in SOURCES.values() if parameters.get(source.name)]
    options = [source.option for source in chosen] + ["--pre-commit"] * bool(parameters.get("pre_commit"))
    if len(options) > 1:
        raise ConfigError(f"{options[0]} and {options[1]} exclude each other", hint="run one scan for each")
    return chosen[0] if chosen else SOURCES["tree"]


app.command("rules")(rules.rules)
app.add_typer(baseline.app, name="baseline")
