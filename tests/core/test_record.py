"""Cheap dataclasses behave as those of the standard library."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from orchestra_creds.core import record

MAKERS = {"cheap": record, "standard": dataclasses}


def made(module: Any, **options: bool) -> Any:
    @module.dataclass(**options)
    class Point:
        """A point."""

        x: int
        y: int = 2
        names: list[str] = module.field(default_factory=list)
        hidden: str = module.field(default="h", repr=False, compare=False)
        late: int = module.field(init=False, default=7)

        def __post_init__(self) -> None:
            object.__setattr__(self, "late", self.x + 10)

        @property
        def double(self) -> int:
            return self.x * 2

    return Point


OPTIONS = (
    {"frozen": True, "slots": True},
    {"slots": True},
    {"frozen": True},
    {"frozen": True, "slots": True, "order": True},
    {"slots": True, "eq": False},
)
CASES: dict[str, Callable[[Any], object]] = {
    "fields": lambda point: [(one.name, one.init, one.repr, one.compare) for one in dataclasses.fields(point)],
    "repr": lambda point: repr(point(1)).rpartition(".")[2],
    "arguments": lambda point: [getattr(point(1, y=3, names=["a"], hidden="z"), name) for name in point.__match_args__],
    "own list": lambda point: point(1).names is not point(1).names,
    "after init": lambda point: (point(1).late, point(4).double),
    "equal": lambda point: (point(1) == point(1, hidden="x"), point(1) == point(2), point(1) == 1),
    "dict": lambda point: dataclasses.asdict(point(1)),
    "standard replace": lambda point: dataclasses.replace(point(1), y=9).y,
    "cheap replace": lambda point: record.replace(point(1, hidden="q"), y=9).hidden,
    "match": lambda point: point.__match_args__,
    "slots": lambda point: (hasattr(point(1), "__dict__"), getattr(point, "__slots__", None)),
    "doc": lambda point: (point.__doc__, point.__name__, point.__module__),
}


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("case", CASES)
def test_a_cheap_class_is_like_one_of_the_standard_library(case: str, options: dict[str, bool]) -> None:
    cheap, standard = (CASES[case](made(module, **options)) for module in MAKERS.values())
    assert cheap == standard


@pytest.mark.parametrize("module", MAKERS.values(), ids=MAKERS)
class TestRules:
    def test_a_frozen_object_does_not_change(self, module: Any) -> None:
        point = made(module, frozen=True, slots=True)(1)
        with pytest.raises(AttributeError):
            point.x = 2
        with pytest.raises(AttributeError):
            del point.x
        assert point.x == 1

    def test_what_is_missing_or_unknown_is_refused(self, module: Any) -> None:
        point = made(module, slots=True)
        with pytest.raises(TypeError, match="x"):
            point()
        with pytest.raises(TypeError, match="z"):
            point(1, z=1)
        with pytest.raises(TypeError, match="late"):
            point(1, late=1)

    def test_only_frozen_objects_are_keys(self, module: Any) -> None:
        key, box = made(module, frozen=True, slots=True), made(module, slots=True)
        assert hash(key(1, names=())) == hash(key(1, names=(), hidden="other"))
        assert {key(1, names=()), key(1, names=()), key(2, names=())} == {key(1, names=()), key(2, names=())}
        with pytest.raises(TypeError):
            hash(box(1))

    def test_order_is_that_of_the_fields(self, module: Any) -> None:
        version = made(module, frozen=True, slots=True, order=True)
        assert sorted([version(2), version(1, 5), version(1)]) == [version(1), version(1, 5), version(2)]
        assert version(1) <= version(1) < version(1, 3)
        with pytest.raises(TypeError):
            assert version(1) < 2
