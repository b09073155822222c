r"""Which name a value is bound to, and how the two are written.

`GAP` matches what stands between a word of a name (`password`, `token`) and the first byte of its value, in every way of writing that
is known here; rules put their words before it and the look of a value behind it. `bind` reads the same text again, finds the whole name
and the whole value, and says how it was written, so that a later refusal can ask whether a call or a variable could stand there at all.

| way of writing | example |
| --- | --- |
| assignment | `a = v`, `a := v`, `a ::= v`, `a ?= v`, `a .= v`, `a => v`, `a <- v`, `a: v`, `if a == v` |
| with a type | `a: str = "v"`, `var a string = "v"`, `char a[] = "v"`, `Dim a As String = "v"`, `let a: &str = "v"` |
| string prefix, constructor | `a = b"v"`, `a = @"v"`, `a = []byte("v")`, `a = SecretStr("v")` |
| on the next line | `a =` and `"v"`, `a = (` and `"v"`, `a: >-` and `v` |
| named pair | `name: a` and `value: v`, `{"key": "a", "value": "v"}`, `"a": {"value": "v"}` |
| markup | `<a>v</a>`, `<x name="a">v</x>`, `<key>a</key><string>v</string>`, CDATA |
| call | `setA("v")`, `.a("v")` |
| blank | `ENV A v`, `#define A "v"`, `:a "v"`, `a 'v'`, `--a v` |
| fallback | `env.A || "v"`, `A ?? "v"`, `${A:-v}`, `"A", "v"`, `.A | default "v"` |
| pair in quotes | `"A=v"`, `'A: v'`, `"https://host/?a=v"`, `"x\nA=v\n"` |
"""

import re
from collections.abc import Callable
from enum import IntEnum

from orchestra_creds.core.record import dataclass
from orchestra_creds.scanner.checks.verdict import Buffer, Subject
from orchestra_creds.scanner.libraries import LazyRegex

LONGEST_VALUE = 512
"""Bytes of the longest value that is read."""

BACK = 192
"""Bytes before the word of a name that are read: the rest of the name, and its line."""

AHEAD = 832
"""Bytes behind the start of that word that are read: the gap, the value, and what stands behind it."""

LONGEST_NAME = 80


class Syntax(IntEnum):
    """How a value is written."""

    STRING = 0  # in quotes of its own: whatever stands there is text
    MARKUP = 1  # the text of an element
    BLOCK = 2  # on a line of its own below its name
    LINE = 3  # to the end of its line: dotenv, YAML, properties, INI; in code an expression
    PAIR = 4  # in the quotes that hold its name too, or in the query of an address
    WORD = 5  # a word among others: a call, a command, a log


@dataclass(frozen=True, slots=True)
class Bound:
    """A name and its value.

    start, end   the span of the value in the text, relative to the start of the word that the binding began with
    sign         what stands between the two, without blanks
    """

    name: bytes
    value: bytes
    syntax: Syntax
    start: int
    end: int
    sign: bytes

    @property
    def is_text(self) -> bool:
        """Whether the value is text whatever it looks like."""
        return self.syntax <= Syntax.BLOCK


