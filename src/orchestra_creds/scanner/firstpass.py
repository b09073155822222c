r"""From a rule's exact pattern to the one that the first pass looks for.

Guarantees: where the exact pattern matches [s, e), the first-pass pattern matches from s (or from behind the leading
boundary) to some end in (s, e]. So the first pass may report too much, never too little. What is relaxed, and why:

- a leading `\b` goes: an escape such as `\n` or `%3D` may stand before a token and hide the boundary;
- a greedy tail `{20,200}` becomes `{20}`: one report for a token instead of one for each of its ends;
- `^ $ \A \z` hold at every line: several texts, separated by a line with a NUL, can be scanned as one buffer;
- `\s` and `\S` are spelled out: Hyperscan counts the vertical tab as white space, RE2 does not.
"""

import re

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


def first_pass(pattern: str) -> str:
    """The relaxed pattern; the pattern itself where it holds nothing that could be relaxed."""
    tokens = [_plain(token) for token in _TOKEN.findall(pattern)]
    head = 0
    while head < len(tokens) and _FLAGS.fullmatch(tokens[head]):
        head += 1
    if len(tokens) > head + 1 and tokens[head] == r"\b":
        del tokens[head]
    _trim(tokens)
    return "".join(tokens)


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
