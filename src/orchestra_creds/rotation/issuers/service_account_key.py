"""Keys of a Google service account, uploaded or created.

Uploaded (the default where the organization allows it): the pair is made here, its private half is stored, and only then the public
half is made valid, so that no crash leaves a key that nobody holds. Created: Google makes the pair and shows the private half once.
A key that was uploaded before a lost reply is found again by its public half, which is why the certificate is staged with the key.

An organization policy that cannot be read is unknown and stops nothing: the key is uploaded, and created if the policy forbids that.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from orchestra_creds.core.accounts import account_project
from orchestra_creds.core.cloud_types import Key, KeyOrigin
from orchestra_creds.core.credential import Credential, Strategy
from orchestra_creds.core.durations import duration_text
from orchestra_creds.core.google import ACCOUNT_DOMAIN, KEYS_OF_ACCOUNT
from orchestra_creds.core.key_usage import KeyUsage
from orchestra_creds.core.material import Material
from orchestra_creds.core.policy import SHORTEST_EVERY, SHORTEST_GRACE
from orchestra_creds.core.ports import KeyStore, ProjectInspector, TokenIssuer
from orchestra_creds.errors import ConstraintError, CredentialRefusedError, CredsError, NotFoundError, PreconditionError
from orchestra_creds.rotation.issuer import IssuedCredential, is_refused
from orchestra_creds.rotation.key_usage import UsageReader
from orchestra_creds.rotation.staged import changed_error

NO_UPLOAD = ("iam.disableServiceAccountKeyUpload", "iam.managed.disableServiceAccountKeyUpload")
NO_CREATION = ("iam.disableServiceAccountKeyCreation", "iam.managed.disableServiceAccountKeyCreation")
"""Organization policies that forbid the one or the other (docs.cloud.google.com/organization-policy/restrict-service-accounts)."""
KEY_EXPIRY = "iam.serviceAccountKeyExpiryHours"
"""Organization policy that gives a key which Google makes a lifetime such as `720h`; an uploaded one ends with its certificate."""
_RESERVED = 1
"""Places for a key that stay free for the successor of one that leaked."""
BACKDATED = timedelta(minutes=5)
"""How far the certificate begins in the past, for clocks that lag behind."""
SLACK = timedelta(days=30)
_BITS, _EXPONENT = 2048, 65537


class ServiceAccountKeys:
    """Local and remote kind. `token_uri` goes into key files; `now` is aware UTC; `new_pair` draws a key pair (RSA, 2048 bits)."""

    needs_settle_time = True

    def __init__(
        self,
        credential: Credential,
        keys: KeyStore,
        tokens: TokenIssuer,
        inspector: ProjectInspector,
        usage: UsageReader,
        *,
        token_uri: str,
        now: Callable[[], datetime],
        new_pair: Callable[[], rsa.RSAPrivateKey] | None = None,
    ) -> None:
        self._credential = credential
        self._account = credential.account
        self._project = account_project(credential.account, "")
        self._keys = keys
        self._tokens = tokens
        self._inspector = inspector
        self._usage = usage
        self._token_uri = token_uri
        self._now = now
        self._new_pair = new_pair or _new_pair
        self._known_uploads: bool | None = None

    def accepts_material(self) -> bool:
        """Return whether keys are uploaded; the organization's policy decides unless the operator chose."""
        return self._uploads

    @property
    def _uploads(self) -> bool:
        if self._known_uploads is None:  # without a lock: `cached_property` of Python 3.11 has one for all credentials
            self._known_uploads = self._choose_upload()
        return self._known_uploads

    def _choose_upload(self) -> bool:
        if self._credential.strategy is not Strategy.AUTO:
            return self._credential.strategy is Strategy.UPLOAD
        return not any(self._is_enforced(name) for name in NO_UPLOAD)

    def _is_enforced(self, constraint: str) -> bool:
        """Return whether a policy is known to be in force in the account's own project, which may be another than that of the secret.

        The issuer itself refuses what a policy forbids that cannot be read.
        """
        try:
            return self._inspector.is_constraint_enforced(constraint, project=self._project)
        except CredsError:
            return False

    def check(self, *, emergency: bool = False) -> None:
        """Refuse an account that may have no new key by policy, or that has no room for one."""
        forbidden = NO_UPLOAD if self._uploads else NO_CREATION
        for constraint in forbidden:
            if self._is_enforced(constraint):
                where = f" of project {self._project}" if self._project else ""
                raise PreconditionError(
                    f"organization policy {constraint}{where} forbids a new key for {self._account}",
                    hint="allow keys for that project, or let its users go without keys (workload identity federation)",
                )
        if not self._uploads:
            self._check_lifetime()
        mine = [key for key in self._keys.list_keys(self._account) if key.origin is KeyOrigin.USER]
        if len(mine) >= KEYS_OF_ACCOUNT - (0 if emergency else _RESERVED):
            raise PreconditionError(
                f"{self._account} has {len(mine)} keys and there is no room for another: {', '.join(k.id for k in mine)}",
                hint=f"see `orchestra-creds key list {self._account}`; delete those that nobody uses; none was touched",
            )

    def _check_lifetime(self) -> None:
        """Refuse a lifetime by organization policy in which a predecessor would still be in its grace when its successor is due."""
        policy, lifetime = self._credential.policy, self._lifetime()
        if lifetime is not None and policy.room_in(lifetime) < max(SHORTEST_EVERY, policy.grace):
            raise PreconditionError(
                f"organization policy {KEY_EXPIRY} ends keys of {self._account} after {duration_text(lifetime)}: "
                f"too early for the grace of {duration_text(policy.grace)}",
                hint=f"declare a shorter grace for {self._credential.name}, at least {duration_text(SHORTEST_GRACE)}, "
                "or let the policy allow longer",
            )

    def _lifetime(self) -> timedelta | None:
        """The lifetime that the organization gives to a new key; None without one, and if it cannot be read."""
        try:
            values = self._inspector.allowed_values(KEY_EXPIRY, project=self._project)
        except CredsError:
            return None
        hours = [int(value.removesuffix("h")) for value in values if value.removesuffix("h").isdecimal()]
        return timedelta(hours=min(hours)) if hours else None

    def list_credentials(self) -> Sequence[IssuedCredential]:
        """Return the account's keys, without those that Google manages itself."""
        keys = self._keys.list_keys(self._account)
        return [_issued_credential(key) for key in keys if key.origin is KeyOrigin.USER]

    def make(self, current: str, token: str) -> Material:
        """Return a private key and its certificate, which carries nothing of the operator."""
        private = self._new_pair()
        policy, begins = self._credential.policy, self._now() - BACKDATED
        ends = begins + 2 * policy.every + policy.grace + policy.soak + SLACK  # a back-stop; rotation comes long before
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "orchestra-creds")])
        certificate = (
            x509.CertificateBuilder(name, name)
            .public_key(private.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begins)
            .not_valid_after(ends)
            .sign(private, hashes.SHA256())
        )
        pem = serialization.Encoding.PEM
        text = private.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        body = {
            "private_key": text.decode(),
            "certificate": certificate.public_bytes(pem).decode(),
            "token_uri": self._token_uri,
        }
        return Material(json.dumps(body).encode())

    def fingerprint(self, made: Material) -> str:
        """Return 32 hex digits of the SHA-256 of the public half."""
        return _digest(_public(_certificate(made)))

    def activate(self, made: Material, token: str) -> str:
        """Upload the certificate, unless a key with its public half exists, and return the key's id."""
        certificate = _certificate(made)
        there = self._find_uploaded_key(certificate)
        if there is not None:
            return there
        try:
            return self._keys.upload_key(self._account, _body(made)["certificate"].encode()).id
        except PreconditionError as error:
            there = self._find_uploaded_key(certificate)
            if there is None:
                raise self._refusal(error) from error
            return there

    def _refusal(self, error: PreconditionError) -> PreconditionError:
        """Return what to tell of a refusal; a ConstraintError means that a created key may do instead of an uploaded one."""
        if isinstance(error, ConstraintError):
            if self._credential.strategy is Strategy.AUTO:
                return error
            return PreconditionError(str(error), hint=error.hint)
        return PreconditionError(  # Google says no more than "precondition check failed"
            f"{self._account} takes no new key: {error}",
            hint="is the account disabled, or has it ten keys? the next run goes on from here",
        )

    def _find_uploaded_key(self, certificate: x509.Certificate) -> str | None:
        """The id of the key with this public half: an uploaded key's time of creation is the beginning of its certificate."""
        public, begins = _public(certificate), certificate.not_valid_before_utc
        for key in self._keys.list_keys(self._account):
            if key.uploaded and key.created == begins:
                try:
                    found = self._keys.public_key(self._account, key.id)
                except NotFoundError:  # listed late
                    continue
                if found.strip() == public.strip():
                    return key.id
        return None

    def find_activated(self, fingerprint: str, token: str) -> str:
        """Return the id of the uploaded key whose public half has this fingerprint; empty if there is none."""
        for key in self._keys.list_keys(self._account):
            if not key.uploaded:
                continue
            try:
                public = self._keys.public_key(self._account, key.id)
            except NotFoundError:  # listed late
                continue
            if _digest(public) == fingerprint:
                return key.id
        return ""

    def account_id(self) -> str:
        """Return the unique id of the service account."""
        return self._keys.account_id(self._account)

    def is_account_disabled(self) -> bool:
        """Return whether the account is disabled."""
        return self._keys.is_account_disabled(self._account)

    def look_up(self, identifier: str) -> IssuedCredential | None:
        """Return the key as it is now, asked for by its id; None if the account does not have it."""
        key = self._keys.find_key(self._account, identifier)
        return _issued_credential(key) if key is not None else None

    def holds(self, value: Material, identifier: str) -> bool:
        """Return whether a key file holds the private half of a key of this account, by the public half that Google has."""
        if self.identify(value) != identifier:
            return False
        try:
            private = serialization.load_pem_private_key(_body(value).get("private_key", "").encode(), None)
        except (ValueError, TypeError):
            return False
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        public = private.public_key().public_bytes(serialization.Encoding.PEM, form)
        return _digest(public) == _digest(self._keys.public_key(self._account, identifier))

    def account_of(self, value: Material) -> str:
        """Return the mail address in a key file."""
        return _body(value).get("client_email", "")

    def create(self, token: str) -> tuple[str, Material]:
        """Let Google create a key pair, and return the key's id and key file."""
        try:
            new = self._keys.create_key(self._account)
        except PreconditionError as error:
            raise self._refusal(error) from error
        return new.key.id, new.material

    def find(self, token: str) -> tuple[str, Material] | None:
        """Return None: the private half of a created key was in the lost reply, and nowhere else."""
        return None

    def secret_value(self, made: Material, identifier: str) -> Material:
        """Return the JSON key file, as Google writes it; one that Google wrote stays as it is."""
        body = _body(made)
        if "client_email" in body:
            return made
        if not body.keys() >= {"private_key", "token_uri"}:
            raise changed_error()
        project = self._account.partition("@")[2].removesuffix(ACCOUNT_DOMAIN)
        document = {
            "type": "service_account",
            "project_id": project,
            "private_key_id": identifier,
            "private_key": body["private_key"],
            "client_email": self._account,
            "token_uri": body["token_uri"],
            "universe_domain": "googleapis.com",
        }
        return Material(json.dumps(document, indent=2).encode() + b"\n")

    def identify(self, value: Material) -> str:
        """Return the key id in a key file of this account."""
        body = _body(value)
        return body.get("private_key_id", "") if body.get("client_email") == self._account else ""

    def verify(self, value: Material) -> None:
        """Mint a token with the key's id, so that Google tries this key and no other."""
        if "private_key" not in _body(value):
            raise CredentialRefusedError(f"what the secret of {self._credential.name} holds is no key of an account")
        self._tokens.mint(value)

    def usage_of(self, identifier: str, span: timedelta) -> KeyUsage | None:
        """Return what Cloud Monitoring and Policy Analyzer know of the key."""
        return self._usage.usage_of(self._account, identifier, span)

    def disable(self, identifier: str) -> None:
        """Disable the key by its id, because lists may not show a young key yet."""
        try:
            self._keys.disable_key(self._account, identifier)
        except NotFoundError:
            return

    def enable(self, identifier: str) -> None:
        """Enable the key; do nothing if it is gone."""
        try:
            self._keys.enable_key(self._account, identifier)
        except NotFoundError:
            return

    def end(self, identifier: str, value: Material | None) -> None:
        """Disable the key: a disabled key gets no tokens."""
        self.disable(identifier)

    def is_ended(self, identifier: str, value: Material | None) -> bool:
        """Return whether the key is disabled or gone, and gets no token any more, which may take minutes longer."""
        key = self._keys.find_key(self._account, identifier)
        if key is not None and not key.disabled:
            return False
        return value is None or is_refused(self.verify, value)

    def delete(self, identifier: str) -> None:
        """Delete the disabled key; a repeated call may find nothing left, which is what was asked for.

        Raises:
            PreconditionError: the account's key is enabled: somebody may be using it, whatever the state says.
        """
        key = self._keys.find_key(self._account, identifier)
        if key is not None and not key.disabled:
            raise PreconditionError(
                f"key {identifier} of {self._account} is enabled: only a disabled key is deleted",
                hint=f"if nobody uses it: orchestra-creds key disable {self._account} {identifier}; the next run deletes it",
            )
        try:
            self._keys.delete_key(self._account, identifier)
        except NotFoundError:
            return


def _digest(public: bytes) -> str:
    """32 hex digits of the SHA-256 of a public key in PEM."""
    return hashlib.sha256(public.strip() + b"\n").hexdigest()[:32]


def _new_pair() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=_EXPONENT, key_size=_BITS)


def _issued_credential(key: Key) -> IssuedCredential:
    return IssuedCredential(key.id, not key.disabled, key.created, key.last_used, key.disabled_for_leak, key.expires)


def _body(material: Material) -> dict[str, str]:
    """The object in it, or an empty one: whatever a secret holds, reading it does not fail."""
    try:
        body = json.loads(material.reveal())
    except (ValueError, RecursionError):
        return {}
    return {key: value for key, value in body.items() if isinstance(value, str)} if isinstance(body, dict) else {}


def _certificate(made: Material) -> x509.Certificate:
    """The certificate of what `make` made.

    Raises:
        PreconditionError: somebody else wrote it.
    """
    try:
        return x509.load_pem_x509_certificate(_body(made)["certificate"].encode())
    except (KeyError, ValueError):
        raise changed_error() from None


def _public(certificate: x509.Certificate) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return certificate.public_key().public_bytes(serialization.Encoding.PEM, form)
