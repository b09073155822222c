"""Calls of the cloud run side by side, and answer as if they ran one after the other."""

import threading
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra_creds.core.cloud_types import VersionMaterial
from orchestra_creds.core.material import Material
from orchestra_creds.errors import NotFoundError
from orchestra_creds.manage.delivery import Delivery, values
from orchestra_creds.parallel import CALLS_AT_ONCE, map_in_order

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