_TAIL = r"[\w.\x80-\xff-]{0,20}"
_CLOSE = r"(?:\[\d{0,3}\]|\\{0,3}[\"'`]|[\])}\\]){0,3}"
_TYPE = r"(?:[?!]?:[ \t]{0,2}&?[A-Za-z][\w.\[\]|<>, ?]{0,20}?|[ \t]{1,6}[A-Za-z&*\[][\w.\[\]<>* ]{1,12})\s{0,4}="
_NAMED = r"(?:[:=]\s{0,2}\{\s{0,16}|,?\s{1,20})\\{0,3}[\"']?(?:[dD]efault)?[vV]alue\\{0,3}[\"']?\s{0,2}[:=]"
_FALLBACK = r"\s{0,2}(?:\|\||\?\?|\?:|:-|or\b)|,\s{0,2}default\s?=|\s{0,2}\|\s?default\b"
_SIGN = r"\s{0,8}(?:=>|->|<-|[=!]={1,2}|:{1,3}=|[+?.|]{1,2}=|[:=,])"
_ELEMENT = r"</\w{1,8}>\s{0,20}<\w{1,8}>|(?:\s[^<>\n]{0,40})?>"
_AFTER = r"(?:[ \t]{0,2}[|>][+-]?\r?\n[ \t]{1,32}|[ \t]{0,8}(?:[(\[]?[ \t]{0,2}\\?\r?\n[ \t]{1,32}(?:- )?)?)"
_WRAP = r"(?:\[\]byte\(|(?:new )?[A-Za-z_][\w.:]{0,18}!?\(|[bBrRuUfFLN@$]{1,2}|[(\[])?"
_QUOTE = r"(?:\\{0,3}[\"'`]|\"\"\"|''')"
_CALL = rf"\(\s{{0,20}}(?:{_WRAP}{_QUOTE})"
_BLANK = r"[ \t]{1,8}"
_BODY = (
    rf"{_CLOSE}(?:(?:({_TYPE})|({_FALLBACK})|({_NAMED})|({_SIGN})|({_ELEMENT}))({_AFTER})(?:({_WRAP})({_QUOTE}))?"
    rf"|({_CALL})|({_BLANK})(?:({_WRAP})({_QUOTE}))?)"
)
_GROUP = re.compile(r"(\\.|\[(?:\\.|[^\]\\])*\])|\((?!\?)")
GAP = _TAIL + _GROUP.sub(lambda found: found[1] or "(?:", _BODY)
"""From behind a word of a name to the first byte of the value, without groups."""

_BLANKS = r"[\t\n\f\r ]*"
WIDE_GAP = (
    r"[\w.\x80-\xff-]*[\"'`\\\[\])}\d]*(?:"
    + "|".join(
        (
            rf"{_BLANKS}[!?+.|<:=,-]*[=:>,-]",
            rf"[:=,{{\t\n\f\r ]*[\\\"']*(?:[dD]efault)?[vV]alue[\\\"']*{_BLANKS}[:=]",
            rf"[?!: \t]+[\w.\[\]|<>,? &*]*{_BLANKS}=",
            rf"{_BLANKS}(?:\|\||\?\?|\?:|or\b|,{_BLANKS}default\s?=|\|\s?default\b)",
            rf"</\w*>{_BLANKS}<\w*>|(?:\s[^<>\x00-\x08\n]*)?>",
            rf"\({_BLANKS}|[ \t]+",
        )
    )
    + r")[ \t\r\n|>+\\(\[-]*(?:(?:new )?[A-Za-z_\[\]][\w.:\[\]]*!?\()?[\\\"'`@$bruflnBRUFLN(\[]*"
)
"""The same and more, in a quarter of the states: for a rule whose check reads the gap again with `bind`."""

_gap = LazyRegex(rf"\A(?s:{_BODY})")
_LONGEST_GAP = 256
_element = LazyRegex(r"\A(?:\s[^<>\n]{0,40})?>")
(_TYPE_AT, _FALLBACK_AT, _NAMED_AT, _SIGN_AT, _ELEMENT_AT, _AFTER_AT, _WRAP_AT, _QUOTE_AT, _CALL_AT, _BLANK_AT, _BLANK_WRAP_AT,
 _BLANK_QUOTE_AT) = range(1, 13)  # fmt: skip

