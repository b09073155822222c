"""`status`: how every managed credential stands."""

from pathlib import Path
from typing import Annotated

import typer

from orchestra_creds import outfile
from orchestra_creds.bootstrap.cloud import Cloud
from orchestra_creds.bootstrap.rotation import survey_credentials
from orchestra_creds.cli.cloud import FromLabelsOption, JobsOption, cloud_verb
from orchestra_creds.cli.names import CredentialsArgument
from orchestra_creds.cli.session import Session, file_of, write_stdout
from orchestra_creds.core import durations
from orchestra_creds.core.result import Result
from orchestra_creds.parallel import CALLS_AT_ONCE
from orchestra_creds.render import status as show
from orchestra_creds.render import status_page


@cloud_verb
def status(
    session: Session,
    cloud: Cloud,
    *,
    names: CredentialsArgument = None,
    check: Annotated[
        bool, typer.Option("--check", help="Exit 1 if anything needs the operator, or nothing is declared.")
    ] = False,
    from_labels: FromLabelsOption = False,
    tolerance: Annotated[
        str, typer.Option("--tolerance", metavar="SPAN", help="Overdue only after so long: 12h, 2d.")
    ] = "0s",
    html: Annotated[
        Path | None,
        typer.Option(
            "--html", metavar="FILE", help="Also write a page with a time line; - prints it and nothing else."
        ),
    ] = None,
    jobs: JobsOption = CALLS_AT_ONCE,
) -> Result:
    """Show age, next rotation, phase and problems of every managed credential; changes nothing."""
    file = file_of(html)
    if file is not None:
        outfile.check(str(file))
    span = durations.parse(tolerance, what="--tolerance")
    found = survey_credentials(cloud, names or (), from_labels=from_labels, tolerance=span)
    result = show.result(found, check=check)
    if html is None:
        return result

    if file is None:
        write_stdout(status_page.page(found))
        raise typer.Exit(result.exit_code)
    outfile.write(str(file), status_page.page(found))
    session.say(f"the page is in {file}")
    return result
