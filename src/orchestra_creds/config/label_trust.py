"""Which labels on secrets count as declarations. Pure.

Whoever may label a secret does not thereby hold the right to make keys. So labels count only if the run says so, or for what the file
itself names: an account with `keys = "rotated"`, or a secret that it gives a rotation policy.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from orchestra_creds.config.credential_declarations import LABEL, LABEL_ACCOUNT, account_mail
from orchestra_creds.config.document import Document
from orchestra_creds.core.accounts import mail
from orchestra_creds.core.credential import Credential
from orchestra_creds.core.google import MANAGED_BY, OWNER
from orchestra_creds.core.values import full_name
from orchestra_creds.errors import ConfigError


@dataclass(frozen=True, slots=True)
class LabelTrust:
    """What a run believes of labels.

    every      all of them: the run says `--from-labels`          allowed    mail addresses of accounts with `keys = "rotated"`
    forbidden  mail addresses of accounts that never get one      named      secrets of the file     rotating   those with a policy
    """

    every: bool
    allowed: frozenset[str]
    forbidden: frozenset[str]
    named: frozenset[str]
    rotating: frozenset[str]

    def counts(self, secret: str, labels: Mapping[str, str], project: str) -> bool:
        """Return whether the labels of a secret may declare a credential."""
        if self.every:
            return True
        account = labels.get(LABEL_ACCOUNT, "")
        return account_mail(account, project) in self.allowed if account else secret in self.rotating

    def require_allowed(self, credential: Credential) -> None:
        """Refuse a credential of an account that the file forbids to have keys, wherever the credential is declared.

        Raises:
            ConfigError: the account has `keys = "forbidden"`.
        """
        if credential.account in self.forbidden:
            raise ConfigError(
                f'{credential.account} may not have a key: the file says keys = "forbidden"',
                hint=f"remove the declaration of {credential.name}, or change keys of that account in orchestra-creds.toml",
            )

    def ours(self, secret: str, labels: Mapping[str, str]) -> bool:
        """Return whether the labels show that this program looks after the secret, and the file does not account for it."""
        if any(name.startswith(LABEL) for name in labels):
            return True
        return labels.get(MANAGED_BY) == OWNER and secret not in self.named


def label_trust(document: Document, project: str, *, every: bool) -> LabelTrust:
    """Return what a run with this file believes of labels; `every` is `--from-labels`."""
    accounts, naming = document.service_accounts, document.naming.secret
    forbidden = frozenset(mail(name, project) for name, table in accounts.items() if table.keys == "forbidden")
    secrets = {
        full_name(name, environment, naming): bool(table.rotation)
        for name, table in document.secrets.items()
        for environment in table.environments or ("",)
    }
    return LabelTrust(
        every,
        frozenset(mail(name, project) for name, table in accounts.items() if table.keys == "rotated"),
        forbidden,
        frozenset(secrets),
        frozenset(name for name, rotates in secrets.items() if rotates),
    )
