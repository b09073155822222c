"""Checks every REST exchange of every test against Google's discovery documents; see contract/exchanges.py.

Hooks and a fixture, loaded by conftest.py. With pytest-xdist each worker checks its own tests, and the controller adds up what they saw.
"""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.parts import part_of

if TYPE_CHECKING:
    from tests.contract.exchanges import ExchangeLog

EXCHANGES = pytest.StashKey["ExchangeLog"]()
"""The REST exchanges of this process, or on the controller of pytest-xdist those of its workers."""


def pytest_collection_finish(session: pytest.Session) -> None:
    """Watch the REST calls, unless only the local part runs: it makes none, and its tests fork, which gRPC does not bear."""
    if all(part_of(item) == "local" for item in session.items) or session.config.option.collectonly:
        return
    from tests.contract import exchanges

    log = session.config.stash[EXCHANGES] = exchanges.ExchangeLog()
    watch = contextlib.ExitStack()
    watch.enter_context(exchanges.keep_exchanges(log))
    session.config.add_cleanup(watch.close)


@pytest.fixture(scope="session")
def exchange_log(request: pytest.FixtureRequest) -> "ExchangeLog":
    """The REST exchanges of this process."""
    return request.config.stash[EXCHANGES]


@pytest.fixture(autouse=True)
def exchanges_are_as_documented(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every REST exchange of every test is what Google's discovery documents say."""
    log = request.config.stash.get(EXCHANGES, None)
    with contextlib.nullcontext() if log is None else log.checked():
        yield


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take over what a worker of pytest-xdist has seen."""
    from tests.contract import exchanges

    if seen := getattr(node, "workeroutput", {}).get("exchanges"):
        node.config.stash.setdefault(EXCHANGES, exchanges.ExchangeLog()).merge(seen)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Fail when the whole suite called too few API methods: a check that sees nothing passes."""
    log = session.config.stash.get(EXCHANGES, None)
    if log is None:
        return
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["exchanges"] = log.export()
    elif exitstatus == 0 and runs_everything(session.config) and log.shortfall():
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def runs_everything(config: pytest.Config) -> bool:
    """Whether no file, name or marker was asked for; `scripts/test` runs the tests of the scanner and of the engine elsewhere."""
    asked = ("keyword", "deselect", "ignore", "ignore_glob", "lf")
    whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS and config.option.markexpr == "not live"
    return (
        whole
        and config.option.part in {None, "cloud"}
        and not any(getattr(config.option, name, None) for name in asked)
    )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How much was checked."""
    log = terminalreporter.config.stash.get(EXCHANGES, None)
    if log is None:
        return
    counts = f"{log.counts['requests']} requests and {log.counts['replies']} replies"
    terminalreporter.write_line(f"contract: {counts} as documented, {len(log.methods)} API methods")
    if runs_everything(terminalreporter.config) and log.shortfall():
        terminalreporter.write_line(f"contract: {log.shortfall()}", red=True)
