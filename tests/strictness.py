"""Strict mode for tests: the embedded cloud as Google is, with every API on in the project and nothing seen late."""

import contextlib
from collections.abc import Iterable, Iterator

from orchestra_creds.emulator.protocol import faults, strict
from orchestra_creds.emulator.service_usage.services import TITLES, enable
from orchestra_creds.emulator.store.store import Store

EVERY_API = (*TITLES, "run.googleapis.com", "cloudscheduler.googleapis.com")
"""Every API that is served."""


def switch_to_strict(store: Store, *projects: str, apis: Iterable[str] = EVERY_API, lag: float = 0.0) -> None:
    """Switch strict mode on, these APIs in these projects (`demo-project` unless named), and set every lag to so many seconds."""
    with store.transaction() as txn:
        strict.set_strict(txn, on=True)
        for which in faults.Lag:
            faults.set_lag(txn, which, lag)
        for project in projects or ("demo-project",):
            enable(txn, project, *apis)


@contextlib.contextmanager
def strict_mode(store: Store, *, lag: float = 0.0) -> Iterator[None]:
    """Strict mode for a block."""
    switch_to_strict(store, lag=lag)
    try:
        yield
    finally:
        with store.transaction() as txn:
            strict.set_strict(txn, on=False)


@contextlib.contextmanager
def lenient_mode(store: Store) -> Iterator[None]:
    """Make for a block what Google made in earlier years and refuses today."""
    with store.transaction() as txn:
        before = strict.is_strict(txn)
        strict.set_strict(txn, on=False)
    try:
        yield
    finally:
        with store.transaction() as txn:
            strict.set_strict(txn, on=before)
