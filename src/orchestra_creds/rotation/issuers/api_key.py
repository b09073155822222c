"""Google API keys: each successor takes over the restrictions of its predecessor.

The id of a successor follows from the attempt's token, and its string can be read again: no lost reply leaves an orphan. Deleting can
be undone for 30 days at Google, so there is no disabled state of its own.
"""

import hashlib
import re
from collections.abc import Sequence
from datetime import datetime

from orchestra_creds.core.credential import Credential
from orchestra_creds.core.material import Material
from orchestra_creds.core.ports import ApiKeyStore
from orchestra_creds.errors import CredentialRefusedError, NotFoundError, PreconditionError
from orchestra_creds.rotation.issuer import IssuedCredential
from orchestra_creds.rotation.issuers.simple import VersionOnly, probe

_OWN = re.compile(r"oc-[0-9a-f]{16}")


class ApiKeys(VersionOnly):
    """See Issuer."""

    local = False
    needs_settle_time = True

    def __init__(self, credential: Credential, keys: ApiKeyStore) -> None:
        super().__init__(credential)
        self._keys = keys
        self._like = credential.api_key.like.rpartition("/")[2]

    def check(self) -> None:
        """See Issuer."""
        super().check()
        if self._keys.find(self._like) is None:
            raise NotFoundError(
                f"credential {self._credential.name}: there is no API key {self._like}",
                hint="api_key.like names the key whose restrictions are taken over",
            )

    def list_credentials(self) -> Sequence[IssuedCredential]:
        """See Issuer: Google lists no use of API keys, and a current one is looked up by its string instead."""
        return ()

    def make(self, current: str, token: str) -> Material:
        """See Issuer: never asked of a remote kind."""
        return self.create(token)[1]

    def create(self, token: str) -> tuple[str, Material]:
        """See Issuer."""
        key_id, model = key_id_of(token), self._keys.find(self._like)
        if model is None:
            raise PreconditionError(f"there is no API key {self._like} to take restrictions from")
        if self._keys.find(key_id) is None:
            name = self._credential.api_key.display_name or model.display_name or self._credential.name
            self._keys.create(key_id, display_name=name, restrictions=model.restrictions)
        return key_id, self._keys.material(key_id)

    def find(self, token: str) -> tuple[str, Material] | None:
        """See Issuer."""
        facts = self._keys.find(key_id_of(token))
        return None if facts is None or facts.deleted else (facts.id, self._keys.material(facts.id))

    def verify(self, value: Material) -> None:
        """See Issuer: Google is asked whose string it is, and whether that key is deleted."""
        try:
            facts = self._keys.find(self._keys.owner(value))
        except NotFoundError:
            facts = None
        if facts is None or facts.deleted:
            raise CredentialRefusedError(f"Google knows no API key with the string of {self._credential.name}")
        probe(self._credential, value)

    def last_used(self, identifier: str) -> datetime | None:
        """See Issuer: not known of API keys."""
        return None

    def delete(self, identifier: str) -> None:
        """See Issuer: only a key of ours is deleted, never the model nor one that was adopted."""
        if not _OWN.fullmatch(identifier):
            return
        facts = self._keys.find(identifier)
        if facts is not None and not facts.deleted:
            self._keys.delete(identifier)

    def end(self, identifier: str, value: Material | None) -> None:
        """See Issuer: also one that was adopted is deleted, but not the model.

        Raises:
            PreconditionError: it is the model.
        """
        key_id = self._key_of(identifier, value)
        if key_id == self._like:
            raise PreconditionError(
                f"the API key that leaked is {key_id}, the model of {self._credential.name}, which is never touched",
                hint=f"let api_key.like name another key, then delete it: gcloud services api-keys delete {key_id}",
            )
        if key_id and not self.is_ended(identifier, value):
            self._keys.delete(key_id)

    def is_ended(self, identifier: str, value: Material | None) -> bool:
        """See Issuer: Google says that the key is deleted. Without its string an adopted one cannot be told."""
        key_id = self._key_of(identifier, value)
        facts = self._keys.find(key_id) if key_id else None
        return key_id is not None and (facts is None or facts.deleted)

    def _key_of(self, identifier: str, value: Material | None) -> str | None:
        """Return the id of the key: an adopted one is known by its string only. Empty: Google knows none; None: unreadable."""
        if _OWN.fullmatch(identifier):
            return identifier
        if value is None:
            return None
        try:
            return self._keys.owner(value)
        except NotFoundError:
            return ""


def key_id_of(token: str) -> str:
    """The id of the key of one attempt: letters and digits as the API wants them."""
    return f"oc-{hashlib.sha256(token.encode()).hexdigest()[:16]}"
