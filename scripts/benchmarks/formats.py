"""The table of credential kinds in the labelled corpus: name, group, words of a good name, and how one is made.

Groups: `google` is section 4a of the project's format notes, `common` the formats that every scanner should know,
`other` the long tail. Sources are the providers' own documentation of their tokens' shape.
"""

from collections.abc import Callable
from typing import Final

from benchmarks import tokens
from benchmarks.primes import Dice
from benchmarks.tokens import Format, Kind, Secret, fill

Maker = Callable[[Dice], str]


def _single(kind: Kind, name: str, text: str | Maker) -> Callable[[Dice], Secret]:
    def make(rng: Dice) -> Secret:
        return Secret(kind, ((name, fill(text, rng) if isinstance(text, str) else text(rng)),))

    return make


def _token(name: str, group: str, words: str, variable: str, text: str | Maker) -> Format:
    return Format(name, group, tuple(words.split()), _single(Kind.TOKEN, variable, text), Kind.TOKEN)


def _context(name: str, group: str, words: str, variable: str, text: str | Maker) -> Format:
    return Format(name, group, tuple(words.split()), _single(Kind.CONTEXT, variable, text), Kind.CONTEXT)


def _url(name: str, group: str, words: str, variable: str, text: str | Maker) -> Format:
    return Format(name, group, tuple(words.split()), _single(Kind.URL, variable, text), Kind.URL)


def _pem(name: str, group: str, words: str, variable: str, text: Maker) -> Format:
    return Format(name, group, tuple(words.split()), _single(Kind.PEM, variable, text), Kind.PEM)


def _pair(name: str, group: str, words: str, *values: tuple[str, str]) -> Format:
    def make(rng: Dice) -> Secret:
        return Secret(Kind.PAIR, tuple((variable, fill(text, rng)) for variable, text in values))

    return Format(name, group, tuple(words.split()), make, Kind.PAIR)


def _document(name: str, group: str, words: str, variable: str, make: Callable[[Dice], object]) -> Format:
    import json

    return Format(
        name,
        group,
        tuple(words.split()),
        _single(Kind.DOCUMENT, variable, lambda rng: json.dumps(make(rng))),
        Kind.DOCUMENT,
    )


def _file(name: str, group: str, words: str, path: str, text: str | Maker) -> Format:
    return Format(name, group, tuple(words.split()), _single(Kind.FILE, path, text), Kind.FILE)


def _binary(name: str, group: str, words: str, path: str, data: Callable[[Dice], bytes]) -> Format:
    return Format(
        name, group, tuple(words.split()), lambda rng: Secret(Kind.BINARY, ((path, ""),), data(rng)), Kind.BINARY
    )


def _claims(rng: Dice) -> dict[str, object]:
    return {
        "sub": fill("{d:9}", rng),
        "iss": f"https://auth.{fill('{az:7}', rng)}.io/",
        "iat": 1_760_000_000,
        "exp": 1_760_000_000 + rng.randint(3600, 86400),
        "scope": "orders:write",
    }


def _google_claims(rng: Dice) -> dict[str, object]:
    return {
        "iss": "https://accounts.google.com",
        "aud": "https://api.example-shop.io",
        "sub": fill("1{d:20}", rng),
        "email": f"deploy@{tokens.project(rng)}.iam.gserviceaccount.com",
        "iat": 1_760_000_000,
        "exp": 1_760_003_600,
    }


def _cluster_claims(rng: Dice) -> dict[str, object]:
    return {
        "iss": "kubernetes/serviceaccount",
        "kubernetes.io/serviceaccount/namespace": "default",
        "kubernetes.io/serviceaccount/secret.name": fill("deployer-token-{a9:5}", rng),
        "kubernetes.io/serviceaccount/service-account.name": "deployer",
        "sub": "system:serviceaccount:default:deployer",
    }


def _host(rng: Dice) -> str:
    return f"db-{fill('{az:5}{d:2}', rng)}.prod.{rng.choice(('acme', 'initech', 'globex'))}.io"


