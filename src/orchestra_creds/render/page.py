"""Fills the templates of our HTML pages. Escaped by default; a name that is missing is an error."""

from collections.abc import Callable, Mapping


def fill_template(name: str, *, filters: Mapping[str, Callable[..., str]] | None = None, **values: object) -> str:
    """Return the text of `render/templates/NAME`, filled with `values` and ending with a line break."""
    from jinja2 import Environment, PackageLoader, StrictUndefined  # the door of jinja2: only pages pay for it

    environment = Environment(
        loader=PackageLoader("orchestra_creds.render"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= filters or {}
    return environment.get_template(name).render(**values) + "\n"
