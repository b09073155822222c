"""The shape of what `setup` knows of one kind of resource; each file in `setup/kinds/` fills one in. Pure.

Names, arguments and identifiers of Terraform are those of the provider's documentation
(registry.terraform.io/providers/hashicorp/google), classes of Pulumi those of pulumi.com/registry/packages/gcp/api-docs.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from orchestra_creds.core.resources import ResourceKind

Body = Mapping[str, object]


def _needs_nothing(_name: str, _fields: Body) -> Iterable[str]:
    return ()


@dataclass(frozen=True, slots=True)
class TerraformForm:
    """A resource in Terraform: its type, its arguments from name and fields, and the identifier that imports it.

    `identifier` is a pattern over `project`, `name` and the two parts of a name with a slash, `first` and `rest`. It is empty
    if only the service knows the identifier.
    """

    type: str
    arguments: Callable[[str, Body], Body]
    identifier: str = ""


@dataclass(frozen=True, slots=True)
class PolicyForm:
    """The IAM policy of a kind. `holder` is the pattern of the full resource name: the name stands at `{name}`, or at `{first}` and `{rest}`.

    `terraform` is the type of a member of the policy, `arguments` those that say which policy is meant, from project, name and
    holder. `pulumi` is its class, `gcloud` the group of commands with `add-iam-policy-binding`. Without a type, grants are written
    as those of the project.
    """

    holder: str
    terraform: str = ""
    pulumi: str = ""
    arguments: Callable[[str, str, str], Body] = lambda project, _name, _holder: {"project": project}
    gcloud: tuple[str, ...] = ("projects",)


@dataclass(frozen=True, slots=True)
class KindEntry:
    """One kind of resource.

    part       the value of `setup --only` that means it; `grant_role` is the role whose grants belong to that part, too
    terraform  its form in Terraform; `pulumi` is its class in pulumi-gcp
    gcloud     the words after `gcloud` that create it, from name and fields; None if it takes more than a command to say
    policy     its IAM policy, if `setup` writes one
    immutable  the field that is fixed once the resource is made
    merged     fields that hold entries of others as well: only the wanted ones are compared
    widens     whether every change of it may let someone do more
    located    whether its name begins with a location
    needs      names of the resources that must be there first, from name and fields
    api        the API that makes it, such as `run.googleapis.com`
    at_once    whether several may be changed at a time; Cloud Monitoring refuses concurrent edits of a project
    references arguments of Terraform that name resources of another kind
    """

    kind: ResourceKind
    part: str
    terraform: TerraformForm
    pulumi: str
    gcloud: Callable[[str, Body], Iterable[str]] | None = None
    policy: PolicyForm | None = None
    grant_role: str = ""
    immutable: str = ""
    merged: frozenset[str] = frozenset({"labels"})
    widens: bool = False
    located: bool = False
    needs: Callable[[str, Body], Iterable[str]] = _needs_nothing
    references: Mapping[str, ResourceKind] = field(default_factory=dict)
    api: str = ""
    at_once: bool = False


def display_arguments(fields: Body) -> Body:
    """Return display name and description in Terraform's words."""
    return {"display_name": fields["displayName"], "description": fields["description"]}
