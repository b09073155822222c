"""What `--version` prints; imports nothing heavy, for it is answered before Typer is loaded."""

import sys

from orchestra_creds import __version__


def version_line() -> str:
    """One line: our version, Python's, and the platform."""
    python = ".".join(str(part) for part in sys.version_info[:3])
    return f"orchestra-creds {__version__} (Python {python}, {sys.platform})"
