"""The operator's own program as the issuer.

It is called as `PROGRAM VERB` with one JSON object on standard input and answers with one on standard output:

    create   {"token", "credential"}                     -> {"id", "material"}      the same token must answer the same credential
    find     {"token", "credential"}                     -> {"id", "material"} or {}
    verify   {"material", "credential"}                  -> {"ok": true} or {"ok": false}
    revoke   {"id", "credential"}                        -> {}                       also when it is gone already

`material` is base64. Nothing of it is ever quoted; standard error is thrown away.
"""

import base64
import binascii
import json
from typing import Any

from orchestra_creds.core.credential import Credential
from orchestra_creds.core.material import Material
from orchestra_creds.errors import CredentialRefusedError, PreconditionError
from orchestra_creds.rotation import programs
from orchestra_creds.rotation.issuers.simple import VersionOnly, probe

LONGEST_ID = 200


class ProgramIssuer(VersionOnly):
    """Remote kind of the operator's own program. What it revokes cannot come back, so only deleting means `revoke`."""

    def __init__(self, credential: Credential) -> None:
        super().__init__(credential)
        self._what = f"issuer program of {credential.name}"

    def check(self, *, emergency: bool = False) -> None:
        """Refuse a program that cannot be run."""
        super().check()
        programs.check(self._credential.command, self._what)

    def create(self, token: str) -> tuple[str, Material]:
        """Let the program make a credential; the same token must answer the same one."""
        made = self._parse_answer(self._call("create", {"token": token}))
        if made is None:
            raise self._answer_error("create")
        return made

    def find(self, token: str) -> tuple[str, Material] | None:
        """Return what the program made for this token, or None."""
        return self._parse_answer(self._call("find", {"token": token}))

    def verify(self, value: Material) -> None:
        """Ask the program, then the probe, whether the credential works."""
        if not self._works(value):
            raise CredentialRefusedError(f"{self._what} says that the credential does not work")
        probe(self._credential, value)

    def _works(self, value: Material) -> bool:
        works = self._call("verify", {"material": base64.b64encode(value.reveal()).decode()}).get("ok")
        if not isinstance(works, bool):
            raise self._answer_error("verify")
        return works

    def delete(self, identifier: str) -> None:
        """Let the program revoke it."""
        self._call("revoke", {"id": identifier})

    def end(self, identifier: str, value: Material | None) -> None:
        """Let the program revoke it."""
        self.delete(identifier)

    def is_ended(self, identifier: str, value: Material | None) -> bool:
        """Return whether the program itself says that it does not work any more."""
        return value is None or not self._works(value)

    def _parse_answer(self, answer: dict[str, Any]) -> tuple[str, Material] | None:
        if not answer:
            return None
        identifier, text = answer.get("id"), answer.get("material")
        if not isinstance(identifier, str) or not isinstance(text, str):
            raise self._answer_error("create")
        if not 0 < len(identifier) <= LONGEST_ID or not identifier.isprintable():
            raise self._answer_error("create")
        try:
            material = Material(base64.b64decode(text, validate=True))
        except (binascii.Error, ValueError):
            raise self._answer_error("create") from None
        if not material:
            raise self._answer_error("create")
        return identifier, material

    def _call(self, verb: str, question: dict[str, str]) -> dict[str, Any]:
        body = {**question, "credential": self._credential.name}
        output = programs.run(
            [*self._credential.command, verb],
            self._what,
            material=Material(json.dumps(body).encode()),
            timeout=self._credential.timeout,
        )
        try:
            answer = json.loads(output or b"{}")
        except (ValueError, RecursionError):
            raise self._answer_error(verb) from None
        if not isinstance(answer, dict):
            raise self._answer_error(verb)
        return answer

    def _answer_error(self, verb: str) -> PreconditionError:
        return PreconditionError(
            f"{self._what} answered {verb} with something that is not what docs/rotation-kinds.md says",
            hint="its output is not shown, for it may hold material",
        )
