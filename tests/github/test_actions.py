"""Secrets of GitHub Actions: sealed, sent with the token in one header, and every refusal told apart."""

from collections.abc import Iterator

import pytest

from orchestra_creds.core.material import Material
from orchestra_creds.errors import (
    AuthError,
    ConfigError,
    CredsError,
    NotFoundError,
    PreconditionError,
    UnavailableError,
)
from orchestra_creds.github.actions import ActionsSecret
from tests.github.server import GitHub
from tests.serving import serving

VALUE = Material(b"first material\n\x00\xff")


@pytest.fixture
def github() -> Iterator[GitHub]:
    with serving(GitHub()) as server:
        yield server


def test_github_gets_the_token_in_one_header_and_the_value_sealed(github: GitHub) -> None:
    secret = ActionsSecret(
        "gh", "acme/app", "SA_KEY", lambda: Material(b"token-1\n"), environment="prod", api=github.url
    )
    secret.put(VALUE, identifier="k", version=1)
    assert github.opened("/repos/acme/app/environments/prod/secrets/SA_KEY") == VALUE
    assert {authorization for _, _, authorization in github.asked} == {"Bearer token-1"}


@pytest.mark.parametrize(
    ("status", "headers", "kind"),
    [
        (401, {}, AuthError),
        (403, {}, AuthError),
        (403, {"x-ratelimit-remaining": "0"}, UnavailableError),
        (403, {"retry-after": "60"}, UnavailableError),
        (429, {}, UnavailableError),
        (404, {}, NotFoundError),
        (422, {}, PreconditionError),
        (502, {}, UnavailableError),
        (302, {"location": "http://127.0.0.1:1/"}, PreconditionError),
    ],
)
def test_githubs_refusals_are_told_apart(
    github: GitHub, status: int, headers: dict[str, str], kind: type[CredsError]
) -> None:
    github.answer, github.headers = status, headers
    with pytest.raises(kind) as caught:
        ActionsSecret("gh", "acme/app", "KEY", lambda: Material(b"t"), api=github.url).check()
    assert type(caught.value) is kind


@pytest.mark.parametrize(
    ("repository", "secret", "api"),
    [
        ("acme", "KEY", "https://api.github.com"),
        ("acme/app", "GITHUB_X", "https://api.github.com"),
        ("acme/app", "a-b", "https://api.github.com"),
        ("acme/app", "KEY", "http://example.com"),
        ("acme/../x", "KEY", "https://api.github.com@evil.example/"),
    ],
)
def test_names_and_addresses_that_are_none_are_refused(repository: str, secret: str, api: str) -> None:
    with pytest.raises(ConfigError):
        ActionsSecret("gh", repository, secret, lambda: Material(b"t"), api=api)


def test_too_much_for_github_is_refused(github: GitHub) -> None:
    with pytest.raises(ConfigError, match="GitHub takes"):
        ActionsSecret("gh", "a/b", "K", lambda: Material(b"t"), api=github.url).put(
            Material(b"x" * 50_000), identifier="k", version=1
        )
    assert github.asked == []
