"""Service-account keys as they are kept: public halves only, found by account and key id.

The one private half in the store is that of each account's system-managed key, which signs on the account's behalf; it
is sealed like a payload and never answered. A key belongs to the account's unique id, so a new account under an old
mail address starts without keys.
"""

import json
import secrets
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from orchestra_creds.emulator.iam import key_events
from orchestra_creds.emulator.protocol import faults
from orchestra_creds.emulator.store.store import ResourceRow, Txn

KEY = "key"
NEVER = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
"""The end of a key that has none."""
BITS = 2048

_USED = "key_used"
_PRIVATE = "private:"


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """One key: its certificate (PEM) and its state. Times are Unix seconds.

    `reason` and `status` (pairs of what and where) are only shown over REST, as at Google.
    """

    id: str
    certificate: str
    after: float
    before: float
    system: bool = False
    uploaded: bool = False
    disabled: bool = False
    reason: str = ""
    status: tuple[tuple[str, str], ...] = ()

    @property
    def public(self) -> rsa.RSAPublicKey:
        """The public key."""
        key = x509.load_pem_x509_certificate(self.certificate.encode()).public_key()
        assert isinstance(key, rsa.RSAPublicKey)  # noqa: S101  # only RSA is ever stored
        return key

    def lives(self, now: datetime) -> bool:
        """Whether the key may authenticate at this time."""
        return not self.disabled and self.after <= now.timestamp() < self.before


def new_private_key() -> rsa.RSAPrivateKey:
    """A fresh RSA key pair."""
    return rsa.generate_private_key(public_exponent=65537, key_size=BITS)


def self_signed_certificate(key: rsa.RSAPrivateKey, subject: str, start: datetime, end: datetime) -> x509.Certificate:
    """The X.509 certificate in which Google publishes a public key; the subject has at most 64 characters (RFC 5280)."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), start, end)
    return builder.sign(key, hashes.SHA256())


def pem(certificate: x509.Certificate) -> str:
    """The certificate as text."""
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def new_id() -> str:
    """A key id as Google makes them: 40 hexadecimal digits."""
    return secrets.token_hex(20)


def save(txn: Txn, account: Any, record: KeyRecord) -> None:
    """Store a key, new or changed."""
    txn.put(KEY, _name(account, record.id), json.dumps(asdict(record)).encode(), parent=account.unique_id)


def find(txn: Txn, account: Any, key_id: str, *, late: bool = True) -> KeyRecord | None:
    """The key, or None; `late` as a reader sees it who is behind by the IAM lag."""
    lag = faults.lag(txn, faults.Lag.IAM) if late else 0.0
    body = txn.get(KEY, _name(account, key_id), lag=lag)
    return None if body is None else _record_from_json(body)


def every(txn: Txn, account: Any, *, late: bool = True) -> list[KeyRecord]:
    """All keys of an account, oldest first, the system-managed one included."""
    if txn.unseal(_PRIVATE + account.unique_id) is None:
        _make_system_key(txn, account)
    rows: list[ResourceRow] = txn.children(KEY, account.unique_id)[::-1]
    current = [_record_from_json(row.body) for row in rows]
    found = [key if key.system else find(txn, account, key.id, late=late) for key in current]
    return [key for key in found if key is not None]


def remove(txn: Txn, account: Any, key_id: str) -> None:
    """Forget a key for ever."""
    txn.delete(KEY, _name(account, key_id))
    txn.delete(_USED, _name(account, key_id))


def system_key(txn: Txn, account: Any) -> tuple[str, rsa.RSAPrivateKey]:
    """The id and the key pair with which Google signs on the account's behalf; made at first need."""
    sealed = txn.unseal(_PRIVATE + account.unique_id) or _make_system_key(txn, account)
    key_id, _, data = sealed.partition(b"\n")
    private = serialization.load_pem_private_key(data, None)
    assert isinstance(private, rsa.RSAPrivateKey)  # noqa: S101  # written below
    return key_id.decode(), private


def _make_system_key(txn: Txn, account: Any) -> bytes:
    private = new_private_key()
    end = txn.now + timedelta(days=730)
    certificate = pem(self_signed_certificate(private, account.unique_id, txn.now, end))
    record = KeyRecord(new_id(), certificate, float(int(txn.now.timestamp())), end.timestamp(), system=True)
    save(txn, account, record)
    data = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    sealed = record.id.encode() + b"\n" + data
    txn.seal(_PRIVATE + account.unique_id, sealed)
    return sealed


def usable_key(txn: Txn, account: Any, key_id: str) -> KeyRecord | None:
    """The key if it may authenticate now, as the token endpoint sees it."""
    record = find(txn, account, key_id)
    return record if record is not None and record.lives(txn.now) else None


def note_use(txn: Txn, account: Any, key_id: str) -> None:
    """Remember that the key authenticated just now, and count it."""
    key_events.note(txn, account, key_id)
    txn.put(_USED, _name(account, key_id), txn.now.isoformat().encode())


def last_use(txn: Txn, account: Any, key_id: str) -> datetime | None:
    """When the key authenticated last, or None."""
    body = txn.get(_USED, _name(account, key_id))
    return None if body is None else datetime.fromisoformat(body.decode())


def replace_fields(record: KeyRecord, **fields: Any) -> KeyRecord:
    """The record with other fields."""
    return replace(record, **fields)


def _name(account: Any, key_id: str) -> str:
    return f"{account.unique_id}/{key_id}"


def _record_from_json(body: bytes) -> KeyRecord:
    fields = json.loads(body)
    return KeyRecord(**{**fields, "status": tuple((what, where) for what, where in fields["status"])})
