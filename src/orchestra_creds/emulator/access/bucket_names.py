"""Which bucket a name means: names are unique whatever the project, so a call names no project."""

import re

from orchestra_creds.emulator.store.store import Txn

INDEX = "bucket_index"
"""Kind of the entries from a bucket's name to the stored name `projects/P/buckets/B`."""
OF_NOBODY = "projects/_/buckets/"
"""Start of a name that `stored_bucket_name` returns unchanged because there is no such bucket."""
_NAME = re.compile(r"projects/_/buckets/(?P<bucket>[^/]+)(?P<rest>/.*)?")


def stored_bucket_name(txn: Txn, name: str) -> str:
    """The stored name for Google's own `projects/_/buckets/B`; the name itself when there is no such bucket."""
    match = _NAME.fullmatch(name)
    stored = txn.get(INDEX, match["bucket"]) if match else None
    return name if match is None or stored is None else stored.decode() + (match["rest"] or "")
