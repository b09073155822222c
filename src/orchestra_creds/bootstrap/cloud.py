"""The stores of a cloud put together: over Google, or over the embedded one.

This is the door for Google's clients and grpc, which take a second to load. Every command names `Cloud`, also to show its help, so all
that a cloud needs is imported when one is opened or a store first used; `silence_libraries` must come before Google's clients.
"""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

from orchestra_creds import folders
from orchestra_creds.config import settings as configuration
from orchestra_creds.config.environments import choose_project, environment_of, is_guarded, secret_name
from orchestra_creds.emulator.default_project import DEFAULT_PROJECT
from orchestra_creds.errors import ConfigError
from orchestra_creds.parallel import CALLS_AT_ONCE

if TYPE_CHECKING:
    from orchestra_creds.config.settings import Settings
    from orchestra_creds.core.material import Material
    from orchestra_creds.core.ports import (
        ApiKeyStore,
        KeyStore,
        PolicyStore,
        ProjectInspector,
        SecretStore,
        TokenIssuer,
        UsageSource,
    )
    from orchestra_creds.emulator.server.control import InProcessEmulator
    from orchestra_creds.gcp.session import ApiSession

STRICT_VARIABLE = "ORCHESTRA_CREDS_EMULATOR_STRICT"
"""Environment variable that switches the strict mode of the embedded cloud on (1) or off (0)."""
_LOOPBACK = re.compile(r"(?:127\.0\.0\.1|localhost|\[::1\]):[0-9]{1,5}")


class Cloud:
    """The stores of one cloud, made when first used; close it, or use it in a `with` block.

    Whoever makes several calls that do not need one another makes `calls_at_once` of them at a time.
    """

    def __init__(
        self,
        session: "ApiSession",
        settings: "Settings",
        location: str,
        embedded: "InProcessEmulator | None",
        environment: str = "",
        calls_at_once: int = CALLS_AT_ONCE,
    ) -> None:
        self.session = session
        self.project = session.project
        self.settings = settings
        self.environment = environment
        self.calls_at_once = calls_at_once
        self._location = location
        self._embedded = embedded

    @cached_property
    def secrets(self) -> "SecretStore":
        """Secret Manager."""
        from orchestra_creds.gcp.secrets import SecretManagerStore

        return SecretManagerStore(self.session, location=self._location)

    @cached_property
    def keys(self) -> "KeyStore":
        """Service-account keys."""
        from orchestra_creds.gcp.keys import IamKeyStore

        return IamKeyStore(self.session)

    @cached_property
    def usage_sources(self) -> "tuple[UsageSource, ...]":
        """Records of the use of keys."""
        from orchestra_creds.gcp.key_usage import AnalyzerUsage, MonitoringUsage

        return (MonitoringUsage(self.session), AnalyzerUsage(self.session))

    @cached_property
    def api_keys(self) -> "ApiKeyStore":
        """API keys."""
        from orchestra_creds.gcp.api_keys import RestApiKeyStore

        return RestApiKeyStore(self.session)

    @cached_property
    def policies(self) -> "PolicyStore":
        """IAM policies."""
        from orchestra_creds.gcp.policies import RestPolicyStore

        return RestPolicyStore(self.session)

    @cached_property
    def tokens(self) -> "TokenIssuer":
        """Tokens for key files, and the operator's identity."""
        from orchestra_creds.gcp.tokens import KeyTokenIssuer

        return KeyTokenIssuer(self.session)

    @cached_property
    def inspector(self) -> "ProjectInspector":
        """Facts about the project."""
        from orchestra_creds.gcp.project import RestProjectInspector

        return RestProjectInspector(self.session)

    @property
    def description(self) -> str:
        """Which cloud this is, in words."""
        return (
            "Google Cloud" if self.session.endpoints is None else f"the embedded cloud at {self.session.endpoints.grpc}"
        )

    def full_name(self, name: str, environment: str) -> str:
        """The name of a secret in an environment, by the configured pattern.

        Raises:
            ConfigError: the configuration has environments, and this is none of them.
        """
        return secret_name(self.settings.document, name, environment)

    def is_guarded(self, environment: str) -> bool:
        """Whether a person who works on it is asked for more."""
        return is_guarded(self.settings.document, environment)

    def is_in_environment(self, name: str, environment: str) -> bool:
        """Whether a secret belongs to an environment, by its name."""
        return not environment or self.full_name(name, environment) == name

    def secret_resource(self, name: str) -> str:
        """The full resource name of a secret."""
        place = f"locations/{self._location}/" if self._location else ""
        return f"projects/{self.project}/{place}secrets/{name}"

    def close(self) -> None:
        """End the connections, and the embedded cloud if this process runs it."""
        self.session.close()
        if self._embedded is not None:
            self._embedded.stop()
            self._embedded = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


