"""Pages of a list: newest first, by a token that is bound to the list it came from."""

import base64
import binascii
import hashlib
from collections.abc import Callable

from orchestra_creds.emulator.protocol.errors import invalid_error
from orchestra_creds.emulator.store.store import ResourceRow, Txn

LARGEST_PAGE = 25_000
DEFAULT_PAGE = 100


def page(
    txn: Txn,
    kind: str,
    parent: str,
    *,
    size: int,
    token: str,
    text: str = "",
    keep: Callable[[ResourceRow], bool] = lambda _row: True,
) -> tuple[list[ResourceRow], str]:
    """One page of the children that `keep` accepts, and the token of the next page ("" after the last).

    `text` is the filter: a token given with another one is refused.
    """
    if size < 0:
        raise invalid_error("Page size must not be negative.", field="page_size")
    size = min(size or DEFAULT_PAGE, LARGEST_PAGE)
    scope = hashlib.sha256(f"{kind}\0{parent}\0{text}".encode()).hexdigest()[:8]
    rows: list[ResourceRow] = []
    before = _position(token, scope)
    while True:
        batch = txn.children(kind, parent, before=before, limit=size + 1)
        for row in batch:
            if keep(row):
                if len(rows) == size:
                    return rows, _token(rows[-1].seq, scope)
                rows.append(row)
        if len(batch) <= size:
            return rows, ""
        before = batch[-1].seq


def _token(seq: int, scope: str) -> str:
    return base64.urlsafe_b64encode(f"{scope}:{seq}".encode()).decode()


def _position(token: str, scope: str) -> int | None:
    if not token:
        return None
    try:
        found, _, seq = base64.urlsafe_b64decode(token.encode()).decode().partition(":")
        if found == scope:
            return int(seq)
    except (binascii.Error, ValueError):
        pass
    raise invalid_error("The page token is not valid for this list.", field="page_token")
