"""The steps that one evaluation of an expression may take, so that it ends soon whatever the expression."""

from collections.abc import Mapping
from typing import Any

from orchestra_creds.emulator.cel.values import CelError

Scope = Mapping[str, Any]

STEPS = 20_000
"""Steps of one evaluation: operations, calls (more for long texts), rounds of exists() and all()."""
_BUDGET = "steps left"
"""Name in the scope that no expression can name: the steps that are left, in a list of one."""
_TEXT_STEP = 256
"""Characters of text, or items of a list, that a call handles in one step."""


def limit_steps(scope: Scope) -> Scope:
    """Return the scope with a fresh budget of steps."""
    return {**scope, _BUDGET: [STEPS]}


def spend(scope: Scope, *values: Any) -> None:
    """Take a step from the budget, and more for long values; raises CelError when it is used up."""
    left = scope[_BUDGET]
    left[0] -= 1 + sum(len(value) // _TEXT_STEP for value in values if isinstance(value, str | list))
    if left[0] < 0:
        raise CelError("the evaluation takes too many steps")
