"""The bucket, the run in the cloud and the alerts of the file: what is asked for, and what cannot be."""

from collections.abc import Mapping

import pytest

from orchestra_creds.core.resources import Resource, ResourceKind
from orchestra_creds.errors import ConfigError
from orchestra_creds.setup.alerts import LONGEST_ABSENCE, RULES, SILENT, alerts
from orchestra_creds.setup.state import bucket

EMAIL = "email:ops@example.com"
TWICE = "17 3,15 * * *"
MAIL = "creds-rotator@acme-dev.iam.gserviceaccount.com"


def by_rule(*rules: str, rotator: str = "", cron: str = TWICE) -> Mapping[str, Resource]:
    found = alerts([EMAIL], rules, rotator=rotator, cron=cron)
    return {one.ref.name.removeprefix("orchestra-creds "): one for one in found if one.ref.kind is ResourceKind.ALERT}


def test_no_rule_named_means_all_seven() -> None:
    assert set(by_rule()) == set(RULES)
    assert len(RULES) == 7


def test_without_a_schedule_that_could_be_missed_silence_is_no_rule() -> None:
    assert set(by_rule(cron="")) == set(RULES) - {SILENT}
    assert SILENT not in by_rule(cron="17 3 * * *")
    for cron in ("", "17 3 * * *"):
        with pytest.raises(ConfigError, match="more than once a day"):
            by_rule(SILENT, cron=cron)


def test_silence_waits_as_long_as_can_be_noticed_and_needs_its_metric() -> None:
    found = list(alerts([EMAIL], [SILENT], cron=TWICE))
    assert [one.ref.kind for one in found] == [ResourceKind.CHANNEL, ResourceKind.METRIC, ResourceKind.ALERT]
    assert found[2].fields["seconds"] == LONGEST_ABSENCE
    assert found[1].ref.name in str(found[2].fields["filter"])


def test_what_the_rotator_does_is_expected_and_what_it_must_not_do_is_told() -> None:
    found = by_rule(rotator=MAIL)
    left_out = {
        rule
        for rule, one in found.items()
        if f'NOT protoPayload.authenticationInfo.principalEmail="{MAIL}"' in str(one.fields["filter"])
    }
    assert left_out == {"key-created", "key-uploaded", "version-destroyed"}


@pytest.mark.parametrize(
    ("channels", "rules", "said"),
    [
        ([], [], "no channel is named"),
        (["ops@example.com"], [], "is no channel"),
        (["email:nobody"], [], "is no channel"),
        ([EMAIL], ["key-made"], "there is no rule 'key-made'"),
    ],
)
def test_alerts_that_cannot_be_are_one_line(channels: list[str], rules: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        list(alerts(channels, rules))


def test_a_bucket_is_versioned_and_never_public() -> None:
    _, found = bucket("acme-dev-state", "us-central1")
    assert found.fields == {
        "location": "US-CENTRAL1",
        "labels": {"managed-by": "orchestra-creds"},
        "versioning": True,
        "uniformAccess": True,
        "publicAccessPrevention": "enforced",
    }


@pytest.mark.parametrize(("name", "location"), [("Upper", "EU"), ("goog-x", "EU"), ("my-google", "EU"), ("fine", "")])
def test_a_bucket_that_cannot_be_is_one_line(name: str, location: str) -> None:
    with pytest.raises(ConfigError, match="state:"):
        list(bucket(name, location))
