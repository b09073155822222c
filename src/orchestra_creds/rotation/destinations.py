"""Copies of a credential beyond its secret: a file, a program, another secret; each adapter with its line in BUILDERS."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from orchestra_creds import outfile
from orchestra_creds.core.credential import Copy
from orchestra_creds.core.material import Material
from orchestra_creds.core.ports import Destination, SecretStore
from orchestra_creds.errors import ConfigError, NotFoundError, PreconditionError
from orchestra_creds.rotation import programs
from orchestra_creds.rotation.state import home_of
from orchestra_creds.rotation.versions import NumberedVersions

LARGEST_MODE = 0o777


@dataclass(frozen=True, slots=True)
class DestinationContext:
    """What a destination may need beside its options: the project's secrets, and how long a program may take."""

    secrets: SecretStore
    timeout: timedelta


def path_of(copy: Copy) -> str:
    """The path of a destination of kind `file`; a leading `~` is the home folder of whoever runs.

    Raises:
        ConfigError: there is no such home folder.
    """
    path = os.path.expanduser(str(copy.options["path"]))
    if path.startswith("~"):
        raise ConfigError(
            f"destination {copy.name}: there is no home folder for {path}", hint="give the whole path of the file"
        )
    return path


class FileCopy:
    """A file, replaced in one step."""

    def __init__(self, copy: Copy) -> None:
        self.name = copy.name
        self._path = path_of(copy)
        self._mode = _mode(str(copy.options.get("mode", "600")), copy.name)

    def check(self) -> None:
        """Refuse a path that cannot be written to."""
        outfile.check(self._path)

    def put(self, material: Material, *, identifier: str, version: int) -> None:  # noqa: ARG002  the file holds no number
        """Replace the file in one step."""
        outfile.write(self._path, material.reveal(), mode=self._mode)

    def holds(self, material: Material) -> bool:
        """Whether the file holds these bytes; what is no file holds none."""
        expected = material.reveal()
        try:
            if not os.path.isfile(self._path):
                return False
            with open(self._path, "rb") as file:
                return file.read(len(expected) + 1) == expected
        except OSError:
            return False


class ProgramCopy:
    """A program that takes the material on its standard input; it must accept the same again."""

    def __init__(self, copy: Copy, timeout: timedelta) -> None:
        self.name = copy.name
        argv = copy.options["argv"]
        self._argv = argv if isinstance(argv, tuple) else (str(argv),)
        self._timeout = timeout

    def check(self) -> None:
        """Refuse a program that cannot be run."""
        programs.check(self._argv, f"destination {self.name}")

    def put(self, material: Material, *, identifier: str, version: int) -> None:
        """Run the program with the material on its standard input."""
        variables = {"ORCHESTRA_CREDS_ID": identifier, "ORCHESTRA_CREDS_VERSION": str(version)}
        programs.run(
            self._argv, f"destination {self.name}", material=material, variables=variables, timeout=self._timeout
        )


class SecretCopy(NumberedVersions):
    """Another secret of the project; a version is added only when its newest does not hold the same bytes."""

    def __init__(self, copy: Copy, secrets: SecretStore) -> None:
        super().__init__(secrets)
        self.name = copy.name
        self._secret = str(copy.options["secret"])

    def check(self) -> None:
        """Refuse a secret that does not exist."""
        self._secrets.get_secret(self._secret)

    def put(self, material: Material, *, identifier: str, version: int) -> None:  # noqa: ARG002  the copy counts its own
        """Add a version, unless the newest holds the same bytes."""
        self.put_version(material, {})

    def put_version(self, material: Material, known: Mapping[str, int]) -> tuple[str, int]:
        """Add a version, unless the newest by number holds the same bytes: `latest` may be shown late."""
        home = home_of(self._secrets.get_secret(self._secret))
        top = self._top(self._secret, known.get(home, 0) or self._latest(self._secret))
        if top and self._readable_material(self._secret, top) == material:
            return home, top
        return home, self._secrets.add_version(self._secret, material).number

    def holds(self, material: Material) -> bool:
        """Whether its newest version holds these bytes; False also if it has none, or one that cannot be read."""
        try:
            return self._secrets.access(self._secret, "latest").material == material
        except (NotFoundError, PreconditionError):
            return False


def _mode(text: str, name: str) -> int:
    try:
        mode = int(text, 8)
    except ValueError:
        mode = -1
    if not 0 < mode <= LARGEST_MODE:
        raise ConfigError(f"destination {name}: {text!r} is no file mode", hint='write it in octal: mode = "640"')
    return mode


Builder = Callable[[Copy, DestinationContext], Destination]
BUILDERS: Mapping[str, Builder] = {
    "file": lambda copy, _: FileCopy(copy),
    "command": lambda copy, context: ProgramCopy(copy, context.timeout),
    "secret": lambda copy, context: SecretCopy(copy, context.secrets),
}
"""How the adapters of this file are built, by the kind that `config/credentials.py` declares."""
