"""The secrets of an environment as the file names them, read for one process."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from orchestra_creds.bootstrap.cloud import Cloud

if TYPE_CHECKING:
    from orchestra_creds.core.material import Material
    from orchestra_creds.manage.delivery import Delivery


def select_deliveries(cloud: Cloud, env: str, only: Sequence[str], renamed: Iterable[str]) -> "tuple[Delivery, ...]":
    """What is to be delivered: of the file's secrets, those of the environment."""
    from orchestra_creds.manage.delivery import deliveries, variable_of

    tables = cloud.settings.document.secrets
    known = {
        name: table.env_var or variable_of(name)
        for name, table in tables.items()
        if not table.environments or env in table.environments
    }
    return deliveries(known, only, renamed)


def read_deliveries(
    cloud: Cloud, env: str, only: Sequence[str], renamed: Iterable[str], version: str = "latest"
) -> "dict[str, Material]":
    """Variable -> value, of all of them or none."""
    from orchestra_creds.manage.delivery import values

    wanted = select_deliveries(cloud, env, only, renamed)
    return values(cloud.secrets, wanted, {one.secret: cloud.full_name(one.secret, env) for one in wanted}, version)
