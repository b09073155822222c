"""What all tests share: gRPC is silent, Ctrl-C works, and tests that fork run before gRPC starts its threads."""

import os
import signal
from pathlib import Path

import pytest

os.environ["GRPC_VERBOSITY"] = "NONE"  # read when grpc is imported
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background is started with it ignored

SCANNER = Path(__file__).parent / "scanner"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The scanner's tests first: a process with threads forks no workers, and gRPC's threads never end."""
    items.sort(key=lambda item: SCANNER not in item.path.parents)
