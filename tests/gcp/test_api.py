"""What the REST adapters share: operations are waited for, within bounds, and their errors are told."""

from typing import Any

import pytest

from orchestra_creds.errors import AuthError, ConfigError, UnavailableError
from orchestra_creds.gcp.api import PATIENCE, Api, part
from orchestra_creds.gcp.session import ApiSession

RUNNING = {"name": "operations/1", "done": False}


class Scripted(ApiSession):
    """A session whose answers are written down beforehand; the last one stays."""

    def __init__(self, *answers: dict[str, Any]) -> None:
        super().__init__("demo-project")
        self.answers = list(answers)
        self.asked: list[str] = []

    def rest(self, doing: str, verb: str, service: str, path: str, **_options: Any) -> dict[str, Any]:
        self.asked.append(f"{verb} {service}/{path}")
        assert doing
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.fixture
def waits() -> list[float]:
    return []


def test_an_operation_is_asked_for_until_it_is_done(waits: list[float]) -> None:
    session = Scripted(RUNNING, RUNNING, {**RUNNING, "done": True})
    Api(session, "iam", "v1", sleep=waits.append).finish("make it", RUNNING)
    assert (session.asked, waits) == (["GET iam/v1/operations/1"] * 3, [1.0, 2.0, 4.0])


def test_one_that_is_done_is_not_asked_for(waits: list[float]) -> None:
    session = Scripted(RUNNING)
    Api(session, "iam", "v1", sleep=waits.append).finish("make it", {"done": True})
    assert (session.asked, waits) == ([], [])


def test_the_wait_is_bounded(waits: list[float]) -> None:
    with pytest.raises(UnavailableError, match="not finished yet"):
        Api(Scripted(RUNNING), "iam", "v1", sleep=waits.append).finish("make it", RUNNING)
    assert PATIENCE <= sum(waits) < PATIENCE + 8


def test_the_error_of_an_operation_is_told() -> None:
    failed = {"done": True, "error": {"code": 7, "message": "Permission 'run.jobs.create' denied on resource 'x'."}}
    with pytest.raises(AuthError, match="cannot make it: permission run"):
        Api(Scripted(RUNNING), "run", "v2").finish("make it", failed)


def test_a_list_is_read_to_its_last_page() -> None:
    session = Scripted({"things": [{"n": 1}], "nextPageToken": "t"}, {"nextPageToken": "u"}, {"things": [{"n": 2}]})
    assert list(Api(session, "iam", "v1").list_items("list things", "things", "things")) == [{"n": 1}, {"n": 2}]
    assert len(session.asked) == 3


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a:b", "a b", "-x", "a%2Fb"])
def test_what_would_leave_its_segment_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="no name of a pool"):
        part(name, "pool")
