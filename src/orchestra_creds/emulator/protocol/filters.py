"""The filter language of list calls (AIP-160, as Secret Manager documents it), evaluated on any message.

    name:db AND labels.env=prod            state:(ENABLED OR DISABLED)
    create_time>2026-01-01T00:00:00Z       NOT replication.automatic:*      topics.name:rotations

OR binds tighter than AND, as AIP-160 says; two terms side by side mean AND. `:` is "contains" for text and "has"
for maps, lists and `*`; text compares without case; a field that the message does not have matches nothing.
A filter that cannot be read is INVALID_ARGUMENT. `key` may be snake_case or camelCase.
"""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from orchestra_creds.emulator.protocol.errors import EmuError, invalid_error

Matcher = Callable[[Message], bool]

_TOKEN = re.compile(
    r"""\s*(?:(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?P<op><=|>=|!=|[:=<>()-])|(?P<word>[^\s:=<>()!"']+))"""
)
_DEEPEST = 20
_LONGEST = 4096


def compile_filter(text: str) -> Matcher:
    """The filter as a function; the empty filter matches everything."""
    if not text.strip():
        return lambda _message: True
    if len(text) > _LONGEST:
        raise _unreadable()
    parser = _FilterParser(list(_tokens(text)))
    matcher = parser.expression(0)
    if parser.peek() is not None:
        raise _unreadable()
    return matcher


def _unreadable() -> EmuError:
    return invalid_error("The filter is not valid: see the rules of list-operation filtering.", field="filter")


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    position = 0
    text = text.rstrip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise _unreadable()
        kind = match.lastgroup or ""
        value = match[kind]
        position = match.end()
        if kind == "text":
            yield kind, re.sub(r"\\(.)", r"\1", value[1:-1])
        else:
            yield kind, value


class _FilterParser:
    """Recursive descent: expression = factor {[AND] factor}; factor = term {OR term}; term = [NOT] simple."""

    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self._tokens = tokens
        self._at = 0

    def peek(self) -> tuple[str, str] | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def expression(self, depth: int) -> Matcher:
        if depth > _DEEPEST:
            raise _unreadable()
        parts = [self._factor(depth)]
        while (token := self.peek()) is not None and token != ("op", ")"):
            if token == ("word", "AND"):
                self._at += 1
            parts.append(self._factor(depth))
        return parts[0] if len(parts) == 1 else lambda message: all(part(message) for part in parts)

    def _factor(self, depth: int) -> Matcher:
        parts = [self._term(depth)]
        while self.peek() == ("word", "OR"):
            self._at += 1
            parts.append(self._term(depth))
        return parts[0] if len(parts) == 1 else lambda message: any(part(message) for part in parts)

    def _term(self, depth: int) -> Matcher:
        if self.peek() in {("word", "NOT"), ("op", "-")}:
            self._at += 1
            inner = self._simple(depth)
            return lambda message: not inner(message)
        return self._simple(depth)

    def _simple(self, depth: int) -> Matcher:
        kind, value = self._take()
        if (kind, value) == ("op", "("):
            inner = self.expression(depth + 1)
            self._expect(")")
            return inner
        if kind == "op" or (kind == "word" and value in {"AND", "OR", "NOT"}):
            raise _unreadable()
        following = self.peek()
        if kind == "word" and following is not None and following[0] == "op" and following[1] in _OPERATORS:
            self._at += 1
            return self._comparison(value.split("."), following[1])
        return lambda message: _compare(message, ["name"], ":", value)

    def _comparison(self, path: list[str], operator: str) -> Matcher:
        values = [self._value()] if self.peek() != ("op", "(") else self._values()
        # `field != (a OR b)` has no documented meaning beyond "none of them".
        every = operator == "!="
        return lambda message: (all if every else any)(_compare(message, path, operator, value) for value in values)

    def _values(self) -> list[str]:
        self._expect("(")
        values = [self._value()]
        while self.peek() == ("word", "OR"):
            self._at += 1
            values.append(self._value())
        self._expect(")")
        return values

    def _value(self) -> str:
        # A timestamp without quotes falls into pieces at its colons and dashes: join what has no space between.
        kind, value = self._take()
        if kind == "op":
            raise _unreadable()
        if kind == "word" and re.fullmatch(r"\d{4}-\d{2}-\d{2}T\d{2}", value):
            while self.peek() == ("op", ":"):
                self._at += 1
                value += ":" + self._take()[1]
        return value

    def _take(self) -> tuple[str, str]:
        token = self.peek()
        if token is None:
            raise _unreadable()
        self._at += 1
        return token

    def _expect(self, operator: str) -> None:
        if self._take() != ("op", operator):
            raise _unreadable()


