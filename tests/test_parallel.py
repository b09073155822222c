"""Calls of the cloud run side by side, and answer as if they ran one after the other."""

import _thread
import threading
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra_creds.core.cloud_types import VersionMaterial
from orchestra_creds.core.material import Material
from orchestra_creds.errors import NotFoundError
from orchestra_creds.manage.delivery import Delivery, values
from orchestra_creds.parallel import CALLS_AT_ONCE, KnownAnswers, call_both, map_in_order

ENOUGH = 20.0
"""Seconds after which calls that wait for one another are known to run one after the other."""


@given(st.lists(st.integers()), st.integers(min_value=1, max_value=20))
def test_results_are_in_the_order_of_the_items(items: list[int], at_once: int) -> None:
    assert map_in_order(lambda item: item * 2, items, at_once=at_once) == [item * 2 for item in items]


def test_as_many_calls_are_under_way_as_are_allowed_and_no_more() -> None:
    meeting, under_way, most = threading.Barrier(CALLS_AT_ONCE, timeout=ENOUGH), Counter[str](), Counter[str]()
    lock = threading.Lock()

    def call(_item: int) -> None:
        with lock:
            under_way["now"] += 1
            most["ever"] = max(most["ever"], under_way["now"])
        meeting.wait()
        with lock:
            under_way["now"] -= 1

    map_in_order(call, range(3 * CALLS_AT_ONCE))
    assert most["ever"] == CALLS_AT_ONCE


def test_the_failure_is_that_of_the_first_item_although_another_failed_before() -> None:
    second_failed = threading.Event()

    def call(item: int) -> None:
        if item == 0:
            assert second_failed.wait(ENOUGH)
            raise ValueError("first")
        second_failed.set()
        raise ValueError("second")

    with pytest.raises(ValueError, match="first"):
        map_in_order(call, range(2))


class MeetingStore:
    """Secrets whose reads wait until so many are under way."""

    def __init__(self, readers: int) -> None:
        self._meeting = threading.Barrier(readers, timeout=ENOUGH)

    def access(self, name: str, _version: object) -> VersionMaterial:
        self._meeting.wait()
        if name.startswith("missing"):
            raise NotFoundError(f"secret {name} not found")
        return VersionMaterial(name, 1, Material(name.encode()))


def test_values_for_a_program_are_read_at_once() -> None:
    names = [f"secret-{number}" for number in range(6)]
    wanted = [Delivery(name, name.upper().replace("-", "_")) for name in names]
    found = values(MeetingStore(len(names)), wanted, {name: name for name in names}, "latest")  # type: ignore[arg-type]
    assert list(found.items()) == [(one.variable, Material(one.secret.encode())) for one in wanted]


def test_the_first_value_that_is_missing_is_named() -> None:
    names = ["secret-0", "missing-1", "missing-2"]
    wanted = [Delivery(name, name.upper().replace("-", "_")) for name in names]
    with pytest.raises(NotFoundError, match="missing-1 not found; nothing was started"):
        values(MeetingStore(len(names)), wanted, {name: name for name in names}, "latest")  # type: ignore[arg-type]


def test_ctrl_c_begins_no_more_and_waits_for_what_is_under_way() -> None:
    begun, ended, told = Counter[str](), Counter[str](), threading.Event()

    def call(item: int) -> None:
        begun["calls"] += 1
        if item == 0:
            _thread.interrupt_main()
        assert told.wait(ENOUGH)  # the main thread tells those under way to end
        ended["calls"] += 1

    with pytest.raises(KeyboardInterrupt):
        map_in_order(call, range(40), at_once=4, abandon=told.set)
    assert begun["calls"] == ended["calls"] < 40


def test_two_calls_are_made_at_once_and_the_first_failure_counts() -> None:
    meeting = threading.Barrier(2, timeout=ENOUGH)
    assert call_both(lambda: meeting.wait() >= 0, lambda: str(meeting.wait() >= 0)) == (True, "True")

    def fail(text: str) -> None:
        meeting.wait()
        raise ValueError(text)

    with pytest.raises(ValueError, match="first"):
        call_both(lambda: fail("first"), lambda: fail("second"))


def test_an_answer_is_asked_for_once_while_others_wait_for_it_alone() -> None:
    known, asked = KnownAnswers[str, str](), Counter[str]()
    slow_began, slow_may_end = threading.Event(), threading.Event()

    def ask(key: str) -> str:
        asked[key] += 1
        if key == "slow":
            slow_began.set()
            assert slow_may_end.wait(ENOUGH)
        return key.upper()

    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(known.find("slow", lambda: ask("slow")))) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert slow_began.wait(ENOUGH)
    assert known.find("quick", lambda: ask("quick")) == "QUICK"  # although another is not answered
    slow_may_end.set()
    for thread in threads:
        thread.join()
    assert (found, asked) == (["SLOW"] * 3, {"slow": 1, "quick": 1})


def test_a_question_that_failed_is_asked_again() -> None:
    known = KnownAnswers[str, int]()

    def fail() -> int:
        raise ValueError("no answer")

    with pytest.raises(ValueError, match="no answer"):
        known.find("one", fail)
    assert known.find("one", lambda: 1) == 1
