"""How much work the examination of one text may take, counted in places and not in time.

A place is one start of a match of a rule's exact pattern. Real text has at most eight in a KiB, hostile text has thousands.
"""

PER_KIB = 64
"""Places per KiB of a text that are examined."""

LEAST = 16 << 10
"""Bytes: a shorter text has the budget of one with so many."""


class ExaminationBudget:
    """The places of one text, with all that is decoded from it, that may still be examined."""

    __slots__ = ("_spent", "is_exceeded", "left", "total")

    def __init__(self, size: int) -> None:
        """`size` is that of the text in bytes."""
        self.total = self.left = max(size, LEAST) * PER_KIB >> 10
        self.is_exceeded = False
        self._spent: dict[str, int] = {}

    def take(self, rule: str) -> bool:
        """Take one place of a rule from the budget; False when nothing is left."""
        if not self.left:
            self.is_exceeded = True
            return False
        self.left -= 1
        self._spent[rule] = self._spent.get(rule, 0) + 1
        return True

    @property
    def reason(self) -> str:
        """The reason to name the text as not examined whole, with the rule that took most; "" when it was."""
        if not self.is_exceeded:
            return ""
        most = max(self._spent, key=lambda rule: (self._spent[rule], rule))
        return f"more than {PER_KIB} places per KiB to examine, most of them for rule {most}: the rest was not examined"
