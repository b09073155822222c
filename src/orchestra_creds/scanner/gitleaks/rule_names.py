"""Which of our rules look for what a rule of gitleaks' own set looks for, so that configurations and ignores keep meaning.

Only rules whose names differ are here; `*` at the end stands for every rule whose id begins so.
"""

_EQUALS: dict[str, tuple[str, ...]] = {
    "aws-access-token": ("aws-access-key-id", "aws-access-key-pair"),
    "aws-amazon-bedrock-api-key-long-lived": ("aws-bedrock-api-key",),
    "aws-amazon-bedrock-api-key-short-lived": ("aws-bedrock-short-term-key",),
    "azure-ad-client-secret": ("azure-client-secret", "azure-legacy-client-secret"),
    "anthropic-admin-api-key": ("anthropic-admin-key",),
    "databricks-api-token": ("databricks-personal-access-token",),
    "digitalocean-access-token": ("digitalocean-oauth-token",),
    "digitalocean-pat": ("digitalocean-personal-access-token",),
    "gcp-api-key": ("google-api-key", "google-client-api-key"),
    "generic-api-key": ("generic-*",),
    "github-app-token": ("github-app-user-token", "github-app-installation-token"),
    "github-fine-grained-pat": ("github-fine-grained-token",),
    "github-oauth": ("github-oauth-access-token",),
    "github-pat": ("github-personal-access-token",),
    "github-refresh-token": ("github-app-refresh-token",),
    "gitlab-cicd-job-token": ("gitlab-ci-job-token",),
    "gitlab-pat": ("gitlab-personal-access-token",),
    "gitlab-pat-routable": ("gitlab-routable-token",),
    "gitlab-ptt": ("gitlab-pipeline-trigger-token",),
    "gitlab-rrt": ("gitlab-runner-registration-token",),
    "heroku-api-key-v2": ("heroku-api-token", "heroku-api-key"),
    "huggingface-organization-api-token": ("huggingface-organization-token",),
    "openai-api-key": ("openai-*",),
    "private-key": ("private-key", "private-key-locked", "ssh-private-key", "pgp-private-key"),
    "rubygems-api-token": ("rubygems-api-key",),
    "stripe-access-token": ("stripe-live-*", "stripe-test-*"),
}


def equals(id_: str) -> tuple[str, ...]:
    """Patterns of the ids of our rules that do the work of gitleaks' rule `id_`; () when there are none."""
    return _EQUALS.get(id_, ())


def means(id_: str, ours: str) -> bool:
    """Whether `id_`, ours or gitleaks' own, means our rule `ours`."""
    return id_ == ours or any(
        ours.startswith(name[:-1]) if name.endswith("*") else ours == name for name in equals(id_)
    )
