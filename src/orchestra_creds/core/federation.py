"""Workload identity federation with GitHub: mapping, condition and members, generated and never written by hand.

Only numbers gate: names of owners and repositories can be taken over by others after a rename, and since 2026 the subject of a token may
carry numbers of its own (docs/setup.md). Source of the claims: docs.github.com/actions/reference/openid-connect-reference.
"""

from collections.abc import Sequence

from orchestra_creds.core.resources import NUMBER
from orchestra_creds.errors import ConfigError

ISSUER = "https://token.actions.githubusercontent.com"
SUBJECT = "google.subject"
MAPPING = {
    SUBJECT: "'repository:' + assertion.repository_id",
    **{
        f"attribute.{name}": f"assertion.{name}"
        for name in (
            "actor_id",
            "event_name",
            "job_workflow_ref",
            "ref",
            "repository",
            "repository_id",
            "repository_owner_id",
        )
    },
}
"""The subject is short, because Google refuses one beyond 127 bytes and `assertion.sub` holds names of owner, repository and ref."""
UNSAFE_EVENTS = frozenset({"pull_request_target", "workflow_run", "issue_comment"})
"""Events that run with rights of the repository on input of strangers."""
LONGEST_CONDITION = 4096
"""Characters (iam REST reference, OIDC provider)."""


def condition(
    owner_id: int,
    repository_ids: Sequence[int],
    refs: Sequence[str],
    events: Sequence[str],
    *,
    environment: str = "",
    not_environments: Sequence[str] = (),
) -> str:
    """The attribute condition in CEL. `not_environments` keeps a wider pool disjoint from the pools of protected environments.

    Raises:
        ConfigError: something that it must name is missing, or unsafe, or it becomes too long.
    """
    if owner_id <= 0 or not repository_ids or any(number <= 0 for number in repository_ids):
        raise ConfigError(
            "federation needs the numbers of the GitHub owner and its repositories",
            hint="gh api users/OWNER --jq .id; gh api repos/OWNER/REPOSITORY --jq .id",
        )
    if not refs or not events:
        raise ConfigError("federation needs at least one ref and one event", hint='refs = ["refs/heads/main"]')
    unsafe = sorted(UNSAFE_EVENTS & set(events))
    if unsafe:
        raise ConfigError(f"event {unsafe[0]} runs on input of strangers and cannot be let in", hint="use push")
    parts = [
        f"assertion.repository_owner_id == {_text(str(owner_id))}",
        f"assertion.repository_id in {_list([str(number) for number in repository_ids])}",
        f"assertion.ref in {_list(refs)}",
        f"assertion.event_name in {_list(events)}",
    ]
    if environment:
        parts.append(f"assertion.environment == {_text(environment)}")
    elif not_environments:
        parts.append(f"!(has(assertion.environment) && assertion.environment in {_list(not_environments)})")
    text = " && ".join(parts)
    if len(text) > LONGEST_CONDITION:
        raise ConfigError(
            f"the condition of a provider would have {len(text)} characters, the limit is {LONGEST_CONDITION}"
        )
    return text


def member(pool: str, repository_id: int) -> str:
    """The runs of one repository that a pool lets in."""
    return f"principalSet://{_path(pool, NUMBER)}/attribute.repository_id/{repository_id}"


def is_subject_of(pool: str, number: str, member: str) -> bool:
    """Return whether a member of a policy names one subject of a pool; `number` is that of the project."""
    return member.startswith(f"principal://{_path(pool, number)}/subject/")


def _path(pool: str, number: str) -> str:
    return f"iam.googleapis.com/projects/{number}/locations/global/workloadIdentityPools/{pool}"


def _list(texts: Sequence[str]) -> str:
    return "[" + ", ".join(_text(text) for text in texts) + "]"


def _text(text: str) -> str:
    if not text.isprintable() or set(text) & set("'\"\\"):
        raise ConfigError(f"{text!r} cannot stand in a condition", hint="no quotes, backslashes or control characters")
    return f"'{text}'"
