"""The values of the expression language (cel/language.py): selection, comparison, arithmetic and functions, strictly typed.

Values are str, int, float, bool, None, list, dict, aware datetime (a timestamp) and timedelta (a duration). Comparing
values of different types is an error, except that == is false; nothing is converted silently.
"""

import operator
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import re2

_LONGEST_PATTERN = 512
_LONGEST_SUBJECT = 16_384
_INT64 = range(-(2**63), 2**63)
"""Whole numbers of the language; a result outside is an error (github.com/google/cel-spec, Overflow)."""
_PATTERN_OPTIONS = re2.Options()
_PATTERN_OPTIONS.log_errors = False
_ESCAPE = re.compile(r"\\(?:([ntr\\\"'`?])|x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4}))")
_CONTROLS = {"n": "\n", "t": "\t", "r": "\r"}
_DURATION = re.compile(r"(-)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?")


class CelError(Exception):
    """The expression cannot be parsed, or has no value for these variables; the message never holds a value."""


def truth(value: Any) -> bool:
    """The value, which must be true or false."""
    if not isinstance(value, bool):
        raise CelError("a condition is not true or false")
    return value


def number(value: Any) -> int | float:
    """The value, which must be a number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise CelError("a number is expected")
    return value


def whole_number(value: Any) -> Any:
    """The value, which must be a 64-bit number if it is a whole number."""
    if isinstance(value, int) and value not in _INT64:
        raise CelError("the number does not fit into 64 bits")
    return value


def read_int(digits: str) -> int:
    """The whole number of a literal, which must fit into 64 bits."""
    try:
        return int(whole_number(int(digits)))
    except ValueError:
        raise CelError("a number has too many digits") from None


def unescape(text: str) -> str:
    """The text of a string literal."""
    return _ESCAPE.sub(
        lambda found: _CONTROLS.get(found[1], found[1]) if found[1] else chr(int(found[2] or found[3], 16)), text
    )


def select(value: Any, key: Any) -> Any:
    """A field of a map or an item of a list; missing ones are errors."""
    if isinstance(value, dict) and isinstance(key, str | int | bool) and key in value:
        return value[key]
    if isinstance(value, list) and isinstance(key, int) and not isinstance(key, bool) and 0 <= key < len(value):
        return value[key]
    raise CelError(f"there is no {key}" if isinstance(key, str) and key.isidentifier() else "there is no such item")


def present(value: Any, key: Any) -> bool:
    """Whether a map has a field."""
    if not isinstance(value, dict):
        raise CelError("has() needs a map")
    return key in value


def hashable(value: Any) -> Any:
    """A value that may be the key of a map."""
    if not isinstance(value, str | int | bool):
        raise CelError("a map has keys of text, whole numbers or truth values")
    return value


def _equal(left: Any, right: Any) -> bool:
    numbers = _is_number(left) and _is_number(right)
    return (numbers or type(left) is type(right)) and bool(left == right)


def _contains(item: Any, values: Any) -> bool:
    if isinstance(values, dict):
        return isinstance(item, str | int | bool) and item in values
    if isinstance(values, list):
        return any(_equal(item, value) for value in values)
    raise CelError("`in` needs a list or a map")


def _comparison(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def compare_values(left: Any, right: Any) -> bool:
        same = type(left) is type(right) and isinstance(left, str | bool | datetime | timedelta)
        if not same and not (_is_number(left) and _is_number(right)):
            raise CelError("these values have no order")
        return compare(left, right)

    return compare_values


def _arithmetic(compute: Callable[[Any, Any], Any], *, text: bool = False, time: bool = False) -> Callable[..., Any]:
    def compute_values(left: Any, right: Any) -> Any:
        joined = text and type(left) is type(right) and isinstance(left, str | list)
        if joined and len(left) + len(right) > _LONGEST_SUBJECT:
            raise CelError("the text is too long")
        moved = time and isinstance(left, datetime | timedelta) and isinstance(right, datetime | timedelta)
        if not joined and not moved and not (_is_number(left) and _is_number(right)):
            raise CelError("these values cannot be computed with")
        try:
            return whole_number(compute(left, right))
        except (ArithmeticError, TypeError):
            raise CelError("the computation has no result") from None

    return compute_values


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _divide(left: Any, right: Any) -> Any:
    """Whole numbers are divided towards zero, as in the language's definition."""
    if isinstance(left, int) and isinstance(right, int):
        quotient = abs(left) // abs(right)
        return quotient if (left < 0) == (right < 0) else -quotient
    return left / right


