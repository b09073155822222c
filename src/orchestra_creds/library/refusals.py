"""Whether an exception means that a value was refused, so that a newer one is worth a try."""

from collections.abc import Callable

Refused = type[Exception] | tuple[type[Exception], ...] | Callable[[Exception], bool]
"""One or more classes of exceptions, or a function that tells of one."""


def is_refusal(error: Exception, refused: Refused) -> bool:
    """Return whether the exception is one of these classes, or the function says so."""
    if isinstance(refused, type | tuple):
        return isinstance(error, refused)
    return refused(error)


def is_password_refused(error: Exception) -> bool:
    """Return whether a failed connection of psycopg got as far as giving a password.

    libpq has no SQLSTATE for a connection that was not made; it tells whether the server asked for a password
    (postgresql.org/docs/current/libpq-status.html, PQconnectionUsedPassword). False also for a server that does not answer.
    """
    connection = getattr(error, "pgconn", None)
    return connection is not None and bool(connection.used_password) and not connection.needs_password
