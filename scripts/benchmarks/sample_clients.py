"""A pytest plugin for samples of others: Google's own clients, unchanged, reach the embedded cloud instead of Google.

Only what lies below the clients is exchanged: the channel and the socket that a call to `*.googleapis.com` opens, the credentials that
`google.auth.default` finds, and the clock, which moves instead of letting a sample sleep. The environment names the cloud.
"""

import json
import os
import re
import socket
import time
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import google.auth
import grpc
import pytest
import requests
from google.api_core import grpc_helpers
from google.auth.credentials import AnonymousCredentials
from google.cloud.resourcemanager_v3 import ProjectsClient
from google.cloud.secretmanager_v1 import SecretManagerServiceClient

from orchestra_creds.emulator.server import control

GRPC, HTTP = os.environ["FIDELITY_GRPC"], os.environ["FIDELITY_HTTP"]
STATE, RESULTS = Path(os.environ["FIDELITY_STATE"]), Path(os.environ["FIDELITY_RESULTS"])
PROJECT = os.environ["GOOGLE_CLOUD_PROJECT"]
OVER_REST = os.environ.get("FIDELITY_TRANSPORT") == "rest"
LOOPBACK = {"127.0.0.1", "::1", "localhost"}


def find_credentials(*_arguments: Any, **_options: Any) -> tuple[AnonymousCredentials, str]:
    """What `google.auth.default` answers: the caller of an embedded cloud that asks for no identity."""
    return AnonymousCredentials(), PROJECT


def open_channel(_target: str, **_options: Any) -> grpc.Channel:
    """A channel to the embedded cloud, whatever service of Google was meant."""
    return grpc.insecure_channel(GRPC)


class LoopbackAdapter(requests.adapters.HTTPAdapter):
    """Sends what is meant for a service of Google to the embedded cloud."""

    def send(self, request: requests.PreparedRequest, *rest: Any, **options: Any) -> requests.Response:
        """Send it to the same path on the loopback."""
        asked = urlsplit(str(request.url))
        request.url = f"{HTTP}{asked.path}{'?' + asked.query if asked.query else ''}"
        return super().send(request, *rest, **options)


def pass_time(seconds: float) -> None:
    """Move the clock of the embedded cloud instead of sleeping."""
    control.advance_clock(STATE, timedelta(seconds=seconds))


def prefer_rest(client: Any) -> None:
    """Let a client take its REST transport unless told; the embedded cloud serves Resource Manager over REST only."""
    known = type(client)._transport_registry  # noqa: SLF001  # the client offers no other way to choose for its maker
    transports = {"rest": known.pop("rest"), **known}
    known.clear()
    known.update(transports)  # a client takes the first


def guard_look_ups() -> None:
    """Refuse every name that is not of this machine."""
    look_up = socket.getaddrinfo

    def look_up_here(host: Any, *rest: Any, **options: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if name not in LOOPBACK:
            raise OSError(f"the sample asks for {name}, which is not the embedded cloud")
        return look_up(host, *rest, **options)

    socket.getaddrinfo = look_up_here


def reach_embedded_cloud() -> None:
    """Put everything in place; the configuration of the samples' tests asks for credentials when it is imported."""
    google.auth.default = find_credentials
    grpc_helpers.create_channel = open_channel
    mount = requests.Session.__init__

    def mount_loopback(session: requests.Session) -> None:
        mount(session)
        session.mount("https://", LoopbackAdapter())

    requests.Session.__init__ = mount_loopback  # type: ignore[method-assign]
    time.sleep = pass_time
    guard_look_ups()
    for client in (ProjectsClient, *([SecretManagerServiceClient] if OVER_REST else [])):
        prefer_rest(client)


reach_embedded_cloud()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Write a line for each part of a sample: its name, how it ended, and why."""
    with RESULTS.open("a") as file:
        json.dump(
            {"name": report.nodeid, "when": report.when, "outcome": report.outcome, "reason": reason_of(report)}, file
        )
        file.write("\n")


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """A file that cannot be read is a failure, too."""
    if report.failed:
        with RESULTS.open("a") as file:
            json.dump(
                {"name": report.nodeid, "when": "collect", "outcome": "failed", "reason": reason_of(report)}, file
            )
            file.write("\n")


def reason_of(report: Any) -> str:
    """The last words of an error, on one line."""
    said = report.longrepr
    if said is None or report.outcome == "passed":
        return ""
    if isinstance(said, tuple):
        return str(said[2])
    lines = [line[1:].strip() for line in str(said).splitlines() if line.startswith("E ")]
    errors = [line for line in lines if re.match(r"[A-Za-z_.]+(?:: |$)", line)] or lines
    return re.sub(r"\s+", " ", errors[-1] if errors else str(said).splitlines()[-1])[:160]
