"""Google API keys: each successor takes over the restrictions of its predecessor.

The id of a successor follows from the attempt's token, and its string can be read again: no lost reply leaves an orphan. Deleting can
be undone for 30 days at Google, so there is no disabled state of its own.
"""

import hashlib
import re

from orchestra_creds.core.credential import Credential
from orchestra_creds.core.material import Material
from orchestra_creds.core.ports import ApiKeyStore
from orchestra_creds.errors import CredentialRefusedError, NotFoundError, PreconditionError
from orchestra_creds.rotation.issuers.simple import VersionOnly, probe

_OWN = re.compile(r"oc-[0-9a-f]{16}")


class ApiKeys(VersionOnly):
    """Remote kind: an API key with the restrictions of a model key."""

    needs_settle_time = True

    def __init__(self, credential: Credential, keys: ApiKeyStore) -> None:
        super().__init__(credential)
        self._keys = keys
        self._like = credential.api_key.like.rpartition("/")[2]

    def check(self, *, emergency: bool = False) -> None:
        """Refuse a model key that does not exist."""
        super().check()
        if self._keys.find(self._like) is None:
            raise NotFoundError(
                f"credential {self._credential.name}: there is no API key {self._like}",
                hint="api_key.like names the key whose restrictions are taken over",
            )

    def create(self, token: str) -> tuple[str, Material]:
        """Create the key whose id follows from the token, unless it exists, and return its id and string."""
        key_id, model = key_id_of(token), self._keys.find(self._like)
        if model is None:
            raise PreconditionError(f"there is no API key {self._like} to take restrictions from")
        if self._keys.find(key_id) is None:
            name = self._credential.api_key.display_name or model.display_name or self._credential.name
            self._keys.create(key_id, display_name=name, restrictions=model.restrictions)
        return key_id, self._keys.material(key_id)

    def find(self, token: str) -> tuple[str, Material] | None:
        """Return the key whose id follows from the token, unless it is deleted."""
        facts = self._keys.find(key_id_of(token))
        return None if facts is None or facts.deleted else (facts.id, self._keys.material(facts.id))

    def verify(self, value: Material) -> None:
        """Ask Google whose string it is, and whether that key is deleted; then let the probe prove it."""
        try:
            facts = self._keys.find(self._keys.owner(value))
        except NotFoundError:
            facts = None
        if facts is None or facts.deleted:
            raise CredentialRefusedError(f"Google knows no API key with the string of {self._credential.name}")
        probe(self._credential, value)

    def delete(self, identifier: str) -> None:
        """Delete a key of ours, never the model nor one that was adopted."""
        if not _OWN.fullmatch(identifier):
            return
        facts = self._keys.find(identifier)
        if facts is not None and not facts.deleted:
            self._keys.delete(identifier)

    def end(self, identifier: str, value: Material | None) -> None:
        """Delete a key, also one that was adopted, but not the model.

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
        """Return whether Google says that the key is deleted; without its string an adopted one is not known, so False."""
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
    """Return the id of the key of one attempt: letters and digits as the API wants them."""
    return f"oc-{hashlib.sha256(token.encode()).hexdigest()[:16]}"