_CONSTRUCTORS = re.compile(
    rb"(?i)(?:new\s)?(?:[\w.:]*\b)?(?:\[\]byte|string|str|text|bytes?|char|secretstr|secret|secretstring|securestring|string::from|from|some|field|quote"
    rb"|secretkeyspec|token|password|hex|decode|b64decode|literal|value|default|unsafe\w*|of|just|ok|env|getenv|get|config|setting|lit|raw)!?\(|[(\[]"
)
_NAME_BYTES = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.$-/" + bytes(range(0x80, 0x100))
_LONGEST_NAME_END = 64
_NAME_END = re.compile(rb"[\w.\x80-\xff-]+")
_LINE_LEAD = LazyRegex(
    r"""(?i)^[ \t]*(?:[-#*;>+|][ \t]*){0,2}(?:(?:export|set|setx|declare|local|readonly|typeset|env|arg|setenv)[ \t]+(?:-\w+[ \t]+)?)?$"""
)
_BLANK_LEAD = LazyRegex(
    r"(?i)(?:^|[ \t(])(?:env|arg|setx|setenv|set(?:[ \t]+-\w+)?|#[ \t]*define|setq|def|defvar|defparameter|export)[ \t]+$|[ \t\"'\[,]--?$|^--?$"
)
_COMMENT = LazyRegex(r"[ \t](?:#|//|--|;|/\*|<!--|\\$|&&|\|).*$|[ \t]+$")
_PAIR = LazyRegex(r"^(?:--?)?[\w.$-]{1,80}[ \t]{0,4}[:=][ \t]{0,4}$")
_LAST_PAIR = LazyRegex(r"^[^\s\v,;)\]}](?:.*(?:[ \t=,;?&]|\\u0026|\\n))?[\w.$-]{1,80}[ \t]{0,2}[:=][ \t]{0,2}$")
_QUERY = LazyRegex(r"(?:[?&;]|&amp;|\\u0026)[\w.%\[\]-]{1,80}=$")
_ESCAPED_BREAK = re.compile(rb"\\+[nr]")
_WORD_BEFORE = re.compile(rb"([A-Za-z]{2,20})[ \t]$")
_CUT = re.compile(rb"[&;,)\]]")
_ENDS = LazyRegex(
    r"""^(?:$|[ \t]*(?:\r?\n|$)|[ \t]+(?:#|//|--|\\|-|&&|\||>|;)|[&;]|,[ \t]*[\w"'.-]{1,40}[ \t]?[:=]|\\n|<|\})"""
)
_WORD = re.compile(rb"[^\s\"'`<>]+")
_LINE_WORD = re.compile(rb"[^\r\n]+")
_CDATA = b"<![CDATA["
_LONGEST_END = 40  # bytes behind a value in the same quotes


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a word of a name stands, and what is read around it.

    name   the whole name          left   its part before the word       lead   the line before the name
    rest   the text from the word on      size   bytes of the name there  whole  whether the text ends within `rest`
    """

    name: bytes
    left: bytes
    lead: bytes
    rest: bytes
    size: int
    whole: bool


def bind(subject: Subject, accepts: Callable[[bytes], bool]) -> Bound | None:
    """Return the name that holds the material, a word of it, and the value that is bound to it; None where there is none.

    `accepts` says of a name whether its value is wanted: most names are not.
    """
    left, end = name_around(subject.data, subject.start)
    if not accepts(left + end):
        return None
    place = _place_of(subject, left, end)
    behind = place.rest[place.size : place.size + _LONGEST_GAP]
    if place.lead.endswith(b"<"):
        element = _element.search(behind)
        return _markup(place, place.size + element[0][1], b">") if element else None
    gap = _gap.search(behind)
    return _read(place, gap) if gap else None


def name_around(text: Buffer, start: int) -> tuple[bytes, bytes]:
    """The parts of a name before and from the word on that begins at `start`; reads no more than `bind` does."""
    ahead = bytes(text[max(0, start - LONGEST_NAME) : start])
    left = ahead[len(ahead.rstrip(_NAME_BYTES)) :]
    if left and ahead[: len(ahead) - len(left)].endswith(b"\\"):
        left = left[1:]  # the letter of an escape such as `\n`
    found = _NAME_END.match(bytes(text[start : start + _LONGEST_NAME_END]))
    return left, found[0].rstrip(b"-.") if found else b""


def _place_of(subject: Subject, left: bytes, end: bytes) -> _Place:
    rest = subject.read(subject.start, subject.start + AHEAD)
    lead = subject.before(BACK)[: -len(left) or None]
    return _Place(left + end, left, lead[lead.rfind(b"\n") + 1 :], rest, len(end), len(rest) < AHEAD)


def _read(place: _Place, gap: list[tuple[int, int]]) -> Bound | None:
    """The value behind a gap, whose groups are those of `_GAP`."""
    at = place.size + gap[0][1]

    def group(index: int) -> bytes:
        start, end = gap[index]
        return place.rest[place.size + start : place.size + end] if start >= 0 else b""

    if call := group(_CALL_AT):
        return _string(place, at, call[_quote_start(call) :], b"(")
    if group(_BLANK_AT):
        return None if gap[_BLANK_AT][0] else _behind_blank(place, at, group(_BLANK_WRAP_AT), group(_BLANK_QUOTE_AT))
    if element := group(_ELEMENT_AT):
        return _markup(place, at, element[-1:])
    typed, named = group(_TYPE_AT), group(_NAMED_AT)
    sign = typed[-1:] or named[-1:] or (group(_FALLBACK_AT) or group(_SIGN_AT)).strip()
    after, quote = group(_AFTER_AT), group(_QUOTE_AT)
    if quote:
        wrap = group(_WRAP_AT)
        next_item = sign == b"," and b"\n" in after
        readable = not next_item and (not wrap.endswith(b"(") or _CONSTRUCTORS.fullmatch(wrap) is not None)
        return _string(place, at, quote, sign) if readable else None
    if typed and not typed[:-1].endswith((b" ", b"\t", b"\n")):
        # `a: bm9uZQ==`: the end of base64 and not a sign
        start = place.size + gap[_TYPE_AT][0] + typed.find(b":") + 1
        at, sign, after = start + len(place.rest[start:]) - len(place.rest[start:].lstrip(b" \t")), b":", b""
    if b"\n" in after or sign == b",":
        return _block(place, at, sign, after)
    return _bare_value(place, at, sign)


def _quote_start(text: bytes) -> int:
    """Where the quotes, with the backslashes before them, begin that `text` ends with."""
    return len(text.rstrip(b"\"'`").rstrip(b"\\"))


def _string(place: _Place, at: int, quote: bytes, sign: bytes) -> Bound | None:
    """The value that ends with the quotes that it begins with."""
    rest, end = place.rest, at
    while (end := rest.find(quote, end)) >= 0:
        before = rest[at:end]
        if quote.startswith(b"\\") or (len(before) - len(before.rstrip(b"\\"))) % 2 == 0:
            break
        end += 1
    value = rest[at : max(end, at)]
    if quote.startswith(b"\\"):
        value = value.rstrip(b"\\")
    if not value or b"\n" in value:
        return None
    return Bound(place.name, value, Syntax.STRING, at, at + len(value), sign)


def _markup(place: _Place, at: int, sign: bytes) -> Bound | None:
    if b"<" not in place.lead:
        return None
    text = place.rest[at:].lstrip(b" \t\r\n")
    opening, closing = (_CDATA, b"]]>") if text.startswith(_CDATA) else (b"", b"</")
    value, end, _ = text[len(opening) :].partition(closing)
    start = len(place.rest) - len(text) + len(opening)
    value = value.rstrip()
    if not end or not value or b"\n" in value or (not opening and b"<" in value):
        return None
    return Bound(place.name, value, Syntax.MARKUP, start, start + len(value), sign)


def _block(place: _Place, at: int, sign: bytes, after: bytes) -> Bound | None:
    """The only line of a block scalar, or the first item of a list."""
    listed = after.endswith(b"- ")
    found = _LINE_WORD.match(place.rest, at)
    if found is None or not (listed or after.lstrip(b" \t").startswith((b"|", b">"))):
        return None
    value = found[0].rstrip()
    following = place.rest[found.end() :].lstrip(b"\r\n")
    indent = len(after) - len(after.rstrip(b" \t"))
    goes_on = not listed and len(following) - len(following.lstrip(b" \t")) >= indent
    if b" " in value or goes_on:
        return None
    return Bound(place.name, value, Syntax.BLOCK, at, at + len(value), sign)


def _behind_blank(place: _Place, at: int, wrap: bytes, quote: bytes) -> Bound | None:
    """The value of a directive, an option or a definition."""
    if quote:
        return _string(place, at, quote, b" ") if not wrap.endswith(b"(") else None
    option = place.left.startswith(b"-")
    if not option and not _BLANK_LEAD.is_in(place.lead):
        return None
    found = _WORD.match(place.rest, at)
    if found is None or (option and found[0].startswith(b"-")):
        return None
    value = found[0].rstrip(b"\\,;")
    following = place.rest[found.end() : found.end() + 1]
    if following and following in b"\"'`<>" and (following in b"<>" or following not in place.lead):
        return None
    return Bound(place.name, value, Syntax.WORD, at, at + len(value), b" ")


def _bare_value(place: _Place, at: int, sign: bytes) -> Bound | None:
    found = _WORD.match(place.rest, at)
    run = found[0] if found else b""
    within = place.lead + place.left + place.rest[:at]
    if bound := _pair_in_quotes(place, within, at, run, sign):
        return bound
    if _LINE_LEAD.is_in(place.lead) and not place.left.startswith(b"-"):
        return _line(place, at, sign)
    name = place.name
    if before := _WORD_BEFORE.search(place.lead):
        name = before[1] + b"_" + name  # `next page token: v`
    value = _CUT.split(run, maxsplit=1)[0]
    value = value if b"{" in value else value.partition(b"}")[0]
    following = place.rest[at + len(value) : at + len(value) + 48]
    ends = _ENDS.is_in(following) or (sign == b"=" and following[:1] in b" \t")
    if not ends and not (sign in b":=" and re.match(rb"\)[\s;,)]", following)):
        return None
    value = _ESCAPED_BREAK.split(value, maxsplit=1)[0].rstrip(b"\\")
    if not value or at + len(value) >= AHEAD - 1:
        return None
    return Bound(name, value, Syntax.WORD, at, at + len(value), sign)


def _pair_in_quotes(place: _Place, within: bytes, at: int, run: bytes, sign: bytes) -> Bound | None:
    """The value that ends with the quotes that hold its name, too: `"NAME=value"`, `"https://host/?name=value"`.

    A pair that is alone in its quotes has all of `run`; among others it ends at a comma or a bracket. An escaped line break ends both.
    """
    value = _ESCAPED_BREAK.split(run, maxsplit=1)[0].rstrip(b"\\")
    quote = place.rest[at + len(run) : at + len(run) + 1]
    if quote and quote in b"\"'`":
        cut = _CUT.split(run, maxsplit=1)[0]
        inside = within[within.rfind(quote) + 1 :] if quote in within else b""
        alone = _PAIR.is_in(inside) or (run == cut and (_LAST_PAIR.is_in(inside) or _QUERY.is_in(within)))
        closed = alone and len(run) - len(value) <= _LONGEST_END
    else:
        closed = _ESCAPED_BREAK.search(run) is not None and (b'"' in within or b"'" in within)
    return Bound(place.name, value, Syntax.PAIR, at, at + len(value), sign) if closed and value else None


def _line(place: _Place, at: int, sign: bytes) -> Bound | None:
    """The value that ends with its line, or with a comment there."""
    found = _LINE_WORD.match(place.rest, at)
    if found is None or (found.end() >= len(place.rest) and not place.whole):
        return None
    text = found[0].rstrip()
    if comment := _COMMENT.search(text):
        text = text[: comment[0][0]].rstrip()
    if b" " in text or b"\t" in text:
        if sign != b"=" or place.rest[at - 1 : at] != b"=":
            return None
        text = text.split(None, 1)[0]  # an assignment before a command
    text = text.rstrip(b",;")
    if text.endswith(b")") and b"(" not in text:
        text = text.rstrip(b")")
    elif text[-1:] in b"\"'`" and text.count(text[-1:]) == 1:
        text = text[:-1]
    value = _ESCAPED_BREAK.split(text, maxsplit=1)[0].rstrip(b"\\")
    return Bound(place.name, value, Syntax.LINE, at, at + len(value), sign) if value else None
