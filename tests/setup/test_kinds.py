"""One entry for each kind of resource: nothing about a kind stands in the modules that read the entries."""

import ast
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestra_creds.bootstrap.cloud import Cloud
from orchestra_creds.bootstrap.setup import project_ports
from orchestra_creds.config.settings import Settings
from orchestra_creds.core.resources import Ref, ResourceKind
from orchestra_creds.errors import ConfigError
from orchestra_creds.setup import kinds, pulumi, registry, terraform
from orchestra_creds.setup.parts import locations, select_part
from tests.setup.stage import FULL, PLACE, Stage

SETUP = Path(registry.__file__).parent
WHOLE_PROJECT = {terraform.PROJECT_MEMBER, terraform.AUDIT}


def test_every_kind_has_one_entry_and_every_file_is_one() -> None:
    assert list(registry.ENTRIES) == list(ResourceKind)
    files = {file.name for file in pkgutil.iter_modules(kinds.__path__)}
    assert len(files) == len(registry.ENTRIES)
    assert files == {kind.name.lower() for kind in ResourceKind}


def test_every_kind_has_an_adapter() -> None:
    stage = Stage()
    try:
        cloud = Cloud(stage.world.session, Settings(), "", None)
        assert set(project_ports(cloud).stores) == set(ResourceKind)
    finally:
        stage.close()


def test_every_type_of_terraform_has_a_class_of_pulumi_and_no_two_kinds_share_one() -> None:
    types = [entry.terraform.type for entry in registry.ENTRIES.values()]
    assert len(set(types)) == len(types)
    for entry in registry.ENTRIES.values():
        assert entry.policy is None or bool(entry.policy.terraform) == bool(entry.policy.pulumi)
    assert all("." in name for kind, name in pulumi.CLASSES.items() if kind)


@pytest.mark.parametrize(
    ("holder", "ref"),
    [
        ("projects/p", None),
        ("projects/p/secrets/s", Ref(ResourceKind.SECRET, "s")),
        ("projects/p/serviceAccounts/a@p", Ref(ResourceKind.ACCOUNT, "a@p")),
        ("projects/p/locations/l/jobs/j", Ref(ResourceKind.JOB, "l/j")),
        ("projects/_/buckets/b", Ref(ResourceKind.BUCKET, "b")),
        ("projects/p/secrets/s/versions/1", None),
        ("projects/p/topics/t", None),
    ],
)
def test_the_holder_of_a_policy_is_known_by_its_name(holder: str, ref: Ref | None) -> None:
    assert registry.holder_ref(holder) == ref


def test_the_parts_together_are_everything() -> None:
    stage = Stage(FULL)
    try:
        parts = [select_part(stage.wanted, part) for part in registry.PARTS]
        resources = [resource.ref for part in parts for resource in part.resources]
        assert sorted(resources) == sorted(resource.ref for resource in stage.wanted.resources)
        assert locations(stage.wanted) == [PLACE]
        with pytest.raises(ConfigError, match="--only 'nothing' is not known") as caught:
            select_part(stage.wanted, "nothing")
        assert caught.value.hint.endswith("alerts, schedule, access, audit")
    finally:
        stage.close()


def terraform_types(code: str) -> Iterator[str]:
    """Yield every type of Terraform's provider that the code writes out."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("google_"):
            yield node.value


@pytest.mark.parametrize("path", sorted(SETUP.glob("*.py")), ids=lambda path: path.name)
def test_only_the_entries_name_types_of_terraform(path: Path) -> None:
    assert set(terraform_types(path.read_text(encoding="utf-8"))) <= WHOLE_PROJECT


def test_a_type_beside_the_entries_is_named() -> None:
    assert list(terraform_types('x = {"google_storage_bucket": "storage.Bucket"}')) == ["google_storage_bucket"]
