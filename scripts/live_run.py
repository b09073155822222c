"""Play `setup`, `setup --check` and `rotate --all` in a throw-away project, remove what they made, and compare with the embedded cloud.

Every call is recorded as its step, method, status and the names of the fields of its reply; values are never kept. The same is played on
the embedded cloud, and the differences are printed and written to a JSON file. The project must hold no secret. Application Default
Credentials must be its owner's. APIs that the run enables stay enabled.
"""

import argparse
import contextlib
import json
import os
import re
import secrets
import sys
import tempfile
import urllib.parse
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import requests
from google.api_core import exceptions
from google.protobuf import json_format
from typer.testing import CliRunner

import orchestra_creds
from orchestra_creds.bootstrap.cloud import Cloud, open_cloud
from orchestra_creds.bootstrap.setup import project_ports
from orchestra_creds.cli.app import app
from orchestra_creds.core.cloud_types import IamPolicy
from orchestra_creds.core.resources import ResourceKind
from orchestra_creds.errors import ApiDisabledError, CredsError
from orchestra_creds.gcp.alerts import Alerts, Channels
from orchestra_creds.gcp.session import ApiSession

PLAY = (
    ("setup", ("setup", "--yes", "--allow-widening")),
    ("setup --check", ("setup", "--check")),
    ("rotate", ("rotate", "--all")),
)
CLEAN_UP = "clean up"
REMOVALS = {
    ResourceKind.ALERT: ("monitoring", "v3/{name}"),
    ResourceKind.CHANNEL: ("monitoring", "v3/{name}"),
    ResourceKind.METRIC: ("logging", "v2/projects/{project}/metrics/{name}"),
    ResourceKind.BUCKET: ("storage", "storage/v1/b/{name}"),
    ResourceKind.POOL: ("iam", "v1/projects/{project}/locations/global/workloadIdentityPools/{name}"),
    ResourceKind.SECRET: ("secretmanager", "v1/projects/{project}/secrets/{name}"),
    ResourceKind.ACCOUNT: ("iam", "v1/projects/{project}/serviceAccounts/{name}"),
    ResourceKind.ROLE: ("iam", "v1/projects/{project}/roles/{name}"),
}
"""How each kind is removed, in this order; a provider goes with its pool."""
UNMARKED = frozenset({ResourceKind.ALERT, ResourceKind.CHANNEL, ResourceKind.METRIC})
"""Kinds whose names do not hold the name of the run."""
NOT_ON_GITHUB = 9_007_199_254_740_990
"""The owner and the repository of the federation: a number that GitHub has given to nobody."""
FILE = """
schema = 1
[project]
id = "{project}"
[environments.live]
[service_accounts.{name}]
description = "made by scripts/live"
custom_roles = ["{name}"]
[custom_roles.{name}]
permissions = ["secretmanager.secrets.list"]
[secrets.{name}]
environments = ["live"]
consumers = ["{name}"]
accessors = "exact"
[github]
owner = "orchestra-creds-live"
owner_id = {number}
[[github.repositories]]
name = "live"
id = {number}
[[github.federation]]
env = "live"
pool = "{name}"
repositories = ["live"]
impersonates = ["{name}"]
[audit.data_access]
"secretmanager.googleapis.com" = ["DATA_READ"]
[state]
bucket = "{project}-{name}"
location = "us-central1"
[alerts]
channels = ["email:live@example.com"]
[credentials.{name}-key]
kind = "service-account-key"
account = "{name}@{project}.iam.gserviceaccount.com"
every = "30d"
settle = "0s"
[credentials.{name}-value]
kind = "generated"
every = "30d"
"""

_API_PATH = re.compile(r"/(?:storage/)?v\d\w*")
"""Paths of APIs; others are requests for tokens, which depend on who runs this."""
_FIELD = re.compile(r"[a-z][A-Za-z0-9]*")
"""A field's name; other keys are those of maps, such as labels."""


@dataclass(frozen=True, slots=True, order=True)
class RecordedCall:
    """One call: step, method, status, and the names of the reply's fields."""

    step: str
    method: str
    status: str
    fields: tuple[str, ...]


def field_names(document: object, prefix: str = "") -> Iterator[str]:
    """Yield the names of all fields of a JSON document, as `keys[].name`; keys of maps are `*`."""
    if isinstance(document, dict):
        for key, value in document.items():
            name = f"{prefix}.{key if _FIELD.fullmatch(key) else '*'}".removeprefix(".")
            yield name
            yield from field_names(value, name)
    elif isinstance(document, list):
        for value in document:
            yield from field_names(value, f"{prefix}[]")


