"""Trouble on demand: errors before and after the work, latency, late consistency, and quotas.

All of it is data in the store, so one process arms a fault and another, already running, meets it. Calls are
counted per rule from the moment it is armed; a rule that has fired as often as asked is spent and removed.
"""

import dataclasses
import enum
import fnmatch
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from google.rpc import error_details_pb2

from orchestra_creds.emulator.protocol import strict
from orchestra_creds.emulator.protocol.errors import Code, EmuError
from orchestra_creds.emulator.store.store import Txn
from orchestra_creds.errors import ConfigError

LONGEST_DELAY = timedelta(seconds=30)
"""A real delay is cut here, so that a forgotten rule cannot hang a test run."""

_QUOTA_WINDOW_SECONDS = 60


class FaultPhase(enum.StrEnum):
    """When the error comes: the work not begun, or the work done and the reply lost."""

    BEFORE = "before"
    AFTER = "after"


class Lag(enum.StrEnum):
    """What may be seen late; the value of each is a number of seconds, 0 unless set or given by strict mode."""

    LATEST = "latest"  # the version that `latest` means
    ALIAS = "alias"  # aliases after UpdateSecret
    STATE = "state"  # the state of a version after enable, disable, destroy
    LIST = "list"  # new versions and secrets in lists
    IAM = "iam"  # new keys, key states and policies
    API = "api"  # that an API was enabled or disabled
    OPERATION = "operation"  # that a long-running operation is done
    METRIC = "metric"  # new log metrics, for alerts
    USAGE = "usage"  # authentications of keys, in Cloud Monitoring


STRICT_LAGS: Mapping[Lag, float] = {Lag.API: 5.0, Lag.OPERATION: 2.0, Lag.METRIC: 10.0, Lag.USAGE: 10_800.0}
"""Seconds in strict mode unless set otherwise; Google takes up to minutes, and for the use of keys up to three hours."""
_EVERY_LAG = "all"


@dataclass(frozen=True, slots=True)
class Fault:
    """One rule. `method` is a shell pattern over full RPC and route names (`*/AddSecretVersion`).

    It fires on the `first` matching call after arming and on `times` calls in all (0: until removed). `code` may be
    OK for a rule that only delays; `delay` passes in real time, or on the emulator's clock with `on_clock`.
    """

    method: str
    code: Code = Code.UNAVAILABLE
    phase: FaultPhase = FaultPhase.BEFORE
    first: int = 1
    times: int = 1
    message: str = ""
    delay: timedelta = timedelta(0)
    on_clock: bool = False
    seen: int = 0


@dataclass(frozen=True, slots=True)
class FaultDecision:
    """What the faults decided for one call."""

    before: EmuError | None = None
    after: EmuError | None = None
    delay: timedelta = timedelta(0)


NO_FAULT = FaultDecision()


@dataclass(frozen=True, slots=True)
class FaultSettings:
    """What is in force: rules in the order in which they were armed, lags in seconds, and calls a minute by bucket."""

    faults: list[Fault]
    lags: dict[Lag, float]
    quotas: dict[str, int]


def code_by_name(name: str) -> Code:
    """The status called `name` (google.rpc.Code).

    Raises:
        ConfigError: there is none.
    """
    try:
        return Code[name.upper()]
    except KeyError:
        raise ConfigError(
            f"there is no status {name!r}", hint=f"one of {', '.join(code.name for code in Code)}"
        ) from None


def lags_by_name(name: str) -> tuple[Lag, ...]:
    """The thing called `name` that may be seen late, or everything for `all`.

    Raises:
        ConfigError: there is none.
    """
    try:
        return tuple(Lag) if name == _EVERY_LAG else (Lag(name),)
    except ValueError:
        raise ConfigError(f"{name!r} cannot be seen late", hint=f"one of {', '.join(Lag)}, {_EVERY_LAG}") from None


def change(
    txn: Txn,
    *,
    clear_first: bool = False,
    fault: Fault | None = None,
    late: Iterable[tuple[Lag, timedelta]] = (),
    limits: Iterable[tuple[str, int | None]] = (),
) -> FaultSettings:
    """Arm a rule, set lags and quotas, all others cleared first if wanted; return what is in force then."""
    if clear_first:
        clear(txn)
    if fault is not None:
        arm(txn, fault)
    for which, span in late:
        set_lag(txn, which, span.total_seconds())
    for bucket, per_minute in limits:
        set_quota(txn, bucket, per_minute)
    return FaultSettings(active_faults(txn), lags(txn), quotas(txn))


def arm(txn: Txn, fault: Fault) -> None:
    """Add a rule."""
    if fault.first < 1 or fault.times < 0 or fault.delay < timedelta(0):
        raise ConfigError("a fault needs first >= 1, times >= 0 and a delay that is not negative")
    txn.set_setting("faults", [*txn.setting("faults", []), _fault_to_json(fault)])


