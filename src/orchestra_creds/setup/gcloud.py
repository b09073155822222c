"""The desired state as commands of gcloud, for reading: what `setup` does is looked at first and made under an etag, these are not. Pure."""

from collections.abc import Iterator
from shlex import join

from orchestra_creds.core.resources import DesiredState
from orchestra_creds.setup.plan import fill_number
from orchestra_creds.setup.registry import ENTRIES, holder_ref


def commands(wanted: DesiredState, number: str) -> Iterator[str]:
    """A line each; what takes more than a command to say is a comment."""
    for resource in wanted.resources:
        command = ENTRIES[resource.ref.kind].gcloud
        if command is None:
            yield f"# {resource.ref}: see --to terraform"
        else:
            yield join(["gcloud", *command(resource.ref.name, resource.fields), f"--project={wanted.project}"])
    for grant in (fill_number(each, number) for each in wanted.grants):
        told = (
            f"--condition=expression={grant.condition},title={grant.title}" if grant.condition else "--condition=None"
        )
        name, ref = grant.holder.rpartition("/")[2], holder_ref(grant.holder)
        policy = ENTRIES[ref.kind].policy if ref is not None else None
        group = policy.gcloud if policy is not None else ("projects",)
        yield join(
            ["gcloud", *group, "add-iam-policy-binding", name, f"--member={grant.member}", f"--role={grant.role}", told]
        )
