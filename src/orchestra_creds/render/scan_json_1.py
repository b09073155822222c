"""The JSON report as it was before version 2, schema `orchestra-creds/scan/1`: for programs that do not read the new one yet.

Outside a history `in_head` is false where version 2 says null. It goes with the next minor release (docs/adr/0007-json-versions.md).
"""

from orchestra_creds.render import scan_json
from orchestra_creds.scanner.finding import ScanReport

SCHEMA = "orchestra-creds/scan/1"


def render(report: ScanReport) -> str:
    """The report as JSON text."""
    body = {**scan_json.as_json(report), "schema": SCHEMA}
    for finding in body["findings"]:
        for one in (finding, *finding["places"]):
            one["in_head"] = bool(one["in_head"])
    return scan_json.as_text(body)
