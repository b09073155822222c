r"""From a rule's exact pattern to the one that the first pass looks for.

Guarantees: where the exact pattern matches [s, e), the first-pass pattern matches from s (or from behind the leading
boundary) to some end in (s, e]. So the first pass may report too much, never too little. What is relaxed, and why:

- a leading `\b` or `LEAD` goes: an escape such as `\n` or `%3D` may stand before a token and hide the boundary, and what begins with
  letters is found quicker than what begins with a choice;
- a greedy tail `{20,200}` becomes `{20}`: one report for a token instead of one for each of its ends;
- what may stand behind the first `MOST` bytes goes, so that a history scan reads little around what is new;
- `^ $ \A \z` hold at every line: several texts, separated by a line with a NUL, can be scanned as one buffer;
- `\s` and `\S` are spelled out: Hyperscan counts the vertical tab as white space, RE2 does not.
"""

import re
from collections.abc import Iterable
from itertools import pairwise

from orchestra_creds.scanner.rule import LEAD, Rule

MOST = 256
"""Bytes that a match of a first-pass pattern takes at most, where the pattern can be cut that short."""

_TOKEN = re.compile(
    r"""\\Q.*?(?:\\E|$)|\\x\{[0-9A-Fa-f]+\}|\\x[0-9A-Fa-f]{2}|\\[pP](?:\{[^}]*\}|.)|\\.
      | \[\^?\]?(?:\[:\^?[a-z]+:\]|\\x\{[0-9A-Fa-f]+\}|\\.|[^\]\\])*\]
      | \{\d+(?:,\d*)?\} | \(\?P?<[^>]*> | \(\?[imsU-]*[:)] | .""",
    re.VERBOSE | re.DOTALL,
)
_SPACE = r"\t\n\f\r "
_PLAIN = {r"\s": f"[{_SPACE}]", r"\S": f"[^{_SPACE}]", r"\A": "^", r"\z": "$"}
_IN_CLASS = {r"\s": _SPACE, r"\S": r"\x00-\x08\x0b\x0e-\x1f\x21-\xff"}
_ESCAPE = re.compile(r"\\.", re.DOTALL)
_COUNT = re.compile(r"\{([1-9]\d*),\d*\}")
_FLAGS = re.compile(r"\(\?[imsU-]+\)")
_OPENING = re.compile(r"\((?!\?[imsU-]+\))")
_REPEAT = re.compile(r"\{(\d+)(?:(,)(\d*))?\}")
_NO_WIDTH = frozenset({"^", "$", r"\b", r"\B"})
_UPPER = re.compile(r"\{(?:\d+,)?(\d+)\}")
_UNBOUNDED = frozenset("*+")
_LITERAL = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-/:=")
_LEAST = 3  # of these a prefix must hold to be distinctive


def first_pass(pattern: str, longest: int = MOST + 1) -> str:
    """The relaxed pattern; `longest` is the most bytes that a match of `pattern` may take.

    It is the pattern itself where that holds nothing that could be relaxed.
    """
    tokens = [_plain(token) for token in _TOKEN.findall(pattern.removeprefix(LEAD))]
    head = 0
    while head < len(tokens) and _FLAGS.fullmatch(tokens[head]):
        head += 1
    if len(tokens) > head + 1 and tokens[head] == r"\b":
        del tokens[head]
    _trim(tokens)
    return "".join(_shorten(tokens) if longest > MOST else tokens)


def widest(rules: Iterable[Rule]) -> int:
    """The most bytes that the first pass needs to see of a match of any of the rules; at least `MOST`.

    The rulebook's patterns keep to that, a test sees to it; others are as wide as they are.
    """
    found = MOST
    for rule in rules:
        if rule.longest > found:
            bound = width(first_pass(rule.pattern, rule.longest))
            found = max(found, rule.longest if bound is None else min(rule.longest, bound))
    return found


def width(pattern: str) -> int | None:
    """The most bytes that a match of a first-pass pattern takes; None when nothing bounds it."""
    return _widest(_TOKEN.findall(pattern))


def _plain(token: str) -> str:
    if token.startswith("["):
        return _ESCAPE.sub(lambda found: _IN_CLASS.get(found[0], found[0]), token)
    return _PLAIN.get(token, token)


