"""The course of one call, whatever protocol brought it.

In one exclusive transaction: faults, due timers, who calls, is the API on, may they, quota, the work, the audit entry. The work is
undone when it raises; the audit entry stands either way. An error *after* the work is raised once the work is
durable: that is a lost reply.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message

from orchestra_creds.emulator.protocol import faults
from orchestra_creds.emulator.protocol.errors import Code, EmuError, unimplemented_error
from orchestra_creds.emulator.protocol.routes import rpcs
from orchestra_creds.emulator.protocol.service import (
    Caller,
    Method,
    PermissionNeed,
    RestCall,
    RestReply,
    Route,
    Service,
)
from orchestra_creds.emulator.service_usage import disabled_apis
from orchestra_creds.emulator.store.store import AuditEntry, Store, Txn

Identify = Callable[[Mapping[str, str], Txn], Caller]
"""From the request's headers (lower-case names) to the caller; raises UNAUTHENTICATED."""
Authorize = Callable[[Caller, Sequence[PermissionNeed], Txn], None]
"""Returns when the caller holds every need; raises PERMISSION_DENIED."""

LONGEST_RESOURCE = 1024
"""Characters of a resource's name, and of a reason, that the audit log keeps."""

ANONYMOUS = Caller(principal="anonymous")


def identify_owner(_headers: Mapping[str, str], _txn: Txn) -> Caller:
    """The local mode's identity."""
    return Caller(owner=True)


def allow_all(_caller: Caller, _needs: Sequence[PermissionNeed], _txn: Txn) -> None:
    """The local mode's permissions."""


@dataclass(frozen=True, slots=True)
class _ServiceCall:
    name: str
    what: Method | Route
    request: Any
    headers: Mapping[str, str]


class Emulator:
    """Services over one store; safe to call from any thread."""

    def __init__(
        self,
        store: Store,
        services: Iterable[Service],
        *,
        identify: Identify = identify_owner,
        authorize: Authorize = allow_all,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.store = store
        self.methods: dict[str, Method] = {}
        self.routes: list[Route] = []
        self._timers: dict[str, Callable[[str, Txn], None]] = {}
        for service in services:
            self.methods |= service.methods
            self.routes += service.routes
            self._timers |= service.timers
        self._identify = identify
        self._authorize = authorize
        self._sleep = sleep

    def rpc(self, name: str, request: Message, headers: Mapping[str, str]) -> Message:
        """Answer an RPC by its full name `package.Service/Method`; raises EmuError."""
        method = self.methods.get(name)
        if method is None:
            if name in rpcs():
                self._refuse(name)
            raise unimplemented_error(name)
        reply: Message = self._serve(_ServiceCall(name, method, request, headers))
        return reply

    def rest(self, route: Route, call: RestCall) -> dict[str, Any] | RestReply:
        """Answer a REST-only call; raises EmuError."""
        reply: dict[str, Any] | RestReply = self._serve(_ServiceCall(route.name, route, call, call.headers))
        return reply

    def _serve(self, call: _ServiceCall) -> Any:
        with self.store.transaction() as txn:
            fault = faults.take(txn, call.name)
            if not fault.delay:
                reply = self._attempt(txn, call, fault.before)
        if fault.delay:
            self._sleep(fault.delay.total_seconds())
            with self.store.transaction() as txn:
                reply = self._attempt(txn, call, fault.before)
        if isinstance(reply, EmuError):
            raise reply
        if fault.after is not None:
            raise fault.after
        return reply

    def _attempt(self, txn: Txn, call: _ServiceCall, fault: EmuError | None) -> Any:
        """The reply, or the EmuError as a value, so that the transaction commits its audit entry."""
        name, what, request, headers = call.name, call.what, call.request, call.headers
        if isinstance(what, Method):
            request = what.inward(request, txn)
        caller = ANONYMOUS
        reply: Any
        try:
            if fault is not None:
                raise fault
            for kind, due in txn.take_due():
                self._timers[kind](due, txn)
            public = isinstance(what, Route) and what.public
            if not public:
                caller = self._identify(headers, txn)
            disabled_apis.require_enabled(txn, name, what.resource(request))
            if not public:
                self._authorize(caller, what.needs_of(request), txn)
            faults.draw(txn, name, what.bucket)
            with txn.undoable():
                reply = what.handle(request, caller, txn)
        except EmuError as error:
            reply = error
        status = reply.code if isinstance(reply, EmuError | RestReply) else Code.OK
        resource = what.resource(request)[:LONGEST_RESOURCE]
        reason = headers.get("x-goog-request-reason", "")[:LONGEST_RESOURCE]
        txn.record(AuditEntry(txn.now, name, resource, caller.principal, status.name, what.mutates, reason))
        return reply

    def _refuse(self, name: str) -> None:
        with self.store.transaction() as txn:
            txn.record(AuditEntry(txn.now, name, "", ANONYMOUS.principal, Code.UNIMPLEMENTED.name, mutating=False))