def method_of(verb: str, path: str) -> str:
    """The method of a REST call: the path with `*` for every id, which follow the names of their collections."""
    version = _API_PATH.match(path)
    base = "" if version is None else version[0]
    name, colon, custom = path.removeprefix(base).partition(":")
    parts = [part if number % 2 == 1 else "*" for number, part in enumerate(name.split("/")) if number]
    return f"{verb} {base.removeprefix('/')}/{'/'.join(parts)}{colon}{custom}"


class CallRecorder:
    """Keeps what every call of the product answers while `recording` is open."""

    def __init__(self) -> None:
        self.calls: list[RecordedCall] = []
        self.step = ""

    def keep(self, method: str, status: str, document: object) -> None:
        """Keep one call; of its reply only the names of fields."""
        self.calls.append(RecordedCall(self.step, method, status, tuple(sorted(set(field_names(document))))))

    @contextlib.contextmanager
    def recording(self) -> Iterator[None]:
        """Record until the block ends."""
        send, call = requests.Session.send, ApiSession.call

        def recorded_send(
            session: requests.Session, request: requests.PreparedRequest, **options: Any
        ) -> requests.Response:
            reply = send(session, request, **options)
            path = urllib.parse.urlsplit(str(request.url)).path
            if _API_PATH.match(path):
                self.keep(method_of(str(request.method), path), str(reply.status_code), _json_of(reply))
            return reply

        def recorded_call(session: ApiSession, doing: str, method: Any, request: object, **options: Any) -> Any:
            return call(session, doing, _RecordedMethod(self, method), request, **options)

        with (
            mock.patch.object(requests.Session, "send", recorded_send),
            mock.patch.object(ApiSession, "call", recorded_call),
        ):
            yield


class _RecordedMethod:
    """A method of a gRPC client that is recorded when it is called."""

    def __init__(self, recorder: CallRecorder, method: Any) -> None:
        self._recorder, self._method = recorder, method
        self.__name__, self.__self__ = method.__name__, method.__self__

    def __call__(self, **options: Any) -> Any:
        name = f"{type(self.__self__).__name__}.{self.__name__}"
        try:
            reply = self._method(**options)
        except exceptions.GoogleAPICallError as error:
            self._recorder.keep(name, error.grpc_status_code.name if error.grpc_status_code else "UNKNOWN", {})
            raise
        message = getattr(reply, "_response", reply)  # the first page of a list
        message = getattr(message, "_pb", message)
        self._recorder.keep(name, "OK", {} if message is None else json_format.MessageToDict(message))
        return reply


def _json_of(reply: requests.Response) -> object:
    try:
        return reply.json() if reply.content else {}
    except ValueError:
        return {}


@dataclass(frozen=True, slots=True)
class Target:
    """Where a play takes place: `backend` gcp or local, the project, and a folder for the file and all local state."""

    backend: str
    project: str
    folder: Path

    @property
    def file(self) -> Path:
        """The `orchestra-creds.toml` of the play."""
        return self.folder / "orchestra-creds.toml"

    def variables(self) -> dict[str, str]:
        """The environment of the play."""
        return {
            "ORCHESTRA_CREDS_BACKEND": self.backend,
            "ORCHESTRA_CREDS_PROJECT": self.project,
            "ORCHESTRA_CREDS_STATE_DIR": str(self.folder / "state"),
            "ORCHESTRA_CREDS_CACHE_DIR": str(self.folder / "cache"),
        }

    @contextlib.contextmanager
    def open(self) -> Iterator[Cloud]:
        """The cloud of the target."""
        with open_cloud(backend=self.backend, project=self.project, config=self.file) as cloud:
            yield cloud


def play(target: Target, name: str, announce: Callable[[str], None]) -> tuple[list[RecordedCall], list[str]]:
    """Play everything; return the calls, and what went wrong. What was made is removed even after an error."""
    recorder, problems = CallRecorder(), list[str]()
    target.file.write_text(FILE.format(project=target.project, name=name, number=NOT_ON_GITHUB), encoding="utf-8")
    with mock.patch.dict(os.environ, target.variables()):
        with target.open() as cloud:
            before, policy = list_names(cloud), cloud.policies.get_policy(f"projects/{target.project}")
            audit = project_ports(cloud).itself.audit()
        if before.get(ResourceKind.SECRET):
            return [], ["the project holds secrets: take an empty one, nothing was done"]
        try:
            with recorder.recording():
                for step, arguments in PLAY:
                    recorder.step = step
                    announce(f"{target.backend}: {step}")
                    ended = CliRunner().invoke(app, [*arguments, "--config", str(target.file)])
                    if ended.exit_code != 0:
                        problems.append(f"{step} ended with {ended.exit_code}: {ended.stderr.strip()}")
        finally:
            recorder.step = CLEAN_UP
            announce(f"{target.backend}: {CLEAN_UP}")
            with target.open() as cloud, recorder.recording():
                problems += remove_new(cloud, before, name)
                problems += restore_project(cloud, policy, audit)
    return recorder.calls, problems