def open_cloud(
    *,
    backend: str = "",
    project: str = "",
    impersonate: str = "",
    reason: str = "",
    config: Path | None = None,
    location: str = "",
    environment: str = "",
    calls_at_once: int = CALLS_AT_ONCE,
    timeout: float | None = None,
    client: object = None,
    say: Callable[[str], None] = lambda _line: None,
) -> Cloud:
    """The cloud that the options, the variables and the settings choose; `environment` is one of the file, which may have a project.

    The embedded cloud is chosen by `local`, or by the variables of `emulator env`; Google by `gcp`, or by a project. A running
    daemon is used, with its permissions; else this process serves the same state for as long as the verb takes. `timeout` is the
    deadline of each call in seconds. `client` is a SecretManagerServiceClient that reads secrets instead of one made here.

    Raises:
        ConfigError: nothing chooses one, or the file has environments and `environment` is none of them.
    """
    choice = choose_cloud(backend, project, config=config, environment=environment, client=client)
    options = _CallOptions(impersonate, reason, say, timeout, client)
    silence_libraries()
    if choice.is_embedded:
        session, embedded = _open_embedded(choice, options)
    else:
        session, embedded = _open_google(choice.project, options), None
    return Cloud(session, choice.settings, location, embedded, choice.environment, calls_at_once)


@dataclass(frozen=True, slots=True)
class CloudChoice:
    """Which cloud, project and environment are meant; `endpoints` are those of an embedded cloud that the variables name."""

    settings: "Settings"
    project: str
    environment: str
    is_embedded: bool
    endpoints: tuple[str, str] | None


def choose_cloud(
    backend: str = "", project: str = "", *, config: Path | None = None, environment: str = "", client: object = None
) -> CloudChoice:
    """Return what `open_cloud` would open.

    Raises:
        ConfigError: as `open_cloud`.
    """
    settings = configuration.load(config)
    here = environment_of(settings.document, environment)
    endpoints = None if backend == "gcp" else endpoints_from_environment(os.environ)
    wanted = choose_project(settings.document, here, project, os.environ)
    is_embedded = client is None and (backend == "local" or endpoints is not None)
    if is_embedded:
        wanted = wanted or os.environ.get("CLOUDSDK_CORE_PROJECT", "") or DEFAULT_PROJECT
    if not wanted:
        raise ConfigError(
            "no project is named",
            hint="name one with --project, ORCHESTRA_CREDS_PROJECT or orchestra-creds.toml, or use the embedded cloud: --backend local",
        )
    return CloudChoice(settings, wanted, here, is_embedded, endpoints)


@dataclass(frozen=True, slots=True)
class _CallOptions:
    """How calls are made: the account to act as, the reason for the audit log, who is told about waits, deadline, and client."""

    impersonate: str
    reason: str
    announce: Callable[[str], None]
    timeout: float | None
    client: object


def _open_google(project: str, options: _CallOptions) -> "ApiSession":
    from orchestra_creds.gcp.rate_limit import Pace
    from orchestra_creds.gcp.session import ApiSession

    return ApiSession(
        project,
        impersonate=options.impersonate,
        reason=options.reason,
        announce=options.announce,
        pace=Pace(),
        deadline=options.timeout,
        client=options.client,
    )


