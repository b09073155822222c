"""The secrets of an environment as the file names them, read for one process."""

from collections.abc import Iterable, Sequence

from orchestra_creds.bootstrap.cloud import Cloud
from orchestra_creds.core.material import Material
from orchestra_creds.manage.delivery import Delivery, deliveries, values, variable_of


def select_deliveries(cloud: Cloud, env: str, only: Sequence[str], renamed: Iterable[str]) -> tuple[Delivery, ...]:
    """Return what is to be delivered: of the file's secrets, those of the environment."""
    tables = cloud.settings.document.secrets
    known = {
        name: table.env_var or variable_of(name)
        for name, table in tables.items()
        if not table.environments or env in table.environments
    }
    return deliveries(known, only, renamed)


def read_deliveries(
    cloud: Cloud, env: str, only: Sequence[str], renamed: Iterable[str], version: str = "latest"
) -> dict[str, Material]:
    """Return the value of each variable, of all of them or none."""
    wanted = select_deliveries(cloud, env, only, renamed)
    names = {one.secret: cloud.full_name(one.secret, env) for one in wanted}
    return values(cloud.secrets, wanted, names, version, at_once=cloud.calls_at_once)
