"""The declared credentials of the project that a cloud is open for."""

from orchestra_creds.bootstrap.cloud import Cloud
from orchestra_creds.config.declarations import ProjectDeclarations
from orchestra_creds.parallel import map_in_order
from orchestra_creds.rotation.catalog import CredentialCatalog


def open_catalog(cloud: Cloud, *, from_labels: bool = False) -> CredentialCatalog:
    """Return the credentials of the file and of labels; with `from_labels`, all labels on secrets count as declarations."""
    declarations = ProjectDeclarations(cloud.settings.document, cloud.project, labels_count=from_labels)
    return CredentialCatalog(declarations, cloud.secrets)


def only_in_file(cloud: Cloud, *, absent: bool = True) -> list[str]:
    """Return the credentials that a runner without the file, which reads labels (`--from-labels`), would rotate otherwise.

    With `absent` false, those are left out whose secret does not exist yet: nobody can have labelled it.
    """
    declarations = ProjectDeclarations(cloud.settings.document, cloud.project)
    declared = list(declarations.in_file.values())
    secrets = map_in_order(lambda one: cloud.secrets.find_secret(one.secret), declared, at_once=cloud.calls_at_once)
    return [
        name
        for name, one, secret in zip(declarations.in_file, declared, secrets, strict=True)
        if (absent or secret is not None) and not declarations.are_labels_enough(one, secret)
    ]