def _open_embedded(choice: CloudChoice, options: _CallOptions) -> "tuple[ApiSession, InProcessEmulator | None]":
    """Return a session with the cloud at these endpoints, else with the running daemon, else with one that this process starts."""
    from orchestra_creds.emulator.server import control
    from orchestra_creds.gcp.session import ApiSession, Endpoints

    embedded, owner, endpoints = None, "", choice.endpoints
    if endpoints is None and (daemon := control.find_daemon(emulator_state())) is not None:
        endpoints = daemon.endpoints.grpc, daemon.endpoints.http
        owner = control.owner_token(emulator_state()) if daemon.auth else ""  # who has the state file is the owner
    if endpoints is None:
        embedded = control.start_in_process(emulator_state(), strict=strict_from_environment(os.environ))
        endpoints = embedded.endpoints.grpc, embedded.endpoints.http
    session = ApiSession(
        choice.project,
        endpoints=Endpoints(*endpoints),
        impersonate=options.impersonate,
        reason=options.reason,
        owner_token=owner,
        announce=options.announce,
        deadline=options.timeout,
    )
    return session, embedded


def key_credentials(key_file: "Material", scopes: tuple[str, ...]) -> object:
    """Credentials for Google's clients from a key file; its token endpoint is Google's, or that of the embedded cloud in use.

    Raises:
        ConfigError: it is no key file, or names a foreign endpoint.
    """
    from orchestra_creds.gcp import key_file as files

    ends = endpoints_from_environment(os.environ)
    return files.credentials(files.parse(key_file), ends[1] if ends else "").with_scopes(scopes)


def rotating_key_credentials(
    read: "Callable[[], Material]", replace: "Callable[[Material], Material | None]", scopes: Sequence[str]
) -> object:
    """Credentials for Google's clients that follow a rotation of their key: see RotatingKeyCredentials."""
    from orchestra_creds.gcp.rotating_key import RotatingKeyCredentials

    ends = endpoints_from_environment(os.environ)
    return RotatingKeyCredentials(read, replace, ends[1] if ends else "", scopes)


def silence_libraries() -> None:
    """Switch off the logging of requests and replies that the environment can switch on in gRPC and Google's clients.

    They write payloads as they are. It is read when they are imported, so this comes first.
    """
    for name in ("GRPC_TRACE", "GOOGLE_SDK_PYTHON_LOGGING_SCOPE"):
        os.environ.pop(name, None)
    os.environ["GRPC_VERBOSITY"] = "NONE"


def endpoints_from_environment(environment: Mapping[str, str]) -> tuple[str, str] | None:
    """The gRPC and HTTP endpoints that `emulator env` exported, or None.

    Raises:
        ConfigError: only one of the two is there, or one is not on this machine.
    """
    grpc, http = (
        environment.get("ORCHESTRA_CREDS_EMULATOR_GRPC", ""),
        environment.get("ORCHESTRA_CREDS_EMULATOR_HTTP", ""),
    )
    if not grpc and not http:
        return None
    if not _LOOPBACK.fullmatch(grpc) or not _LOOPBACK.fullmatch(http.removeprefix("http://").rstrip("/")):
        raise ConfigError(
            "ORCHESTRA_CREDS_EMULATOR_GRPC and ORCHESTRA_CREDS_EMULATOR_HTTP do not name the embedded cloud",
            hint='set both with: eval "$(orchestra-creds emulator env)", or unset both',
        )
    return grpc, http.rstrip("/")


def strict_from_environment(environment: Mapping[str, str]) -> bool | None:
    """Return whether the environment switches strict mode on or off; None where it does neither.

    Raises:
        ConfigError: the variable is neither 1 nor 0.
    """
    value = environment.get(STRICT_VARIABLE, "")
    if value not in {"", "0", "1"}:
        raise ConfigError(f"{STRICT_VARIABLE} is neither 1 nor 0", hint="1 switches strict mode on, 0 off")
    return value == "1" if value else None


def emulator_state() -> Path:
    """The state file of the embedded cloud, in a private folder."""
    return Path(folders.make_private_folder(folders.state_folder())) / "emulator.db"
