"""The declared credentials of the project that a cloud is open for."""

from orchestra_creds.bootstrap.cloud import Cloud
from orchestra_creds.config.declarations import ProjectDeclarations
from orchestra_creds.rotation.catalog import CredentialCatalog


def open_catalog(cloud: Cloud, *, from_labels: bool = False) -> CredentialCatalog:
    """Return the credentials of the file and of labels; with `from_labels`, all labels on secrets count as declarations."""
    declarations = ProjectDeclarations(cloud.settings.document, cloud.project, labels_count=from_labels)
    return CredentialCatalog(declarations, cloud.secrets)


def only_in_file(cloud: Cloud, *, absent: bool = True) -> list[str]:
    """Return the credentials that a runner without the file, which reads labels (`--from-labels`), would rotate otherwise.

    With `absent` false, those are left out whose secret does not exist yet: nobody can have labelled it.
    """
    declarations, found = ProjectDeclarations(cloud.settings.document, cloud.project), []
    for name, declared in declarations.in_file.items():
        secret = cloud.secrets.find_secret(declared.secret)
        if (absent or secret is not None) and not declarations.are_labels_enough(declared, secret):
            found.append(name)
    return found