_OPERATORS = frozenset({":", "=", "!=", "<", "<=", ">", ">="})


def _compare(message: Message, path: list[str], operator: str, wanted: str) -> bool:
    found = [value for value in _values_at(message, path) if _meets(value, operator.replace("!=", "="), wanted)]
    return not found if operator == "!=" else bool(found)


def _values_at(value: Any, path: list[str]) -> Iterator[Any]:
    """Every value that a dotted path leads to, through messages, lists and maps; only what is set."""
    if not path:
        yield value
        return
    if not isinstance(value, Message):
        return
    descriptor = value.DESCRIPTOR
    field = descriptor.fields_by_name.get(path[0]) or descriptor.fields_by_camelcase_name.get(path[0])
    if field is None:
        raise invalid_error(f"The filter names the unknown field {path[0]}.", field="filter")
    content = getattr(value, field.name)
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        key = ".".join(path[1:])
        yield from content if not key else [content[key]] if key in content else []
    elif field.is_repeated:
        for item in content:
            yield from _values_at(item, path[1:])
    elif not field.has_presence or value.HasField(field.name):
        if field.type == FieldDescriptor.TYPE_ENUM:
            content = field.enum_type.values_by_number[content].name
        yield from _values_at(content, path[1:])


def _meets(value: Any, operator: str, wanted: str) -> bool:
    if wanted == "*" and operator in {":", "="}:
        return value not in {"", 0} if isinstance(value, str | int) else True
    if isinstance(value, Message):
        return _message_meets(value, operator, wanted)
    if isinstance(value, bool):
        return str(value).lower() == wanted.lower()
    if isinstance(value, int):
        return _compare_values(value, operator, _number(wanted))
    return _text(str(value), operator, wanted)


def _message_meets(value: Message, operator: str, wanted: str) -> bool:
    match value.DESCRIPTOR.full_name:
        case "google.protobuf.Timestamp":
            return _compare_values(value.ToDatetime(tzinfo=UTC), operator, _time(wanted))
        case "google.protobuf.Duration":
            return _compare_values(value.ToNanoseconds() / 1e9, operator, _number(wanted.removesuffix("s")))
        case _:
            return any(_meets(each, operator, wanted) for _field, each in value.ListFields())


def _text(value: str, operator: str, wanted: str) -> bool:
    value, wanted = value.lower(), wanted.lower()
    if operator == ":" or "*" in wanted:
        return _has_parts(value, wanted.split("*"), whole=operator != ":")
    if operator == "=":
        # A resource is found by its full name or by its last segment.
        return value == wanted or (value.startswith("projects/") and value.rpartition("/")[2] == wanted)
    return _compare_values(value, operator, wanted)


def _has_parts(value: str, parts: list[str], *, whole: bool) -> bool:
    """Return whether the parts stand in the text in this order, `whole` from its start to its end; in linear time."""
    if whole:
        head, tail = parts[0], parts[-1]
        if not value.startswith(head) or not value.removeprefix(head).endswith(tail):
            return False
        value, parts = value[len(head) : len(value) - len(tail)], parts[1:-1]
    position = 0
    for part in parts:
        found = value.find(part, position)
        if found < 0:
            return False
        position = found + len(part)
    return True


def _compare_values(value: Any, operator: str, wanted: Any) -> bool:
    match operator:
        case "<":
            return bool(value < wanted)
        case "<=":
            return bool(value <= wanted)
        case ">":
            return bool(value > wanted)
        case ">=":
            return bool(value >= wanted)
        case _:
            return bool(value == wanted)


def _time(text: str) -> datetime:
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise invalid_error(
            "The filter compares a time with something that is not an RFC 3339 time.", field="filter"
        ) from None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise invalid_error("The filter compares a number with something that is not one.", field="filter") from None
