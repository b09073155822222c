"""Copies of a credential beyond its secret: a file, a program, another secret. See Destination."""

import os
from datetime import timedelta

from orchestra_creds import outfile
from orchestra_creds.core.credential import Copy
from orchestra_creds.core.material import Material
from orchestra_creds.core.ports import SecretStore
from orchestra_creds.errors import ConfigError, NotFoundError, PreconditionError
from orchestra_creds.rotation import programs

LARGEST_MODE = 0o777


class FileCopy:
    """A file, replaced in one step."""

    def __init__(self, copy: Copy) -> None:
        self.name = copy.name
        self._path = os.path.expanduser(str(copy.options["path"]))
        self._mode = _mode(str(copy.options.get("mode", "600")), copy.name)

    def check(self) -> None:
        """See Destination."""
        outfile.check(self._path)

    def put(self, material: Material, *, identifier: str, version: int) -> None:  # noqa: ARG002  the file holds no number
        """See Destination."""
        outfile.write(self._path, material.reveal(), mode=self._mode)


class ProgramCopy:
    """A program that takes the material on its standard input; it must accept the same again."""

    def __init__(self, copy: Copy, timeout: timedelta) -> None:
        self.name = copy.name
        argv = copy.options["argv"]
        self._argv = argv if isinstance(argv, tuple) else (str(argv),)
        self._timeout = timeout

    def check(self) -> None:
        """See Destination."""
        programs.check(self._argv, f"destination {self.name}")

    def put(self, material: Material, *, identifier: str, version: int) -> None:
        """See Destination."""
        told = {"ORCHESTRA_CREDS_ID": identifier, "ORCHESTRA_CREDS_VERSION": str(version)}
        programs.run(self._argv, f"destination {self.name}", material=material, told=told, timeout=self._timeout)


class SecretCopy:
    """Another secret of the project; a version is added only when its newest does not hold the same bytes."""

    def __init__(self, copy: Copy, secrets: SecretStore) -> None:
        self.name = copy.name
        self._secret = str(copy.options["secret"])
        self._secrets = secrets

    def check(self) -> None:
        """See Destination."""
        self._secrets.get_secret(self._secret)

    def put(self, material: Material, *, identifier: str, version: int) -> None:  # noqa: ARG002  the copy counts its own
        """See Destination."""
        try:
            if self._secrets.access(self._secret, "latest").material == material:
                return
        except (NotFoundError, PreconditionError):
            pass  # it has none, or the newest cannot be read
        self._secrets.add_version(self._secret, material)


def _mode(text: str, name: str) -> int:
    try:
        mode = int(text, 8)
    except ValueError:
        mode = -1
    if not 0 < mode <= LARGEST_MODE:
        raise ConfigError(f"destination {name}: {text!r} is no file mode", hint='write it in octal: mode = "640"')
    return mode
