"""The table of sources: each place that a scan can look at, with its name, its option and how to open it.

A new source is one file in `sources/`, with a function `open_source`, one line in `SOURCES`, and its option in
`cli/scan.py`. Loads little: the command line reads the table before the scanner is loaded.
"""

import importlib
from collections.abc import Sequence

from orchestra_creds.scanner.file_names import STDIN

TYPE_CHECKING = False  # typing's own costs 2 ms
if TYPE_CHECKING:
    from orchestra_creds.scanner.opened_source import OpenedSource
    from orchestra_creds.scanner.request import ScanRequest


class Source:
    """One place that a scan can look at.

    Attributes:
        name: Its name in requests and reports, and that of its module in `sources/`.
        option: The option of `scan` that chooses it, or "" for a source that its paths choose.
        takes_value: Whether the option takes a value.
        unit: One thing that the scan counts: "file" or "object".
        reads_history: Whether it reads objects of git's history. Such a scan is long.
    """

    __slots__ = ("name", "option", "reads_history", "takes_value", "unit")

    def __init__(
        self,
        name: str,
        *,
        option: str = "",
        takes_value: bool = False,
        unit: str = "file",
        reads_history: bool = False,
    ) -> None:
        self.name = name
        self.option = option
        self.takes_value = takes_value
        self.unit = unit
        self.reads_history = reads_history

    def open(self, request: "ScanRequest") -> "OpenedSource":
        """Return the source made ready for one scan; the caller closes it.

        Raises:
            ConfigError: the request names other paths than the source takes.
            NotFoundError: a path or a revision does not exist.
            PreconditionError: the source needs a repository and there is none.
        """
        module = importlib.import_module(f"{__package__}.sources.{self.name}")
        opened: OpenedSource = module.open_source(request)
        return opened


SOURCES = {
    source.name: source
    for source in (
        Source("tree"),
        Source("history", option="--history", unit="object", reads_history=True),
        Source("staged", option="--staged"),
        Source("since", option="--since", takes_value=True, unit="object", reads_history=True),
        Source("stdin"),
    )
}
"""Every source by its name."""


def source_of(name: str, paths: Sequence[str]) -> Source:
    """Return the source called `name`, but standard input where a tree is asked for and no path but "-" is named."""
    if name == "tree" and all(path == STDIN for path in paths):
        return SOURCES["stdin"]
    return SOURCES[name]