def active_faults(txn: Txn) -> list[Fault]:
    """The rules that are not spent, in the order in which they were armed."""
    return [_fault_from_json(rule) for rule in txn.setting("faults", [])]


def clear(txn: Txn) -> None:
    """Remove every rule, lag and quota; the lags of strict mode come back."""
    for key in ("faults", "quota", "quota_used", *(f"lag:{lag}" for lag in Lag)):
        txn.set_setting(key, None)


def set_lag(txn: Txn, lag: Lag, seconds: float) -> None:
    """Let something be seen late by so many seconds of the emulator's clock."""
    if seconds < 0:
        raise ConfigError("a lag is not negative")
    txn.set_setting(f"lag:{lag}", seconds)


def lag(txn: Txn, which: Lag) -> float:
    """How many seconds late `which` is seen."""
    seconds = txn.setting(f"lag:{which}", None)
    if seconds is None:
        seconds = STRICT_LAGS[which] if which in STRICT_LAGS and strict.is_strict(txn) else 0.0
    return float(seconds)


def lags(txn: Txn) -> dict[Lag, float]:
    """Every lag that is in force, in seconds."""
    return {which: seconds for which in Lag if (seconds := lag(txn, which))}


def set_quota(txn: Txn, bucket: str, per_minute: int | None) -> None:
    """Allow so many calls a minute from a bucket; None: no limit.

    A bucket is a kind of call (`access`, `read`, `write`, or a method's own) of all services together, or of one:
    `google.iam.admin.v1.IAM:write`.
    """
    quotas = {**txn.setting("quota", {}), bucket: per_minute}
    txn.set_setting("quota", {name: limit for name, limit in quotas.items() if limit is not None} or None)


def quotas(txn: Txn) -> dict[str, int]:
    """The calls a minute that each limited bucket allows."""
    return dict(txn.setting("quota", {}))


def take(txn: Txn, method: str) -> FaultDecision:
    """Count this call against every matching rule and say what happens to it."""
    rules = active_faults(txn)
    if not rules:
        return NO_FAULT
    before = after = None
    delay = timedelta(0)
    left = []
    for rule in rules:
        if not fnmatch.fnmatchcase(method, rule.method):
            left.append(rule)
            continue
        counted = dataclasses.replace(rule, seen=rule.seen + 1)
        fires = counted.seen >= rule.first
        if not (rule.times and counted.seen >= rule.first + rule.times - 1):
            left.append(counted)
        if not fires:
            continue
        if rule.on_clock:
            txn.set_setting("clock_offset", txn.setting("clock_offset", 0.0) + rule.delay.total_seconds())
            txn.now += rule.delay
        else:
            delay = min(delay + rule.delay, LONGEST_DELAY)
        if rule.code is not Code.OK:
            error = EmuError(rule.code, rule.message or f"Injected fault ({rule.phase} the work).")
            if rule.phase is FaultPhase.BEFORE:
                before = before or error
            else:
                after = after or error
    txn.set_setting("faults", [_fault_to_json(rule) for rule in left] or None)
    return FaultDecision(before, after, delay)


def draw(txn: Txn, method: str, kind: str) -> None:
    """Take one call from its quota buckets; RESOURCE_EXHAUSTED when this minute's are used up."""
    limits = quotas(txn)
    for bucket in (kind, f"{method.partition('/')[0]}:{kind}"):
        if bucket in limits:
            _draw(txn, bucket, limits[bucket])


def _draw(txn: Txn, bucket: str, limit: int) -> None:
    window = int(txn.now.timestamp() // _QUOTA_WINDOW_SECONDS)
    used = txn.setting("quota_used", {})
    since, count = used.get(bucket, (window, 0))
    count = count + 1 if since == window else 1
    if count > limit:
        message = f"Quota exceeded for quota metric '{bucket}' and limit '{bucket} requests per minute'."
        info = error_details_pb2.ErrorInfo(
            reason="RATE_LIMIT_EXCEEDED", domain="googleapis.com", metadata={"quota_limit_value": str(limit)}
        )
        raise EmuError(Code.RESOURCE_EXHAUSTED, message, info)
    txn.set_setting("quota_used", {**used, bucket: (window, count)})


def _fault_to_json(fault: Fault) -> dict[str, Any]:
    return {**dataclasses.asdict(fault), "code": fault.code.name, "delay": fault.delay.total_seconds()}


def _fault_from_json(rule: dict[str, Any]) -> Fault:
    return Fault(
        **{
            **rule,
            "code": Code[rule["code"]],
            "phase": FaultPhase(rule["phase"]),
            "delay": timedelta(seconds=rule["delay"]),
        }
    )
