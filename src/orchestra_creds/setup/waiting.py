"""Waits for what Google makes visible late, up to a limit, and tells the operator what it waits for."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from orchestra_creds.errors import CredsError, IncompleteError

STEP = 5.0
"""Seconds between two tries."""
LONGEST = 600.0
"""Seconds after which waiting ends. Google asks to wait "a few minutes" for an API that was just enabled, up to 10 minutes for a new log
metric, and 7 minutes or longer for IAM (cloud.google.com/iam/docs/access-change-propagation)."""
BRIEF = 30.0
"""Seconds that are waited for something that may never come, such as an account that the file names and nobody made."""
TELL_EVERY = 60.0
"""Seconds between two lines about the same wait."""

Sleep = Callable[[float], None]
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Waiter:
    """Repeats calls until they pass. `sleep` waits so many seconds, `announce` takes a line for the operator."""

    sleep: Sleep
    announce: Callable[[str], None] = lambda _line: None

    def wait_for(self, call: Callable[[], _T], limit: Callable[[CredsError], float]) -> _T:
        """Return what the call returns, once it no longer raises an error that may pass.

        `limit` returns for how many seconds in all an error is waited for, 0 for one that does not pass.

        Raises:
            IncompleteError: the call still raises after LONGEST seconds.
            CredsError: the call raised an error that does not pass, or not within its limit.
        """
        waited = 0.0
        while True:
            try:
                return call()
            except CredsError as error:
                longest = limit(error)
                if waited >= LONGEST <= longest:
                    raise IncompleteError(
                        f"waited {LONGEST / 60:.0f} minutes for Google, and still: {error}",
                        hint="run setup again: it goes on from here",
                    ) from error
                if waited >= longest:
                    raise
                if waited % TELL_EVERY == 0:
                    self.announce(f"waiting for Google, {longest - waited:.0f} s at most: {error}")
            self.sleep(STEP)
            waited += STEP
