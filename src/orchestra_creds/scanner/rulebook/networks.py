"""Rules of private networks, tunnels, domain registrars and network intelligence."""

from orchestra_creds.scanner.rule import Rule, Severity
from orchestra_creds.scanner.rulebook.shapes import prefix_rule, vendor_rule

_TAILNET = "and look for devices that nobody knows"


def _tailscale(kind: str, title: str, severity: Severity, remedy: str) -> Rule:
    """The rule of a Tailscale key; the word after `tskey-` names its kind."""
    return prefix_rule(
        f"tailscale-{kind}-key",
        f"Tailscale {title}",
        f"tskey-{kind}-",
        r"[0-9A-Za-z]{9,24}-[0-9A-Za-z]{18,40}",
        severity=severity,
        remedy=f"{remedy} {_TAILNET}.",
        source="Tailscale Docs: Key prefixes",
        examples=(f"tskey-{kind}-k{{b62:11}}CNTRL-{{b62:32}}",),
        counter_examples=(f"tskey-{kind}-{{b62:8}}",),
    )


RULES: tuple[Rule, ...] = (
    _tailscale("auth", "auth key", Severity.CRITICAL, "Revoke it under Settings > Keys"),
    _tailscale("api", "API access token", Severity.CRITICAL, "Revoke it under Settings > Keys"),
    _tailscale("client", "OAuth client secret", Severity.CRITICAL, "Revoke the client under Settings > OAuth clients"),
    _tailscale("scim", "SCIM key", Severity.HIGH, "Replace it under User management"),
    _tailscale("webhook", "webhook secret", Severity.MEDIUM, "Rotate it under Settings > Webhooks"),
    vendor_rule(
        "ngrok-authtoken",
        "ngrok authtoken or API key",
        ("ngrok",),
        r"(?:[0-9][0-9A-Za-z]{24,28}_[0-9A-Za-z]{20,24}|(?:ak|cr)_[0-9A-Za-z]{25,30})",
        severity=Severity.HIGH,
        remedy="Delete it on the dashboard's Authtokens or API keys page and check active tunnels.",
        source="ngrok Docs: Authtokens",
        examples=("NGROK_AUTHTOKEN=2{b62:26}_{b62:21}", "ngrok config add-authtoken 2{b62:26}_{b62:21}"),
        counter_examples=("NGROK_AUTHTOKEN={b62:20}",),
        name=r"[\w. -]{0,16}(?:token|key)[\w.-]{0,8}",
    ),
    vendor_rule(
        "zerotier-api-token",
        "ZeroTier Central API token",
        ("zerotier",),
        r"[0-9A-Za-z]{32}",
        severity=Severity.HIGH,
        remedy="Delete it under Account > API access tokens and look for members that nobody knows.",
        source="ZeroTier Docs: API access tokens",
        examples=("ZEROTIER_CENTRAL_TOKEN={b62:32}",),
        counter_examples=("ZEROTIER_NETWORK_ID={hex:16}",),
        check="mixed",
    ),
    prefix_rule(
        "netbird-token",
        "NetBird personal access token",
        "nbp_",
        r"[0-9A-Za-z]{36}",
        severity=Severity.HIGH,
        remedy="Delete it in the user's settings and look for peers that nobody knows.",
        source="NetBird Docs: Personal access tokens",
        examples=("nbp_{b62:36}",),
        counter_examples=("nbp_{b62:30}",),
    ),
    vendor_rule(
        "godaddy-api-key",
        "GoDaddy API key or secret",
        ("godaddy",),
        r"(?:[0-9A-Za-z]{10,14}_[0-9A-Za-z]{20,24}|[0-9A-Za-z]{22})",
        severity=Severity.CRITICAL,
        remedy="Delete the key on the developer portal's API keys page and check DNS records and domains.",
        source="GoDaddy Developer: API keys",
        examples=("GODADDY_API_KEY={b62:12}_{b62:22}", "GODADDY_API_SECRET={b62:22}"),
        counter_examples=("GODADDY_API_SECRET={b62:12}",),
        check="mixed",
    ),
    vendor_rule(
        "gandi-access-token",
        "Gandi personal access token",
        ("gandi",),
        r"(?:[0-9a-f]{40}|[0-9A-Za-z]{24})",
        severity=Severity.CRITICAL,
        remedy="Delete it under Organization > Personal access tokens and check DNS records and domains.",
        source="Gandi Docs: Personal access token",
        examples=("GANDI_PAT={hex:40}",),
        counter_examples=("GANDI_PAT={hex:12}",),
        check="mixed",
        entropy=2.8,
    ),
    vendor_rule(
        "shodan-api-key",
        "Shodan API key",
        ("shodan",),
        r"[0-9A-Za-z]{32}",
        severity=Severity.LOW,
        remedy="Reset it on the account page.",
        source="Shodan Developer: API key",
        examples=("SHODAN_API_KEY={b62:32}",),
        counter_examples=("SHODAN_API_KEY={b62:20}",),
        check="mixed",
    ),
    vendor_rule(
        "virustotal-api-key",
        "VirusTotal API key",
        ("virustotal", "vt_api"),
        r"[0-9a-f]{64}",
        severity=Severity.MEDIUM,
        remedy="Regenerate it in the profile's API key page.",
        source="VirusTotal Docs: API authentication",
        examples=("VIRUSTOTAL_API_KEY={hex:64}",),
        counter_examples=("VIRUSTOTAL_SHA256={hex:64}",),
    ),
)
