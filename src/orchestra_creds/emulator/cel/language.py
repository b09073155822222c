"""The Common Expression Language, as far as IAM uses it: attribute conditions, attribute mappings, binding conditions.

    == != < <= > >= && || ! in + - * / % ?: [] .      string, bytes-free numbers, bool, null, list and map literals
    has() size() string() int() timestamp() duration() matches() startsWith() endsWith() contains() extract()
    split() join() lowerAscii() upperAscii() replace() exists() all() and getFullYear() … getDayOfWeek() on times

An expression is parsed into a tree of closures once. An evaluation has a limited number of steps, nested `exists` and
`all` included; patterns are RE2's, so linear; texts and numbers have a limited size. `&&` and `||` absorb an error on the other side, as the language says. Whatever cannot be parsed or evaluated raises CelError.
"""

import functools
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from orchestra_creds.emulator.cel.budget import Scope, limit_steps, spend
from orchestra_creds.emulator.cel.values import (
    ARITHMETIC,
    FUNCTIONS,
    METHODS,
    RELATIONS,
    CelError,
    hashable,
    number,
    present,
    read_int,
    select,
    truth,
    unescape,
)

Node = Callable[[Scope], Any]

LONGEST = 4096
"""Characters of an expression (cloud.google.com/iam/docs/workload-identity-federation)."""
_DEEPEST = 32
_LONGEST_CHAIN = 250
"""Operators of equal rank in a row; each is a level of the tree."""

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<number>\d+\.\d+|\d+)
    | (?P<raw>[rR](?:"[^"\n]*"|'[^'\n]*'))
    | (?P<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
    | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<op>==|!=|<=|>=|&&|\|\||[-+*/%<>!?:.,()\[\]{}])
    )""",
    re.VERBOSE,
)
_LITERALS = {"true": True, "false": False, "null": None}


def holds(expression: str, scope: Scope) -> bool:
    """Whether the expression is true; an error or any other value is not true."""
    try:
        return compile_expression(expression)(scope) is True
    except CelError:
        return False


@functools.lru_cache(maxsize=256)
def compile_expression(expression: str) -> Node:
    """The expression as a function of its variables; raises CelError when it cannot be parsed."""
    if len(expression) > LONGEST:
        raise CelError(f"the expression is longer than {LONGEST} characters")
    parser = _CelParser(_tokens(expression))
    try:
        node = parser.expression()
    except RecursionError:
        raise CelError("the expression is nested too deeply") from None
    parser.end()

    def evaluate(scope: Scope) -> Any:
        try:
            return node(limit_steps(scope))
        except RecursionError:
            raise CelError("the expression is nested too deeply") from None

    return evaluate


def variables(expression: str) -> frozenset[str]:
    """Return the names of the variables that the expression reads; raises CelError when it cannot be parsed."""
    compile_expression(expression)
    parser = _CelParser(_tokens(expression))
    parser.expression()
    return frozenset(parser.read - parser.bound)


def _tokens(text: str) -> list[tuple[str, str]]:
    found, position = [], 0
    text = re.sub(r"(?m)^[ \t]*//.*$", "", text).rstrip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise CelError(f"character {position + 1} is not understood")
        kind = str(match.lastgroup)
        found.append((kind, match[kind]))
        position = match.end()
    return found


class _CelParser:
    """Recursive descent in the order of precedence."""

    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0
        self.read: set[str] = set()
        self.bound: set[str] = set()

    def end(self) -> None:
        if self._at != len(self._tokens):
            raise CelError(f"{self._tokens[self._at][1]} is not expected here")

    def expression(self) -> Node:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise CelError("the expression is nested too deeply")
        condition = self._or()
        if self._accept_operator("?"):
            first = self.expression()
            self._expect(":")
            second = self.expression()
            self._depth -= 1
            return lambda scope: first(scope) if truth(condition(scope)) else second(scope)
        self._depth -= 1
        return condition

    def _chain(self) -> Iterator[None]:
        """Count the links of a chain of operators, and refuse one that is too long."""
        for _ in range(_LONGEST_CHAIN):
            yield
        raise CelError("the expression has too many operators in a row")

    def _or(self) -> Node:
        node, chain = self._and(), self._chain()
        while self._accept_operator("||"):
            next(chain)
            node = _either(node, self._and(), absorbing=True)
        return node

    def _and(self) -> Node:
        node, chain = self._relation(), self._chain()
        while self._accept_operator("&&"):
            next(chain)
            node = _either(node, self._relation(), absorbing=False)
        return node

    def _relation(self) -> Node:
        node, chain = self._sum(), self._chain()
        while True:
            next(chain)
            operator = self._one_of("==", "!=", "<=", ">=", "<", ">") or self._word("in")
            if not operator:
                return node
            node = _binary(RELATIONS[operator], node, self._sum())

    def _sum(self) -> Node:
        node, chain = self._product(), self._chain()
        while operator := self._one_of("+", "-"):
            next(chain)
            node = _binary(ARITHMETIC[operator], node, self._product())
        return node

    def _product(self) -> Node:
        node, chain = self._unary(), self._chain()
        while operator := self._one_of("*", "/", "%"):
            next(chain)
            node = _binary(ARITHMETIC[operator], node, self._unary())
        return node

    def _unary(self) -> Node:
        if self._accept_operator("!"):
            inner = self._nested_unary()
            return lambda scope: not truth(inner(scope))
        if self._accept_operator("-"):
            inner = self._nested_unary()
            return lambda scope: -number(inner(scope))
        return self._member()

    def _nested_unary(self) -> Node:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise CelError("the expression is nested too deeply")
        node = self._unary()
        self._depth -= 1
        return node

    def _member(self) -> Node:
        node, chain = self._primary(), self._chain()
        while True:
            next(chain)
            if self._accept_operator("."):
                name = self._name()
                node = (
                    self._method(node, name) if self._accept_operator("(") else _binary(select, node, _constant(name))
                )
            elif self._accept_operator("["):
                key = self.expression()
                self._expect("]")
                node = _binary(select, node, key)
            else:
                return node

    def _method(self, target: Node, name: str) -> Node:
        if name in {"exists", "all"}:
            variable = self._name()
            self.bound.add(variable)
            self._expect(",")
            body = self.expression()
            self._expect(")")
            return _quantifier(target, variable, body, every=name == "all")
        return _call(name, [target, *self._arguments()], METHODS)

    def _primary(self) -> Node:
        kind, value = self._take()
        match kind, value:
            case "number", _:
                node = _constant(float(value) if "." in value else read_int(value))
            case "text", _:
                node = _constant(unescape(value[1:-1]))
            case "raw", _:
                node = _constant(value[2:-1])
            case "name", _:
                node = self._identifier(value)
            case "op", "(":
                node = self.expression()
                self._expect(")")
            case "op", "[":
                node = _list(self._items("]"))
            case "op", "{":
                node = self._map()
            case _:
                raise CelError(f"{value} is not expected here")
        return node

    def _identifier(self, name: str) -> Node:
        if name in _LITERALS:
            return _constant(_LITERALS[name])
        if not self._accept_operator("("):
            self.read.add(name)
            return functools.partial(_variable, name)
        if name == "has":
            return self._has()
        return _call(name, self._arguments(), FUNCTIONS)

    def _has(self) -> Node:
        """`has(a.b)`: whether a has b; only the last part may be missing."""
        node = self._primary()
        key: Node | None = None
        while not self._accept_operator(")"):
            if key is not None:
                node = _binary(select, node, key)
            if self._accept_operator("["):
                key = self.expression()
                self._expect("]")
            else:
                self._expect(".")
                key = _constant(self._name())
        if key is None:
            raise CelError("has() needs a field")
        return _binary(present, node, key)

    def _map(self) -> Node:
        entries: list[tuple[Node, Node]] = []
        while not self._accept_operator("}"):
            if entries:
                self._expect(",")
            key = self.expression()
            self._expect(":")
            entries.append((key, self.expression()))
        return lambda scope: {hashable(key(scope)): value(scope) for key, value in entries}

    def _arguments(self) -> list[Node]:
        return self._items(")")

    def _items(self, closing: str) -> list[Node]:
        items: list[Node] = []
        while not self._accept_operator(closing):
            if items:
                self._expect(",")
            items.append(self.expression())
        return items

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._at] if self._at < len(self._tokens) else ("end", "the end")

    def _take(self) -> tuple[str, str]:
        token = self._peek()
        self._at += 1
        return token

    def _accept_operator(self, operator: str) -> bool:
        if self._peek() == ("op", operator):
            self._at += 1
            return True
        return False

    def _one_of(self, *operators: str) -> str:
        return next((operator for operator in operators if self._accept_operator(operator)), "")

    def _word(self, word: str) -> str:
        if self._peek() == ("name", word):
            self._at += 1
            return word
        return ""

    def _expect(self, operator: str) -> None:
        if not self._accept_operator(operator):
            raise CelError(f"{operator} is expected instead of {self._peek()[1]}")

    def _name(self) -> str:
        kind, value = self._take()
        if kind != "name":
            raise CelError(f"a name is expected instead of {value}")
        return value


def _constant(value: Any) -> Node:
    return lambda _scope: value


def _list(items: list[Node]) -> Node:
    return lambda scope: [item(scope) for item in items]


def _variable(name: str, scope: Scope) -> Any:
    try:
        return scope[name]
    except KeyError:
        raise CelError(f"there is no variable {name}") from None


def _binary(function: Callable[[Any, Any], Any], left: Node, right: Node) -> Node:
    def compute(scope: Scope) -> Any:
        spend(scope)
        return function(left(scope), right(scope))

    return compute


def _either(left: Node, right: Node, *, absorbing: bool) -> Node:
    """`||` with absorbing=True, `&&` with False: one side that decides makes the other's error irrelevant."""

    def decide(scope: Scope) -> bool:
        try:
            first = truth(left(scope))
        except CelError:
            if truth(right(scope)) is absorbing:
                return absorbing
            raise
        return absorbing if first is absorbing else truth(right(scope))

    return decide


def _quantifier(target: Node, variable: str, body: Node, *, every: bool) -> Node:
    def evaluate(scope: Scope) -> bool:
        values = target(scope)
        if not isinstance(values, list | dict):
            raise CelError("exists() and all() need a list or a map")

        def holds_for(value: Any) -> bool:
            spend(scope)
            return truth(body({**scope, variable: value}))

        results = (holds_for(value) for value in values)
        return all(results) if every else any(results)

    return evaluate


def _call(name: str, arguments: list[Node], table: Mapping[str, tuple[int, Callable[..., Any]]]) -> Node:
    count, function = table.get(name, (-1, None))
    if function is None:
        raise CelError(f"there is no function {name}()")
    if len(arguments) != count:
        raise CelError(f"{name}() does not take {len(arguments)} values")

    def call(scope: Scope) -> Any:
        try:
            values = [argument(scope) for argument in arguments]
            spend(scope, *values)
            return function(*values)
        except (TypeError, ValueError, AttributeError, OverflowError, re.error):
            raise CelError(f"{name}() does not apply to these values") from None

    return call