def _database(scheme: str, port: int, tail: str, user: str = "billing") -> Maker:
    return lambda rng: f"{scheme}://{user}:{tokens.plain_password(rng)}@{_host(rng)}:{port}/{tail}"


def _jdbc(rng: Dice) -> str:
    return f"jdbc:postgresql://{_host(rng)}:5432/orders?user=billing&password={tokens.plain_password(rng)}"


def _cluster_url(rng: Dice) -> str:
    return f"mongodb+srv://billing:{tokens.plain_password(rng)}@{fill('cluster0.{a9:5}', rng)}.mongodb.net/orders"


def _docker_auth(rng: Dice) -> object:
    import base64

    pair = f"deploybot:{tokens.plain_password(rng)}"
    return {"auths": {"https://index.docker.io/v1/": {"auth": base64.b64encode(pair.encode()).decode()}}}


def _storage(rng: Dice) -> str:
    import base64

    key = base64.b64encode(rng.randbytes(64)).decode()
    account = fill("{az:9}{d:2}", rng)
    return f"DefaultEndpointsProtocol=https;AccountName={account};AccountKey={key};EndpointSuffix=core.windows.net"


def _kubeconfig(rng: Dice) -> str:
    import base64

    key = base64.b64encode(tokens.pem(tokens.rsa_key(rng), "traditional").encode()).decode()
    return (
        "apiVersion: v1\nkind: Config\nclusters:\n- name: prod\n  cluster:\n    server: https://10.0.4.9:6443\n"
        f"users:\n- name: admin\n  user:\n    client-key-data: {key}\n"
    )


def _netrc(rng: Dice) -> str:
    return f"machine git.{fill('{az:7}', rng)}.io\n  login deploybot\n  password {tokens.plain_password(rng)}\n"


def _pgpass(rng: Dice) -> str:
    return f"{_host(rng)}:5432:orders:billing:{tokens.plain_password(rng)}\n"


def _wireguard(rng: Dice) -> str:
    import base64

    key, peer = (base64.b64encode(rng.randbytes(32)).decode() for _ in range(2))
    return (
        f"[Interface]\nPrivateKey = {key}\nAddress = 10.8.0.2/24\n\n[Peer]\nPublicKey = {peer}\n"
        "AllowedIPs = 10.8.0.0/24\nEndpoint = vpn.initech.io:51820\n"
    )


GOOGLE: Final = (
    _document(
        "google-service-account", "google", "service-account private-key", "GOOGLE_CREDENTIALS", tokens.service_account
    ),
    _binary("google-p12", "google", "p12 pkcs12 service-account", "service-account.p12", tokens.p12),
    _token("google-api-key", "google", "google gcp api-key", "GOOGLE_MAPS_API_KEY", "AIza{u64:35}"),
    _token("google-express-key", "google", "google gcp gemini api-key", "GEMINI_API_KEY", "AQ.Ab8R{u64:46}"),
    _token("google-client-secret", "google", "google oauth client", "GOOGLE_CLIENT_SECRET", "GOCSPX-{u64:28}"),
    _pair(
        "google-client-secret-legacy",
        "google",
        "google oauth client",
        ("GOOGLE_CLIENT_ID", "{d:12}-{a9:32}.apps.googleusercontent.com"),
        ("GOOGLE_CLIENT_SECRET", "{u64:24}"),
    ),
    _document("google-client-secret-file", "google", "google oauth client", "OAUTH_CLIENT", tokens.client_secret_file),
    _token("google-access-token", "google", "google oauth access", "GOOGLE_ACCESS_TOKEN", "ya29.{u64:140-220}"),
    _context("google-refresh-token", "google", "google refresh", "GOOGLE_REFRESH_TOKEN", "1//0{d:1}{u64:99}"),
    _document("google-authorized-user", "google", "google authorized-user refresh", "ADC_JSON", tokens.authorized_user),
    _document(
        "google-impersonated", "google", "google authorized-user refresh impersonated", "ADC_JSON", tokens.impersonated
    ),
    _pair(
        "google-hmac-account",
        "google",
        "google gcs hmac",
        ("GCS_ACCESS_KEY_ID", "GOOG1E{A9:55}"),
        ("GCS_SECRET", "{b64:40}"),
    ),
    _pair(
        "google-hmac-user",
        "google",
        "google gcs hmac",
        ("GCS_ACCESS_KEY_ID", "GOOG{A9:20}"),
        ("GCS_SECRET", "{b64:40}"),
    ),
    _token("google-fcm-key", "google", "google fcm firebase", "FCM_SERVER_KEY", "AAAA{u64:7}:APA91b{u64:134}"),
    _document("google-services-file", "google", "google gcp api-key", "GOOGLE_SERVICES", tokens.google_services),
)

