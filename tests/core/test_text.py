"""Texts of the system, made fit to show."""

import errno
import os

from orchestra_creds.core.text import os_error_text


def test_the_reason_of_the_system_is_said_in_lower_case() -> None:
    assert (
        os_error_text(OSError(errno.ENOENT, os.strerror(errno.ENOENT), "/secret/path")) == "no such file or directory"
    )


def test_an_error_without_a_reason_is_called_by_its_class() -> None:
    assert os_error_text(TimeoutError()) == "timeouterror"
