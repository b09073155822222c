"""`cache`: what scans keep on this machine to be faster the next time. Anything of it may be deleted at any time."""

import typer

from orchestra_creds import folders
from orchestra_creds.cli.session import Format, FormatOption, QuietOption, emit
from orchestra_creds.errors import ConfigError
from orchestra_creds.render import cache as show
from orchestra_creds.scanner import cache_files

app = typer.Typer(
    name="cache", rich_markup_mode=None, no_args_is_help=True, help="What scans keep on this machine to be faster."
)


@app.command("show")
def show_(*, format_: FormatOption = Format.TABLE, quiet: QuietOption = False) -> None:
    """List the files of the cache with size and last use; holds no credential."""
    folder = folders.make_private_folder(folders.cache_folder())
    emit(show.listing(folder, cache_files.list_files(folder), cache_files.LARGEST), format_)


@app.command()
def clear(*, format_: FormatOption = Format.TABLE, quiet: QuietOption = False) -> None:
    """Remove the files of the cache; the next scans take longer and find the same."""
    folder = folders.make_private_folder(folders.cache_folder())
    found = cache_files.list_files(folder)
    left = [one for one in found if not cache_files.remove(folder, one)]
    if left:
        raise ConfigError(
            f"{len(left)} of {len(found)} files in {folder} cannot be removed, such as {left[0].name}",
            hint="may you write to the folder? they may be deleted by hand",
        )
    emit(show.removal(folder, found), format_)
