"""All rules, in one order, and the check of names that stand for some of them.

Guarantees: ids are unique, the order is that of the ids whatever the order of the families, and a name that no rule has
is an error that names the nearest one.
"""

import difflib
import fnmatch
from collections.abc import Iterable
from functools import cache

from orchestra_creds.errors import ConfigError
from orchestra_creds.scanner.rule import Rule
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
    platforms,
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
    "platforms": platforms.RULES,
    "ai": ai.RULES,
}
"""Family name, as docs and `scan rules` show it, to its rules."""


@cache
def all_rules() -> tuple[Rule, ...]:
    """Every rule of every family, sorted by id."""
    return tuple(sorted((rule for rules in FAMILIES.values() for rule in rules), key=lambda rule: rule.id))


def check_rule_names(rules: Iterable[Rule], names: Iterable[str]) -> None:
    """Refuse a name that is neither the id of one of the rules nor a pattern of ids, such as `google-*` (fnmatch).

    Raises:
        ConfigError: there is such a name; the hint names the nearest id.
    """
    known = {rule.id for rule in rules}
    for name in sorted(set(names) - known):
        if fnmatch.filter(known, name):
            continue
        near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else "`orchestra-creds scan rules` lists them"
        raise ConfigError(f"no rule is called {name!r}", hint=hint)
