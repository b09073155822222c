"""The desired state as a Pulumi program in Python, over the package pulumi-gcp. Pure.

That package is generated from the provider of Terraform, so the same model serves; only classes, and the names of some lists, differ
(pulumi.com/registry/packages/gcp/api-docs). Everything of a name is written by `repr`: nothing of it can become code.
"""

from collections.abc import Iterator, Mapping

from orchestra_creds.setup.registry import ENTRIES
from orchestra_creds.setup.terraform import AUDIT, PROJECT_MEMBER, Block, Reference

CLASSES = {
    PROJECT_MEMBER: "projects.IAMMember",
    AUDIT: "projects.IAMAuditConfig",
    **{entry.terraform.type: entry.pulumi for entry in ENTRIES.values()},
    **{entry.policy.terraform: entry.policy.pulumi for entry in ENTRIES.values() if entry.policy is not None},
}
"""Type of Terraform -> class of pulumi-gcp."""
_PLURAL = {"audit_log_config": "audit_log_configs", "env": "envs"}
"""Lists that Pulumi names by more than one."""
_HEAD = '''"""Written by `orchestra-creds setup export --to pulumi-python`: what is there already is imported, and stays when this goes.

Needs the packages pulumi and pulumi-gcp (8 or 9).
"""

import pulumi
import pulumi_gcp as gcp
'''


def program(found: list[Block]) -> str:
    """Its text; what has no identifier is made anew."""
    variables = dict(_variables(found))

    def expression(value: object) -> str:
        match value:
            case Reference():
                return f"{variables[value.kind, value.label]}.{value.attribute}"
            case Mapping():
                return (
                    "{"
                    + ", ".join(f"{_property_name(k, item)!r}: {expression(item)}" for k, item in value.items())
                    + "}"
                )
            case list() | tuple():
                return "[" + ", ".join(expression(item) for item in value) + "]"
        return repr(value)

    lines = [_HEAD]
    for block in found:
        name = variables.get((block.kind, block.label))
        lines.append(f"{f'{name} = ' if name else ''}gcp.{CLASSES[block.kind]}(")
        lines.append(f"    {block.label!r},")
        lines += (f"    {_property_name(key, value)}={expression(value)}," for key, value in block.body.items())
        options = f"import_={block.identifier!r}, " if block.identifier else ""
        options += f"depends_on=[{', '.join(variables[place] for place in block.needs)}], " if block.needs else ""
        lines += [f"    opts=pulumi.ResourceOptions({options}retain_on_delete=True),", ")"]
    return "\n".join(lines) + "\n"


def _variables(found: list[Block]) -> Iterator[tuple[tuple[str, str], str]]:
    """Yield type and label of each block that another may name, and the variable that holds it: `channel_1`."""
    named = {ENTRIES[kind].terraform.type for entry in ENTRIES.values() for kind in entry.references.values()}
    needed = {place for block in found for place in block.needs}
    for entry in ENTRIES.values():
        kind = entry.terraform.type
        blocks = [block for block in found if block.kind == kind and (kind in named or (kind, block.label) in needed)]
        yield from (((kind, block.label), f"{entry.kind.name.lower()}_{n}") for n, block in enumerate(blocks, 1))


def _property_name(key: str, value: object) -> str:
    """Pulumi's name; a label or a variable of the same name is no list, and keeps it."""
    return _PLURAL.get(key, key) if isinstance(value, list) else key
