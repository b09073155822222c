"""All rules, in one order, and the choice among them.

Guarantees: ids are unique, the order is that of the ids whatever the order of the families, and a name that no rule has
is an error that names the nearest one.
"""

import fnmatch
from collections.abc import Iterable, Sequence
from functools import cache

from orchestra_creds.errors import ConfigError
from orchestra_creds.scanner.rule import Rule, Severity
from orchestra_creds.scanner.rulebook import (
    ai,
    analytics,
    azure,
    builds,
    clouds,
    commerce,
    content,
    databases,
    forges,
    generic,
    google,
    hosting,
    identity_providers,
    infrastructure,
    keys,
    logs,
    mail,
    messaging,
    networks,
    observability,
    packages,
    payments,
    saas,
    services,
    social,
    telephony,
)

FAMILIES: dict[str, tuple[Rule, ...]] = {
    "google": google.RULES,
    "keys": keys.RULES,
    "generic": generic.RULES,
    "forges": forges.RULES,
    "builds": builds.RULES,
    "packages": packages.RULES,
    "clouds": clouds.RULES,
    "azure": azure.RULES,
    "hosting": hosting.RULES,
    "databases": databases.RULES,
    "logs": logs.RULES,
    "services": services.RULES,
    "content": content.RULES,
    "social": social.RULES,
    "identity providers": identity_providers.RULES,
    "saas": saas.RULES,
    "analytics": analytics.RULES,
    "observability": observability.RULES,
    "networks": networks.RULES,
    "infrastructure": infrastructure.RULES,
    "mail": mail.RULES,
    "telephony": telephony.RULES,
    "messaging": messaging.RULES,
    "commerce": commerce.RULES,
    "payments": payments.RULES,
    "ai": ai.RULES,
}
"""Family name, as docs and `scan rules` show it, to its rules."""


@cache
def all_rules() -> tuple[Rule, ...]:
    """Every rule of every family, sorted by id."""
    return tuple(sorted((rule for rules in FAMILIES.values() for rule in rules), key=lambda rule: rule.id))


def select(
    rules: Sequence[Rule],
    *,
    only: Iterable[str] = (),
    exclude: Iterable[str] = (),
    severity: Severity = Severity.LOW,
) -> tuple[Rule, ...]:
    """The rules named by `only` (all when it is empty), without those of `exclude`, of at least `severity`.

    A name is an id, or a pattern of ids such as `google-*` (fnmatch).

    Raises:
        ConfigError: a name is not the id of a rule, and matches none; the hint names the nearest id.
    """
    known = {rule.id for rule in rules}
    names = set(only), set(exclude)
    ids = {name: {name} & known or set(fnmatch.filter(known, name)) for name in names[0] | names[1]}
    wanted, unwanted = ({one for name in some for one in ids[name]} for some in names)
    for name in sorted(name for name in ids if not ids[name]):
        import difflib

        near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else "`orchestra-creds scan rules` lists them"
        raise ConfigError(f"no rule is called {name!r}", hint=hint)
    return tuple(
        rule
        for rule in rules
        if (not wanted or rule.id in wanted) and rule.id not in unwanted and rule.severity >= severity
    )
