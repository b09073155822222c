"""The table of report formats: each with its name, its renderer and its media type.

A new format is one module beside this one, with a function `render`, and one line in the table. Imports nothing heavy: the
command line reads the table before a renderer is loaded.
"""

from enum import StrEnum


class ReportFormat(StrEnum):
    """How a scan is reported; no format shows a value.

    Attributes:
        renderer: The module of this folder that renders the format.
        media_type: What the document is, in the words of IANA's registry.
        is_styled: Whether its renderer takes a `Style`: colors and the width of a terminal.
    """

    renderer: str
    media_type: str
    is_styled: bool

    TABLE = "table", "terminal", "text/plain", True
    JSON = "json", "scan_json", "application/json"
    JSON_1 = "json-1", "scan_json_1", "application/json"
    SARIF = "sarif", "sarif", "application/sarif+json"
    GITLEAKS = "gitleaks", "gitleaks_report", "application/json"
    HTML = "html", "html", "text/html"
    GITHUB = "github", "github", "text/plain"
    GITLAB = "gitlab", "gitlab", "application/json"
    JUNIT = "junit", "junit", "application/xml"

    def __new__(cls, name: str, renderer: str, media_type: str, is_styled: bool = False) -> "ReportFormat":  # noqa: FBT001, FBT002, PYI034  a line of the table; `typing` costs 3 ms
        """Return the member for one line of the table."""
        member = str.__new__(cls, name)
        member._value_ = name
        member.renderer = renderer
        member.media_type = media_type
        member.is_styled = is_styled
        return member

    @property
    def names_skipped(self) -> bool:
        """Whether a document names what the scan could not look at; gitleaks' reports have no place for it."""
        return self is not ReportFormat.GITLEAKS

    @property
    def names_revision(self) -> bool:
        """Whether a document names the commit that was checked out, which costs a process."""
        return self is ReportFormat.HTML


FORMATS = {form.value: form for form in ReportFormat}
"""Every format by its name."""
