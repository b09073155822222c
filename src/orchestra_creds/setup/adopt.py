"""What is in a project and not in the file, as text for the file: the names that operators gave, sorted into our sections. Pure."""

import re
from collections.abc import Iterable, Mapping

from orchestra_creds.core.accounts import mail
from orchestra_creds.core.resources import DesiredState, Ref, Resource, ResourceKind

ENVIRONMENTS = ("dev", "staging", "prod")
ADOPTABLE = (ResourceKind.ACCOUNT, ResourceKind.SECRET)
"""Kinds of which text for the file can be suggested."""
STAGING = "--orchestra-staging"
_ENDING = re.compile(rf"(?P<name>.+?)[-_](?P<env>{'|'.join(ENVIRONMENTS)})", re.IGNORECASE)


def unknown_resources(desired: DesiredState, there: Mapping[Ref, Resource]) -> list[Ref]:
    """Secrets and accounts that the file does not speak of; Google's own accounts and staged copies are nobody's to adopt."""
    known = {resource.ref for resource in desired.resources}
    own = mail("", desired.project)
    return sorted(
        ref
        for ref, resource in there.items()
        if ref not in known
        and not resource.deleted
        and (ref.kind is ResourceKind.SECRET or (ref.kind is ResourceKind.ACCOUNT and ref.name.endswith(own)))
        and not ref.name.endswith(STAGING)
    )


def suggestion(refs: Iterable[Ref]) -> str:
    """Sections for the file. Secrets `NAME-ENV` become one entry with its environments; the others stand by themselves, in a comment."""
    accounts, secrets, odd = [], dict[str, list[str]](), []
    for ref in refs:
        ending = _ENDING.fullmatch(ref.name)
        if ref.kind is ResourceKind.ACCOUNT:
            accounts.append(ref.name.partition("@")[0])
        elif ending is not None and "_" not in ref.name:
            secrets.setdefault(ending["name"], []).append(ending["env"].lower())
        else:
            odd.append(ref.name)
    lines = [
        f'[service_accounts.{name}]\nkeys = "none"   # or "rotated" with rotation = "POLICY"\n' for name in accounts
    ]
    for name, environments in secrets.items():
        told = ", ".join(f'"{env}"' for env in sorted(set(environments), key=ENVIRONMENTS.index))
        lines.append(f"[secrets.{name}]\nenvironments = [{told}]\n")
    lines += [f"[secrets.{name}]   # the name ends in no environment: it is taken as it is\n" for name in odd]
    return "\n".join(lines)
