"""What all tests share: gRPC is silent, Ctrl-C works, and tests that fork run before gRPC starts its threads."""

import os
import signal
from collections import Counter

import pytest

from tests.parts import PARTS, forks, part_of
from tests.privileges import overrides_permissions

os.environ["GRPC_VERBOSITY"] = "NONE"  # read when grpc is imported
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background is started with it ignored

pytest_plugins = ["tests.exchange_hooks"]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The scanner's tests first: a process with threads forks no workers, and gRPC's threads never end.

    Tests that the superuser's privileges would make meaningless are left to the last run of `scripts/test`.
    """
    part, privileged = config.getoption("--part"), overrides_permissions()

    def is_wanted(item: pytest.Item) -> bool:
        return part in {None, part_of(item)} and not (privileged and item.get_closest_marker("unprivileged"))

    config.hook.pytest_deselected(items=[item for item in items if not is_wanted(item)])
    items[:] = sorted(filter(is_wanted, items), key=lambda item: not forks(item))


TALLY: Counter[str] = Counter()


def pytest_addoption(parser: pytest.Parser) -> None:
    """`scripts/test --exhaustive`, and the parts that it runs side by side."""
    parser.addoption(
        "--exhaustive", action="store_true", help="Run every crash point, pair and interleaving, not a seeded sample."
    )
    parser.addoption("--part", choices=PARTS, help="Run the tests of one part, see tests/parts.py.")


@pytest.fixture(scope="session", autouse=True)
def own_folders(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep state and cache of code that names no folder out of the home folder of whoever runs the tests."""
    for name in ("ORCHESTRA_CREDS_STATE_DIR", "ORCHESTRA_CREDS_CACHE_DIR"):
        os.environ[name] = str(tmp_path_factory.mktemp("own") / "folder")


@pytest.fixture(scope="session")
def exhaustive(request: pytest.FixtureRequest) -> bool:
    """Whether everything is to be run."""
    return bool(request.config.getoption("--exhaustive"))


@pytest.fixture(scope="session")
def tally() -> Counter[str]:
    """What is counted here is told at the end."""
    return TALLY


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How much of the proof was run."""
    for what, count in sorted(TALLY.items()):
        terminalreporter.write_line(f"proof: {count} {what}")