def _size(value: Any) -> int:
    if not isinstance(value, str | list | dict):
        raise CelError("size() needs text, a list or a map")
    return len(value)


def _matches(value: str, pattern: str) -> bool:
    """RE2's search, as in the language's definition: linear in the text."""
    if len(pattern) > _LONGEST_PATTERN or len(value) > _LONGEST_SUBJECT:
        raise CelError("the pattern or the text is too long")
    try:
        return re2.search(pattern, value, _PATTERN_OPTIONS) is not None
    except re2.error:
        raise CelError("the pattern cannot be read") from None


def _replace(value: str, old: str, new: str) -> str:
    return _short(value.replace(old, new, _LONGEST_SUBJECT // max(len(new), 1)), value.count(old) * len(new))


def _short(text: str, size: int = 0) -> str:
    if max(size, len(text)) > _LONGEST_SUBJECT:
        raise CelError("the text is too long")
    return text


def _extract(value: str, template: str) -> str:
    """IAM's extract(): what stands in the place of `{name}` between the fixed parts, or ""."""
    match = re.fullmatch(r"([^{}]*)\{[^{}]+\}([^{}]*)", template)
    if match is None:
        raise CelError("extract() needs one {name}")
    _, found, rest = value.partition(match[1]) if match[1] else ("", "x", value)
    if not found:
        return ""
    if not match[2]:
        return rest
    inner, found, _ = rest.partition(match[2])
    return inner if found else ""


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise CelError("string() does not apply to this value")


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, str | int | float | datetime):
        raise CelError("int() does not apply to this value")
    return int(whole_number(int(value.timestamp()) if isinstance(value, datetime) else int(value)))


def _timestamp(value: Any) -> datetime:
    if isinstance(value, datetime):
        return value
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None:
        raise CelError("a timestamp needs a time zone")
    return moment.astimezone(UTC)


def _duration(value: str) -> timedelta:
    match = _DURATION.fullmatch(value)
    if match is None or not any(match.groups()[1:]):
        raise CelError("a duration is written like 1h30m or 90s")
    span = timedelta(hours=int(match[2] or 0), minutes=int(match[3] or 0), seconds=float(match[4] or 0))
    return -span if match[1] else span


def _strings(function: Callable[..., Any]) -> Callable[..., Any]:
    def call_with_text(*values: Any) -> Any:
        if not all(isinstance(value, str) for value in values):
            raise CelError("the function needs text")
        return function(*values)

    return call_with_text


def _join(values: Any, separator: str) -> str:
    return _short(separator.join(values))


RELATIONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": _equal,
    "!=": lambda left, right: not _equal(left, right),
    "in": _contains,
    "<": _comparison(operator.lt),
    "<=": _comparison(operator.le),
    ">": _comparison(operator.gt),
    ">=": _comparison(operator.ge),
}
ARITHMETIC: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": _arithmetic(operator.add, text=True, time=True),
    "-": _arithmetic(operator.sub, time=True),
    "*": _arithmetic(operator.mul),
    "/": _arithmetic(_divide),
    "%": _arithmetic(lambda left, right: left - right * _divide(left, right)),
}
FUNCTIONS: Mapping[str, tuple[int, Callable[..., Any]]] = {
    "size": (1, _size),
    "string": (1, _text),
    "int": (1, _whole),
    "timestamp": (1, _timestamp),
    "duration": (1, _strings(_duration)),
    "matches": (2, _strings(_matches)),
}
METHODS: Mapping[str, tuple[int, Callable[..., Any]]] = {
    "size": (1, _size),
    "matches": (2, _strings(_matches)),
    "startsWith": (2, _strings(str.startswith)),
    "endsWith": (2, _strings(str.endswith)),
    "contains": (2, _strings(lambda value, part: part in value)),
    "extract": (2, _strings(_extract)),
    "lowerAscii": (1, _strings(str.lower)),
    "upperAscii": (1, _strings(str.upper)),
    "replace": (3, _strings(_replace)),
    "split": (2, _strings(str.split)),
    "join": (2, _join),
    "getFullYear": (1, lambda time: time.year),
    "getMonth": (1, lambda time: time.month - 1),
    "getDate": (1, lambda time: time.day),
    "getDayOfWeek": (1, lambda time: time.isoweekday() % 7),
    "getHours": (1, lambda time: time.hour),
    "getMinutes": (1, lambda time: time.minute),
}
"""Name -> (how many values it takes, the one before the dot included; the function)."""
