"""Filters of Cloud Logging and Cloud Monitoring, as far as they are looked at: whether quotes and parentheses pair, and their parts.

Nothing is matched here, for there are no entries and no time series.
"""

import re

from orchestra_creds.emulator.protocol.errors import invalid_error

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|\(|\)|[^"()\s]+|\s+')
_OPERATORS = frozenset({"AND", "OR", "NOT"})
_RESTRICTION = re.compile(r'\b([a-z_.]+)\s*=\s*(?:starts_with|one_of)?\(?\s*"([^"]*)"')


def require_readable(text: str, field: str) -> None:
    """Refuse a filter whose quotes or parentheses do not pair, or that ends with an operator."""
    depth, position, last = 0, 0, ""
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise _refusal(field)
        position = match.end()
        word = match[0].strip()
        depth += (word == "(") - (word == ")")
        if depth < 0:
            raise _refusal(field)
        last = word or last
    if depth or last in _OPERATORS:
        raise _refusal(field)


def restrictions(text: str) -> dict[str, str]:
    """Return the fields that a monitoring filter compares with a text, such as the type of the metric, and the texts."""
    return {match[1]: match[2] for match in _RESTRICTION.finditer(text)}


def _refusal(field: str) -> Exception:
    return invalid_error(f"Unparseable filter: {field}.", field=field)
