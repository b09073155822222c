"""The words a service module uses to say what it serves: plain data, no server, no store.

A module lists its RPCs as `Method`s and its REST-only calls as `Route`s in one `Service`. A handler is a function
`(request, caller, txn) -> response` that is handed a transaction which is rolled back when it raises; it never
commits, sleeps, checks permissions or writes the audit log itself (server/dispatch.py does).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.message import Message

from orchestra_creds.emulator.protocol.errors import Code
from orchestra_creds.emulator.store.store import Txn

OWNER = "user:owner@local.invalid"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: an IAM member such as `serviceAccount:rotator@p.iam.gserviceaccount.com`.

    `owner` callers may do everything (local mode). `through` holds the members that impersonated the principal,
    outermost first. `also` holds other members that name the caller, such as the sets of a federated identity.
    """

    principal: str = OWNER
    owner: bool = False
    through: tuple[str, ...] = ()
    also: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PermissionNeed:
    """One permission on one resource (full resource name without a host, for example `projects/p/secrets/s`)."""

    permission: str
    resource: str


@dataclass(frozen=True, slots=True)
class RestCall:
    """A REST-only request: what the path template caught, the query, the decoded body and the bare headers."""

    path: Mapping[str, str]
    query: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    form: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RestReply:
    """A reply with its own status, for endpoints that do not answer errors in Google's shape (OAuth).

    `body` is encoded as JSON unless it is bytes already; `code` is what the audit log keeps.
    """

    status: int
    body: Any
    content_type: str = "application/json; charset=UTF-8"
    code: Code = Code.OK


class _Callable:
    """What an RPC and a REST-only call share: the permissions they need and the quota they draw from."""

    __slots__ = ()
    permission: str
    resource: Callable[[Any], str]
    mutates: bool
    needs: Callable[[Any], tuple[PermissionNeed, ...]] | None
    kind: str

    def needs_of(self, request: Any) -> tuple[PermissionNeed, ...]:
        """Return what the caller must hold for this request."""
        if self.needs is not None:
            return self.needs(request)
        return (PermissionNeed(self.permission, self.resource(request)),) if self.permission else ()

    @property
    def bucket(self) -> str:
        """Return the quota bucket: named, or by whether the call changes anything."""
        return self.kind or ("write" if self.mutates else "read")


@dataclass(frozen=True, slots=True)
class Method(_Callable):
    """One RPC: its handler, the permission it needs on `resource(request)`, and whether it changes anything.

    `needs` replaces permission and resource where one pair is not enough. `permission=""` means: anyone who is
    authenticated. `kind` names the quota bucket that the call draws from (`access`, `read`, `write`). `inward` rewrites
    a request before the permission is checked.
    """

    handle: Callable[[Any, Caller, Txn], Message]
    permission: str
    resource: Callable[[Any], str]
    mutates: bool = False
    needs: Callable[[Any], tuple[PermissionNeed, ...]] | None = None
    kind: str = ""
    inward: Callable[[Any, Txn], Any] = lambda request, _txn: request


@dataclass(frozen=True, slots=True)
class Route(_Callable):
    """One REST-only call. `name` is what the audit log and the faults call it, in the style of an RPC's full name.

    `template` is a path with `{var}` (one segment) or `{var=projects/*/things/*}`, and optionally `:verb`.
    `public` routes (token endpoints, certificates) are served without identifying the caller.
    """

    http: str
    template: str
    name: str
    handle: Callable[[RestCall, Caller, Txn], "dict[str, Any] | RestReply"]
    permission: str = ""
    resource: Callable[[RestCall], str] = lambda _call: ""
    mutates: bool = False
    needs: Callable[[RestCall], tuple[PermissionNeed, ...]] | None = None
    public: bool = False
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Service:
    """What one module serves.

    `methods` is keyed by the RPC's full name without a leading slash, `package.Service/Method`. `timers` is keyed
    by the kind given to `Txn.schedule`: the function is called with the name once the clock has passed the due time,
    in the first transaction of any caller after that.
    """

    methods: Mapping[str, Method] = field(default_factory=dict)
    routes: tuple[Route, ...] = ()
    timers: Mapping[str, Callable[[str, Txn], None]] = field(default_factory=dict)
