"""The desired state as commands of gcloud, for reading: what `setup` does is looked at first and made under an etag, these are not. Pure."""

from collections.abc import Iterator
from shlex import join

from orchestra_creds.core.resources import DesiredState, ResourceKind
from orchestra_creds.setup.plan import fill_number


def commands(wanted: DesiredState, number: str) -> Iterator[str]:
    """A line each; what takes more than a command to say is a comment."""
    for resource in wanted.resources:
        name, project = resource.ref.name, f"--project={wanted.project}"
        match resource.ref.kind:
            case ResourceKind.SERVICE:
                yield join(["gcloud", "services", "enable", name, project])
            case ResourceKind.ACCOUNT:
                account = name.partition("@")[0]
                shown = f"--display-name={resource.fields['displayName']}"
                yield join(["gcloud", "iam", "service-accounts", "create", account, shown, project])
            case ResourceKind.SECRET:
                yield join(["gcloud", "secrets", "create", name, project])
            case ResourceKind.POOL:
                yield join(["gcloud", "iam", "workload-identity-pools", "create", name, "--location=global", project])
            case _:
                yield f"# {resource.ref}: see --to terraform"
    for grant in (fill_number(each, number) for each in wanted.grants):
        told = (
            f"--condition=expression={grant.condition},title={grant.title}" if grant.condition else "--condition=None"
        )
        name = grant.holder.rpartition("/")[2]
        kinds = {"secrets": ["secrets"], "serviceAccounts": ["iam", "service-accounts"]}
        group = kinds.get(grant.holder.split("/")[2] if grant.holder.count("/") > 1 else "", ["projects"])
        arguments = [name, f"--member={grant.member}", f"--role={grant.role}", told]
        yield join(["gcloud", *group, "add-iam-policy-binding", *arguments])
