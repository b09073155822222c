"""Who a credential is, without saying what it is: keyed hashes and masks.

A credential's identity is an HMAC over rule and material; the fingerprint of a finding adds the path, so neither moves
when lines move. Without the key nobody can test guesses against a baseline or a report. One key belongs to one
repository: 64 hex digits in a file of mode 0600 in the user's state folder, or in ORCHESTRA_CREDS_FINGERPRINT_KEY
where no state outlives the run. A key has a public name (`id`), which a baseline records; reading a baseline with
another key is an error, never a silent mismatch. See docs/adr/0006-keyed-fingerprints.md.
"""

import hashlib
import hmac
import os
import re
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from orchestra_creds.core.material import HIDDEN, Material
from orchestra_creds.core.record import dataclass
from orchestra_creds.core.text import os_error_text
from orchestra_creds.errors import ConfigError
from orchestra_creds.scanner.rule import Rule

VARIABLE = "ORCHESTRA_CREDS_FINGERPRINT_KEY"
KEY_BYTES = 32
_KEY_TEXT = rb"(?i)[0-9a-f]{64}\s*"


@dataclass(frozen=True, slots=True)
class FingerprintKey:
    """The key of one repository's fingerprints. `temporary`: it could not be kept and ends with this process."""

    secret: Material
    temporary: bool = False

    @property
    def id(self) -> str:
        """The public name of the key: 16 hex digits that tell keys apart and reveal nothing about them."""
        return self.secret.fingerprint(b"orchestra-creds fingerprint key id")[:16]

    def credential(self, rule: str, material: Material) -> str:
        """The identity of a credential: 32 hex digits over rule id and material, the same wherever it stands."""
        return material.fingerprint(self.secret.reveal(), context=f"credential\0{rule}")

    def fingerprint(self, credential: str, path: str) -> str:
        """The identity of a finding: 32 hex digits over the credential and the path, in bytes as the path is stored."""
        text = b"finding\0" + credential.encode() + b"\0" + path.encode("utf-8", "surrogateescape")
        return hmac.new(self.secret.reveal(), text, hashlib.sha256).hexdigest()[:32]


def new_key(*, temporary: bool = False) -> FingerprintKey:
    """A fresh random key."""
    return FingerprintKey(Material(os.urandom(KEY_BYTES)), temporary)


def mask(rule: Rule, material: Material) -> str:
    """What a report shows of a credential: the public start of its format, and never its length or a character more."""
    public = rule.prefix
    return f"{public}{HIDDEN}" if public and material.reveal().startswith(public.encode()) else HIDDEN


def parse_key(text: bytes, origin: str) -> FingerprintKey:
    """The key written as 64 hex digits; `origin` names where it came from in the error, which never quotes it.

    Raises:
        ConfigError: it is anything else.
    """
    if not re.fullmatch(_KEY_TEXT, text):
        raise ConfigError(
            f"{origin} does not hold a fingerprint key",
            hint="a key is 64 hex digits: make one with `openssl rand -hex 32`",
        )
    return FingerprintKey(Material(bytes.fromhex(text.decode("ascii"))))


def key_text(key: FingerprintKey) -> Material:
    """The key as 64 hex digits, to hand over to a CI secret or a colleague."""
    return Material(key.secret.reveal().hex().encode())


def load_key(folder: Path, repository: Path, *, wanted: str = "", environment: Mapping[str, str]) -> FingerprintKey:
    """The key of a repository: from the environment, else from `folder`, where a missing one is made.

    A repository is known by the key that its baseline names (`wanted`), else by its place on this machine (`repository`:
    git's common folder, so that all worktrees share it, or the scanned folder). A key named by a baseline becomes the
    key of that place, so a repository may be moved or cloned again; no key is ever deleted. Where nothing can be stored,
    a scan without a baseline goes on with a temporary key.

    Raises:
        ConfigError: the key is malformed, readable by others, or not the one that the baseline was made with.
    """
    if text := environment.get(VARIABLE):
        key = parse_key(text.encode("utf-8", "surrogateescape"), VARIABLE)
        if wanted and key.id != wanted:
            raise ConfigError(
                f"the baseline was made with fingerprint key {wanted}, but {VARIABLE} holds key {key.id}",
                hint="set the key of this repository, or leave the baseline out with --no-baseline",
            )
        return key
    place = place_file(folder, repository)
    id_ = wanted or _key_id(place)
    if not id_:
        return _create(folder, place)
    file = folder / f"{id_}.key"
    if not file.exists():
        raise ConfigError(
            f"fingerprint key {id_}, with which the baseline was made, is not on this machine"
            if wanted
            else f"the fingerprint key {file} is gone",
            hint=f"get it from who made the baseline and take it over with `scan baseline key --install FILE` or "
            f"{VARIABLE}; or leave the baseline out with --no-baseline",
        )
    key = _read_key(file)
    if key.id != id_:
        raise ConfigError(f"{file} holds another key than its name says", hint="restore it, or remove it")
    if wanted and _key_id(place) != wanted:
        with suppress(OSError):  # a folder that cannot be written costs the memory of this place, nothing else
            _write_aside(place, f"{wanted}\n".encode()).replace(place)
    return key


def place_file(folder: Path, repository: Path) -> Path:
    """The file that names the key of a repository; its own name is a hash of the repository's place on this machine."""
    return folder / f"{hashlib.sha256(os.fsencode(repository.resolve())).hexdigest()[:16]}.place"


def install_key(folder: Path, repository: Path, key: FingerprintKey) -> None:
    """Keep `key` as the key of a repository; the one that it had stays in the folder, for baselines that name it."""
    _store(folder, key)
    place = place_file(folder, repository)
    _write_aside(place, f"{key.id}\n".encode()).replace(place)


def _key_id(place: Path) -> str:
    """The public name of the key of a place; "" when it has none yet."""
    try:
        text = place.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""
    if not re.fullmatch(r"[0-9a-f]{16}", text):
        raise ConfigError(f"{place} does not name a fingerprint key", hint="remove the file")
    return text


def _read_key(file: Path) -> FingerprintKey:
    try:
        status = file.stat()
        text = file.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"cannot read the fingerprint key {file}: {os_error_text(error)}",
            hint=f"make the file readable for you alone, or set {VARIABLE}",
        ) from None
    if os.name == "posix" and (stat.S_IMODE(status.st_mode) & 0o077 or status.st_uid != os.getuid()):
        raise ConfigError(
            f"the fingerprint key {file} is not yours alone", hint=f"own the file, and run `chmod 600 {file}`"
        )
    return parse_key(text, str(file))


def _create(folder: Path, place: Path) -> FingerprintKey:
    """Make and keep a key. Of several processes that try at once one wins, and all use its key."""
    key = new_key()
    try:
        file = _store(folder, key)
        aside = _write_aside(place, f"{key.id}\n".encode())
        try:
            os.link(aside, place)  # unlike a rename, refuses when the file has come into being meanwhile
        except FileExistsError:
            file.unlink()
            return _read_key(folder / f"{_key_id(place)}.key")
        finally:
            aside.unlink()
    except OSError:
        return new_key(temporary=True)
    return key


def _store(folder: Path, key: FingerprintKey) -> Path:
    file = folder / f"{key.id}.key"
    _write_aside(file, key_text(key).reveal() + b"\n").replace(file)
    return file


def _write_aside(file: Path, content: bytes) -> Path:
    """A new private file beside `file`, to be moved there in one step."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    aside = file.with_name(f".{file.name}.{os.urandom(8).hex()}")
    with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    return aside