def _trim(tokens: list[str]) -> None:
    """Make a greedy or lazy tail as short as it may be; only closing parentheses may stand behind it."""
    last = len(tokens) - 1
    while last >= 0 and tokens[last] == ")":
        last -= 1
    lazy = last >= 1 and tokens[last] == "?" and (tokens[last - 1] == "+" or _COUNT.fullmatch(tokens[last - 1]))
    at = last - 1 if lazy else last
    if at < 1:
        return
    if count := _COUNT.fullmatch(tokens[at]):
        tokens[at : last + 1] = [f"{{{count[1]}}}"]
    elif tokens[at] == "+":
        del tokens[at : last + 1]


def _shorten(tokens: list[str]) -> list[str]:
    """The longest prefix that takes at most `MOST` bytes, if it is still distinctive: a match begins with its prefix."""
    if _seems_short(tokens) or ((widest := _widest(tokens)) is not None and widest <= MOST):
        return tokens
    prefix = _prefix(tokens, MOST)
    return prefix if sum(token in _LITERAL for token in prefix) >= _LEAST else tokens


def _seems_short(tokens: list[str]) -> bool:
    """A quick look that spares most patterns the exact one; where it errs, the pattern stays as wide as it is."""
    return _UNBOUNDED.isdisjoint(tokens) and sum(map(int, _UPPER.findall("".join(tokens)))) <= MOST // 2


def _widest(tokens: list[str]) -> int | None:
    """The most bytes that the tokens match; None when nothing bounds it."""
    widths = []
    for low, high in pairwise(_branches(tokens)):
        items = [_item_width(tokens, *item) for item in _items(tokens, low, high - 1)]
        if None in items:
            return None
        widths.append(sum(filter(None, items)))
    return max(widths)


def _branches(tokens: list[str]) -> list[int]:
    """Where the branches of an alternation begin, and one behind where the last ends."""
    depth = 0
    begins = [0]
    for at, symbol in enumerate(tokens):
        if symbol == "|" and not depth:
            begins.append(at + 1)
        depth += bool(_OPENING.match(symbol)) - (symbol == ")")
    return [*begins, len(tokens) + 1]


def _items(tokens: list[str], at: int, stop: int) -> list[tuple[int, int, int]]:
    """Start, end of the atom, and end of the quantifier of each item of a sequence."""
    items = []
    while at < stop:
        start, depth = at, 0
        while True:
            depth += bool(_OPENING.match(tokens[at])) - (tokens[at] == ")")
            at += 1
            if depth <= 0 or at >= stop:
                break
        atom = at
        if at < stop and (tokens[at] in {"*", "+", "?"} or _REPEAT.fullmatch(tokens[at])):
            at += 1
            if at < stop and tokens[at] == "?":  # lazy
                at += 1
        items.append((start, atom, at))
    return items


def _item_width(tokens: list[str], start: int, atom: int, end: int) -> int | None:
    one = _atom_width(tokens[start:atom])
    most = _counts(tokens[atom] if atom < end else "")[1]
    if one == 0:
        return 0
    return None if one is None or most is None else one * most


def _atom_width(tokens: list[str]) -> int | None:
    if len(tokens) > 1:
        return _widest(tokens[1:-1])
    if tokens[0] in _NO_WIDTH or _FLAGS.fullmatch(tokens[0]):
        return 0
    return len(tokens[0]) if tokens[0].startswith(r"\Q") else 1


def _counts(quantifier: str) -> tuple[int, int | None]:
    """Fewest and most repeats; None when nothing bounds them."""
    if found := _REPEAT.fullmatch(quantifier):
        least = int(found[1])
        return least, least if not found[2] else int(found[3]) if found[3] else None
    return {"": (1, 1), "?": (0, 1), "*": (0, None), "+": (1, None)}[quantifier]


def _prefix(tokens: list[str], room: int) -> list[str]:
    """As much of a sequence as takes at most `room` bytes; nothing of an alternation."""
    if len(_branches(tokens)) > 2:
        return []
    prefix: list[str] = []
    for start, atom, end in _items(tokens, 0, len(tokens)):
        widest = _item_width(tokens, start, atom, end)
        if widest is not None and widest <= room:
            prefix += tokens[start:end]
            room -= widest
            continue
        least = _counts(tokens[atom] if atom < end else "")[0]
        if atom - start == 1 and min(least, room) > 0:
            prefix += [tokens[start], f"{{{min(least, room)}}}"]
        elif atom == end and (inner := _prefix(tokens[start + 1 : atom - 1], room)):
            prefix += [tokens[start], *inner, ")"]
        break
    return prefix