def list_names(cloud: Cloud) -> dict[ResourceKind, set[str]]:
    """The names of what is there, by kind; a kind whose API is off is left out."""
    stores = project_ports(cloud).stores
    found: dict[ResourceKind, set[str]] = {}
    for kind in REMOVALS:
        try:
            if kind in {ResourceKind.ALERT, ResourceKind.CHANNEL}:
                store = Alerts(cloud.session) if kind is ResourceKind.ALERT else Channels(cloud.session)
                found[kind] = {str(item["name"]) for item in store.items()}
            else:
                found[kind] = {one.ref.name for one in stores[kind].every() if not one.deleted}
        except ApiDisabledError:
            continue
    return found


def remove_new(cloud: Cloud, before: Mapping[ResourceKind, set[str]], mark: str) -> list[str]:
    """Remove what was not there before and bears the mark of this run in its name; return what could not be removed.

    Alerts and what they need bear no mark: they stay where their API was off before, for then nobody knows which are new.
    """
    problems = []
    for kind, names in list_names(cloud).items():
        service, path = REMOVALS[kind]
        new = names - before.get(kind, set())
        if kind not in UNMARKED:
            new = {name for name in new if mark in name}
        elif new and kind not in before:
            problems.append(f"{len(new)} of kind {kind} may be older than this run and stay")
            continue
        for name in sorted(new):
            try:
                cloud.session.rest(
                    f"remove {kind} {name}", "DELETE", service, path.format(project=cloud.project, name=name)
                )
            except CredsError as error:
                problems.append(str(error))
    return problems


def restore_project(cloud: Cloud, policy: IamPolicy, audit: Mapping[str, frozenset[str]]) -> list[str]:
    """Give the project the bindings and the audit configuration that it had; return what could not be restored."""
    name = f"projects/{cloud.project}"
    try:
        cloud.policies.set_policy(name, IamPolicy(policy.bindings, cloud.policies.get_policy(name).etag))
        project_ports(cloud).itself.set_audit(audit)
    except CredsError as error:
        return [str(error)]
    return []


def compare(there: Sequence[RecordedCall], here: Sequence[RecordedCall]) -> list[str]:
    """Name what differs between the project and the embedded cloud: methods, statuses, fields. How often is no difference."""
    left, right = _collect(there), _collect(here)
    lines = []
    for key in sorted(left.keys() | right.keys()):
        title = f"{key[0]}: {key[1]} {key[2]}"
        if key not in left or key not in right:
            lines.append(f"{title}: only {'in the project' if key in left else 'on the embedded cloud'}")
            continue
        for where, fields in (
            ("in the project", left[key] - right[key]),
            ("on the embedded cloud", right[key] - left[key]),
        ):
            lines += [f"{title}: field {field} only {where}" for field in sorted(fields)]
    return lines


def _collect(calls: Sequence[RecordedCall]) -> dict[tuple[str, str, str], set[str]]:
    """The fields that any call of a step, method and status has answered."""
    found: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    for call in calls:
        found[call.step, call.method, call.status] |= set(call.fields)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0 when all went well and nothing differs, 1 when something differs, 2 when nothing was done."""
    parser = argparse.ArgumentParser(
        prog="scripts/live", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("project", help="a project of which nothing is needed any more after the run")
    parser.add_argument("--yes", action="store_true", help="change the project without asking")
    parser.add_argument("--local", action="store_true", help="try this script: an embedded cloud is the project")
    parser.add_argument("--output", type=Path, default=Path("live.json"), help="the recording (default: live.json)")
    options = parser.parse_args(arguments)
    if not options.yes and input(f"Change and clean up {options.project}? Type its id: ").strip() != options.project:
        return 2
    name = f"live{secrets.token_hex(4)}"
    plays = {"project": "local" if options.local else "gcp", "emulator": "local"}
    calls: dict[str, list[RecordedCall]] = {}
    problems: list[str] = []
    for place, backend in plays.items():
        with tempfile.TemporaryDirectory() as folder:
            target = Target(backend, options.project, Path(folder))
            calls[place], wrong = play(target, name, lambda line: print(line, file=sys.stderr))
        problems += [f"{place}: {one}" for one in wrong]
        if not calls[place]:
            break
    print(*problems, sep="\n", file=sys.stderr, end="\n" if problems else "")
    if len(calls) < len(plays) or not all(calls.values()):
        return 2
    differences = compare(calls["project"], calls["emulator"])
    report = {
        "schema": "orchestra-creds/live/1",
        "version": orchestra_creds.__version__,
        "problems": len(problems),
        "differences": differences,
        "calls": {place: [asdict(call) for call in found] for place, found in calls.items()},
    }
    options.output.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(*differences, f"{len(differences)} differences; recorded in {options.output}", sep="\n")
    return 1 if differences or problems else 0


if __name__ == "__main__":
    sys.exit(main())
