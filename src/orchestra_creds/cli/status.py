"""`status`: how every managed credential stands."""

from pathlib import Path
from typing import Annotated

import typer

from orchestra_creds.bootstrap.cloud import Cloud
from orchestra_creds.cli.cloud import cloud_verb
from orchestra_creds.cli.session import Session
from orchestra_creds.core.result import Result


@cloud_verb
def status(
    session: Session,
    cloud: Cloud,
    *,
    names: Annotated[list[str] | None, typer.Argument(metavar="[CREDENTIAL]...", help="Credentials by name.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Exit 1 when anything needs the operator.")] = False,
    tolerance: Annotated[
        str, typer.Option("--tolerance", metavar="SPAN", help="Overdue only after so long: 12h, 2d.")
    ] = "0s",
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Also write a page with a time line.")
    ] = None,
) -> Result:
    """Show age, next rotation, phase and problems of every managed credential; changes nothing."""
    from orchestra_creds import outfile
    from orchestra_creds.bootstrap.rotation import surveyed
    from orchestra_creds.core import durations
    from orchestra_creds.render import status as show

    if html is not None:
        outfile.check(str(html))
    found = surveyed(cloud, names or (), tolerance=durations.parse(tolerance, what="--tolerance"))
    if html is not None:
        from orchestra_creds.render import status_page

        outfile.write(str(html), status_page.page(found))
        session.say(f"the page is in {html}")
    return show.result(found, check=check)