COMMON: Final = (
    _token("github-classic", "common", "github", "GITHUB_TOKEN", lambda rng: tokens.checked("ghp_", rng)),
    _token("github-oauth", "common", "github", "GH_OAUTH_TOKEN", lambda rng: tokens.checked("gho_", rng)),
    _token("github-user", "common", "github", "GH_TOKEN", lambda rng: tokens.checked("ghu_", rng)),
    _token("github-server", "common", "github", "GH_APP_TOKEN", lambda rng: tokens.checked("ghs_", rng)),
    _token("github-fine-grained", "common", "github", "GITHUB_TOKEN", "github_pat_{b62:22}_{b62:59}"),
    _token("npm", "common", "npm", "NPM_TOKEN", lambda rng: tokens.checked("npm_", rng)),
    _token("gitlab", "common", "gitlab", "GITLAB_TOKEN", "glpat-{u64:20}"),
    _token("gitlab-routable", "common", "gitlab", "GITLAB_TOKEN", tokens.routable),
    _pair("aws", "common", "aws", ("AWS_ACCESS_KEY_ID", "AKIA{b32:16}"), ("AWS_SECRET_ACCESS_KEY", "{b64:40}")),
    _pair(
        "aws-temporary",
        "common",
        "aws",
        ("AWS_ACCESS_KEY_ID", "ASIA{b32:16}"),
        ("AWS_SECRET_ACCESS_KEY", "{b64:40}"),
        ("AWS_SESSION_TOKEN", "IQoJb3JpZ2luX2Vj{b64:300}"),
    ),
    _token("slack-bot", "common", "slack", "SLACK_BOT_TOKEN", "xoxb-{d:12}-{d:13}-{b62:24}"),
    _token("slack-user", "common", "slack", "SLACK_TOKEN", "xoxp-{d:12}-{d:12}-{d:13}-{hex:32}"),
    _token("slack-app", "common", "slack", "SLACK_APP_TOKEN", "xapp-1-A{A9:10}-{d:13}-{hex:64}"),
    _url(
        "slack-webhook",
        "common",
        "slack",
        "SLACK_WEBHOOK_URL",
        "https://hooks.slack.com/services/T{A9:10}/B{A9:10}/{b62:24}",
    ),
    _token("stripe-live", "common", "stripe", "STRIPE_SECRET_KEY", "sk_live_51{b62:97}"),
    _token("stripe-restricted", "common", "stripe", "STRIPE_KEY", "rk_live_51{b62:97}"),
    _token("stripe-short", "common", "stripe", "STRIPE_SECRET_KEY", "sk_live_{b62:24}"),
    _token("openai-project", "common", "openai", "OPENAI_API_KEY", "sk-proj-{u64:74}T3BlbkFJ{u64:74}"),
    _token("openai-service", "common", "openai", "OPENAI_API_KEY", "sk-svcacct-{u64:58}T3BlbkFJ{u64:58}"),
    _token("openai-legacy", "common", "openai", "OPENAI_API_KEY", "sk-{b62:20}T3BlbkFJ{b62:20}"),
    _token("anthropic", "common", "anthropic", "ANTHROPIC_API_KEY", "sk-ant-api03-{u64:93}AA"),
    _token("anthropic-admin", "common", "anthropic", "ANTHROPIC_ADMIN_KEY", "sk-ant-admin01-{u64:93}AA"),
    _token("pypi", "common", "pypi", "PYPI_TOKEN", tokens.macaroon),
    _token("huggingface", "common", "huggingface hugging-face", "HF_TOKEN", "hf_{Az:34}"),
    _token("huggingface-org", "common", "huggingface hugging-face", "HF_TOKEN", "api_org_{Az:34}"),
    _context("twilio-key", "common", "twilio", "TWILIO_API_KEY", "SK{hex:32}"),
    _pair(
        "twilio-account", "common", "twilio", ("TWILIO_ACCOUNT_SID", "AC{hex:32}"), ("TWILIO_AUTH_TOKEN", "{hex:32}")
    ),
    _token("sendgrid", "common", "sendgrid", "SENDGRID_API_KEY", "SG.{u64:22}.{u64:43}"),
    _token("grafana-service", "common", "grafana", "GRAFANA_TOKEN", "glsa_{b62:32}_{hex:8}"),
    _token("grafana-cloud", "common", "grafana", "GRAFANA_CLOUD_TOKEN", tokens.grafana_cloud),
    _url(
        "postgres-url", "common", "url postgres database basic", "DATABASE_URL", _database("postgresql", 5432, "orders")
    ),
    _url("mysql-url", "common", "url mysql database basic", "DATABASE_URL", _database("mysql", 3306, "orders")),
    _url("mongodb-url", "common", "url mongo database basic", "MONGO_URL", _cluster_url),
    _url("redis-url", "common", "url redis database basic", "REDIS_URL", _database("redis", 6379, "0", "default")),
    _url("amqp-url", "common", "url amqp database basic", "BROKER_URL", _database("amqps", 5671, "vhost")),
    _url("jdbc-url", "common", "url jdbc database basic password", "JDBC_URL", _jdbc),
    _token(
        "jwt",
        "common",
        "jwt json-web-token",
        "SESSION_JWT",
        lambda rng: tokens.jwt(rng, {"alg": "HS256", "typ": "JWT"}, _claims(rng)),
    ),
    _token(
        "google-id-token",
        "common",
        "jwt json-web-token google id-token",
        "ID_TOKEN",
        lambda rng: tokens.jwt(rng, {"alg": "RS256", "kid": fill("{hex:40}", rng), "typ": "JWT"}, _google_claims(rng)),
    ),
    _pem("pem-rsa", "common", "private-key", "PRIVATE_KEY", lambda rng: tokens.pem(tokens.rsa_key(rng), "traditional")),
    _pem("pem-pkcs8", "common", "private-key", "PRIVATE_KEY", lambda rng: tokens.pem(tokens.rsa_key(rng), "pkcs8")),
    _pem("pem-ec", "common", "private-key", "TLS_KEY", lambda rng: tokens.pem(tokens.elliptic(rng), "traditional")),
    _pem("pem-ed25519", "common", "private-key", "SIGNING_KEY", lambda rng: tokens.pem(tokens.edwards(rng), "pkcs8")),
    _pem("pem-openssh", "common", "private-key", "DEPLOY_KEY", lambda rng: tokens.pem(tokens.edwards(rng), "openssh")),
    _pem("pem-encrypted", "common", "private-key", "PRIVATE_KEY", tokens.encrypted_pem),
    _pem("pgp-private", "common", "private-key pgp", "SIGNING_KEY", tokens.pgp),
)

