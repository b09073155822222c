"""What a role gives, predefined or custom."""

from google.cloud import iam_admin_v1

from orchestra_creds.emulator.access.role_catalog import PREDEFINED
from orchestra_creds.emulator.protocol.routes import raw
from orchestra_creds.emulator.store.store import Txn

ROLE = "role"
Role = raw(iam_admin_v1.Role)


def permissions(txn: Txn, name: str) -> frozenset[str]:
    """What a role gives: nothing when it is unknown, deleted or switched off."""
    if name in PREDEFINED:
        return PREDEFINED[name].permissions
    body = txn.get(ROLE, name)
    role = None if body is None else Role.FromString(body)
    if role is None or role.deleted or role.stage == iam_admin_v1.Role.RoleLaunchStage.DISABLED:
        return frozenset()
    return frozenset(map(short, role.included_permissions))


def exists(txn: Txn, name: str) -> bool:
    """Return whether there is a custom role of this name that is not deleted."""
    body = txn.get(ROLE, name)
    return body is not None and not Role.FromString(body).deleted


def short(permission: str) -> str:
    """A permission as messages and checks name it; custom roles may say `iam.googleapis.com/workloadIdentityPools.get`."""
    service, slash, rest = permission.partition(".googleapis.com/")
    return f"{service}.{rest}" if slash else permission
