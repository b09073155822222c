"""Which account a name means: by mail address or unique id, with the project by id, by number or as `-`."""

import re

from orchestra_creds.emulator.store import project_numbers
from orchestra_creds.emulator.store.store import Txn

INDEX = "account_index"
"""Kind of the entries from a mail address or unique id to the stored name `projects/P/serviceAccounts/EMAIL`."""
NAME = re.compile(r"projects/(?P<project>[^/]+)/serviceAccounts/(?P<who>[^/]+)(?P<rest>/keys/[^/]+)?")


def stored_account_name(txn: Txn, name: str) -> str:
    """The stored name of an account or key however it was named; the name itself when there is no such account."""
    match = NAME.fullmatch(name)
    stored = txn.get(INDEX, match["who"]) if match else None
    if match is None or stored is None:
        return name
    project = stored.decode().split("/")[1]
    if match["project"] not in {"-", project, project_numbers.number_of(txn, project)}:
        return name
    return stored.decode() + (match["rest"] or "")