_DISCORD_HOOK = "https://discord.com/api/webhooks/{d:18}/{u64:68}"
_TEAMS_HOOK = "https://initech.webhook.office.com/webhookb2/{uuid}@{uuid}/IncomingWebhook/{hex:32}/{uuid}"

OTHER: Final = (
    _token("gitlab-pipeline", "other", "gitlab", "GITLAB_TRIGGER_TOKEN", "glptt-{hex:40}"),
    _token("gitlab-deploy", "other", "gitlab", "GITLAB_DEPLOY_TOKEN", "gldt-{u64:20}"),
    _token("gitlab-runner", "other", "gitlab", "RUNNER_TOKEN", "glrt-{u64:20}"),
    _token("digitalocean", "other", "digitalocean digital-ocean", "DO_TOKEN", "dop_v1_{hex:64}"),
    _token("digitalocean-oauth", "other", "digitalocean digital-ocean", "DO_TOKEN", "doo_v1_{hex:64}"),
    _token("shopify", "other", "shopify", "SHOPIFY_TOKEN", "shpat_{hex:32}"),
    _token("shopify-secret", "other", "shopify", "SHOPIFY_SECRET", "shpss_{hex:32}"),
    _token("databricks", "other", "databricks", "DATABRICKS_TOKEN", "dapi{hex:32}"),
    _token("dropbox", "other", "dropbox", "DROPBOX_TOKEN", "sl.{u64:136}"),
    _token("discord-bot", "other", "discord", "DISCORD_TOKEN", tokens.discord),
    _url("discord-webhook", "other", "discord", "DISCORD_WEBHOOK", _DISCORD_HOOK),
    _url("teams-webhook", "other", "teams microsoft", "TEAMS_WEBHOOK", _TEAMS_HOOK),
    _token("telegram-bot", "other", "telegram", "TELEGRAM_BOT_TOKEN", "{d:10}:AA{u64:33}"),
    _token("square-access", "other", "square", "SQUARE_TOKEN", "sq0atp-{u64:22}"),
    _token("square-secret", "other", "square", "SQUARE_SECRET", "sq0csp-{u64:43}"),
    _context("mailgun", "other", "mailgun", "MAILGUN_API_KEY", "key-{hex:32}"),
    _token("mailchimp", "other", "mailchimp", "MAILCHIMP_API_KEY", "{hex:32}-us{d:2}"),
    _token("newrelic", "other", "new-relic newrelic", "NEW_RELIC_API_KEY", "NRAK-{A9:27}"),
    _token("sentry-organisation", "other", "sentry", "SENTRY_AUTH_TOKEN", tokens.sentry),
    _token("sentry-user", "other", "sentry", "SENTRY_AUTH_TOKEN", "sntryu_{hex:64}"),
    _token("linear", "other", "linear", "LINEAR_API_KEY", "lin_api_{b62:40}"),
    _token("notion", "other", "notion", "NOTION_TOKEN", "ntn_{d:11}{b62:35}"),
    _token("postman", "other", "postman", "POSTMAN_API_KEY", "PMAK-{hex:24}-{hex:34}"),
    _token("pulumi", "other", "pulumi", "PULUMI_ACCESS_TOKEN", "pul-{hex:40}"),
    _token("terraform-cloud", "other", "terraform hashicorp", "TFE_TOKEN", "{b62:14}.atlasv1.{u64:67}"),
    _token("vault-service", "other", "vault hashicorp", "VAULT_TOKEN", "hvs.{u64:92}"),
    _token("vault-batch", "other", "vault hashicorp", "VAULT_TOKEN", "hvb.{u64:150}"),
    _token("doppler", "other", "doppler", "DOPPLER_TOKEN", "dp.pt.{b62:43}"),
    _token("fly", "other", "fly", "FLY_API_TOKEN", "fo1_{u64:43}"),
    _token("rubygems", "other", "rubygems", "GEM_HOST_API_KEY", "rubygems_{hex:48}"),
    _token("crates", "other", "crates cargo", "CARGO_REGISTRY_TOKEN", "cio{b62:32}"),
    _token("docker-hub", "other", "docker", "DOCKERHUB_TOKEN", "dckr_pat_{u64:27}"),
    _token("clojars", "other", "clojars", "CLOJARS_TOKEN", "CLOJARS_{hex:60}"),
    _token("airtable", "other", "airtable", "AIRTABLE_TOKEN", "pat{b62:14}.{hex:64}"),
    _token("atlassian", "other", "atlassian jira", "JIRA_TOKEN", tokens.atlassian),
    _token("azure-storage", "other", "azure", "AZURE_STORAGE_CONNECTION_STRING", _storage),
    _token("azure-client-secret", "other", "azure entra", "AZURE_CLIENT_SECRET", "{b62:3}8Q~{b62:34}"),
    _pair(
        "alibaba",
        "other",
        "alibaba",
        ("ALIBABA_ACCESS_KEY_ID", "LTAI{b62:20}"),
        ("ALIBABA_ACCESS_KEY_SECRET", "{b62:30}"),
    ),
    _pair("tencent", "other", "tencent", ("TENCENT_SECRET_ID", "AKID{b62:32}"), ("TENCENT_SECRET_KEY", "{b62:32}")),
    _token("cloudflare-origin", "other", "cloudflare", "CF_ORIGIN_CA_KEY", "v1.0-{hex:24}-{hex:146}"),
    _context("cloudflare-token", "other", "cloudflare", "CLOUDFLARE_API_TOKEN", "{u64:40}"),
    _token("heroku", "other", "heroku", "HEROKU_API_KEY", "HRKU-AA{u64:58}"),
    _token("netlify", "other", "netlify", "NETLIFY_AUTH_TOKEN", "nfp_{b62:36}"),
    _token("supabase", "other", "supabase", "SUPABASE_ACCESS_TOKEN", "sbp_{hex:40}"),
    _token("planetscale", "other", "planetscale", "PLANETSCALE_TOKEN", "pscale_tkn_{u64:43}"),
    _token("planetscale-password", "other", "planetscale", "PLANETSCALE_PASSWORD", "pscale_pw_{u64:43}"),
    _token("figma", "other", "figma", "FIGMA_TOKEN", "figd_{u64:40}"),
    _token("readme", "other", "readme", "README_API_KEY", "rdme_{a9:70}"),
    _token("prefect", "other", "prefect", "PREFECT_API_KEY", "pnu_{b62:36}"),
    _token("brevo", "other", "brevo sendinblue", "BREVO_API_KEY", "xkeysib-{hex:64}-{b62:16}"),
    _token("shippo", "other", "shippo", "SHIPPO_TOKEN", "shippo_live_{hex:40}"),
    _token("easypost", "other", "easypost", "EASYPOST_API_KEY", "EZAK{b62:54}"),
    _token("flutterwave", "other", "flutterwave", "FLW_SECRET_KEY", "FLWSECK-{hex:32}-X"),
    _token("duffel", "other", "duffel", "DUFFEL_TOKEN", "duffel_live_{u64:43}"),
    _token("dynatrace", "other", "dynatrace", "DT_API_TOKEN", "dt0c01.{b32:24}.{b32:64}"),
    _token("harness", "other", "harness", "HARNESS_API_KEY", "pat.{b62:22}.{hex:24}.{b62:20}"),
    _token("infracost", "other", "infracost", "INFRACOST_API_KEY", "ico-{b62:32}"),
    _token("openshift", "other", "openshift", "OPENSHIFT_TOKEN", "sha256~{u64:43}"),
    _token("perplexity", "other", "perplexity", "PERPLEXITY_API_KEY", "pplx-{b62:48}"),
    _token("groq", "other", "groq", "GROQ_API_KEY", "gsk_{b62:52}"),
    _token("replicate", "other", "replicate", "REPLICATE_API_TOKEN", "r8_{b62:37}"),
    _token("xai", "other", "xai x.ai", "XAI_API_KEY", "xai-{b62:80}"),
    _token("langsmith", "other", "langsmith langchain", "LANGSMITH_API_KEY", "lsv2_pt_{hex:32}_{hex:10}"),
    _token("nvidia", "other", "nvidia", "NVIDIA_API_KEY", "nvapi-{u64:64}"),
    _token("openrouter", "other", "openrouter", "OPENROUTER_API_KEY", "sk-or-v1-{hex:64}"),
    _token("tailscale", "other", "tailscale", "TS_AUTHKEY", "tskey-auth-k{b62:10}CNTRL-{b62:32}"),
    _token("sourcegraph", "other", "sourcegraph", "SRC_ACCESS_TOKEN", "sgp_{hex:16}_{hex:40}"),
    _token("sonarqube", "other", "sonar", "SONAR_TOKEN", "squ_{hex:40}"),
    _token("nuget", "other", "nuget", "NUGET_API_KEY", "oy2{a9:43}"),
    _token("age", "other", "age", "AGE_KEY", tokens.age_identity),
    _token("artifactory", "other", "artifactory jfrog", "ARTIFACTORY_API_KEY", "AKCp{b62:69}"),
    _token("buildkite", "other", "buildkite", "BUILDKITE_TOKEN", "bkua_{hex:40}"),
    _token("contentful", "other", "contentful", "CONTENTFUL_TOKEN", "CFPAT-{u64:43}"),
    _token("facebook", "other", "facebook meta", "FB_ACCESS_TOKEN", "EAAC{b62:180}"),
    _token("hubspot", "other", "hubspot", "HUBSPOT_TOKEN", "pat-na1-{uuid}"),
    _context("okta", "other", "okta", "OKTA_API_TOKEN", "00{u64:40}"),
    _token("plaid", "other", "plaid", "PLAID_ACCESS_TOKEN", "access-production-{uuid}"),
    _token("scalingo", "other", "scalingo", "SCALINGO_TOKEN", "tk-us-{u64:48}"),
    _token("slack-configuration", "other", "slack", "SLACK_CONFIG_TOKEN", "xoxe.xoxp-1-{b62:166}"),
    _token("yandex", "other", "yandex", "YC_API_KEY", "AQVN{u64:36}"),
    _token("onepassword", "other", "1password onepassword", "OP_SERVICE_ACCOUNT_TOKEN", tokens.one_password),
    _token("frameio", "other", "frame", "FRAMEIO_TOKEN", "fio-u-{u64:64}"),
    _token("mailersend", "other", "mailersend", "MAILERSEND_API_KEY", "mlsn.{hex:64}"),
    _token("resend", "other", "resend", "RESEND_API_KEY", "re_{b62:8}_{b62:24}"),
    _token("stripe-webhook", "other", "stripe webhook", "STRIPE_WEBHOOK_SECRET", "whsec_{b62:32}"),
    _token("posthog", "other", "posthog", "POSTHOG_API_KEY", "phx_{b62:43}"),
    _token("mapbox", "other", "mapbox", "MAPBOX_TOKEN", tokens.mapbox),
    _token("typeform", "other", "typeform", "TYPEFORM_TOKEN", "tfp_{b62:44}_{b62:14}"),
    _token("adobe", "other", "adobe", "ADOBE_CLIENT_SECRET", "p8e-{b62:32}"),
    _context("datadog", "other", "datadog", "DD_API_KEY", "{hex:32}"),
    _context("new-relic-license", "other", "new-relic newrelic", "NEW_RELIC_LICENSE_KEY", "{hex:36}NRAL"),
    _token(
        "kubernetes-token",
        "other",
        "kubernetes jwt",
        "K8S_TOKEN",
        lambda rng: tokens.jwt(rng, {"alg": "RS256", "kid": fill("{u64:43}", rng)}, _cluster_claims(rng)),
    ),
    _document("docker-auth", "other", "docker", "DOCKER_AUTH_CONFIG", _docker_auth),
    _url(
        "basic-auth-url",
        "other",
        "url basic",
        "ARTIFACTS_URL",
        lambda rng: f"https://deploybot:{tokens.plain_password(rng)}@artifacts.initech.io/repository/releases",
    ),
    _context("password", "other", "password generic secret", "DB_PASSWORD", tokens.password),
    _context("generic-secret", "other", "generic secret key", "APP_SECRET_KEY", "{b62:48}"),
    _file("kubeconfig", "other", "private-key kube", "kubeconfig.yaml", _kubeconfig),
    _file("netrc", "other", "netrc password", ".netrc", _netrc),
    _file("pgpass", "other", "pgpass password", ".pgpass", _pgpass),
    _file(
        "npmrc-legacy",
        "other",
        "npm",
        ".npmrc",
        "registry=https://npm.initech.io/\n//npm.initech.io/:_authToken={uuid}\n",
    ),
    _file("wireguard", "other", "wireguard private-key", "wg0.conf", _wireguard),
)

FORMATS: Final[tuple[Format, ...]] = GOOGLE + COMMON + OTHER
