import pytest

from orchestra_creds.errors import ConfigError
from orchestra_creds.scanner.checks.registry import families
from orchestra_creds.scanner.rule import Severity
from orchestra_creds.scanner.rulebook.catalog import FAMILIES, all_rules, select


def test_ids_are_unique_and_in_order() -> None:
    ids = [rule.id for rule in all_rules()]
    assert ids == sorted(set(ids))


def test_no_family_is_forgotten() -> None:
    assert len(all_rules()) == sum(len(rules) for rules in FAMILIES.values()) >= 150


def test_names_of_checks_are_unique_among_the_families() -> None:
    names = [name for checks in families() for name in checks]
    assert len(names) == len(set(names)) > 40


def test_only_names_the_whole_choice() -> None:
    assert [rule.id for rule in select(all_rules(), only=["private-key", "google-api-key"])] == [
        "google-api-key",
        "private-key",
    ]


def test_a_pattern_names_all_that_it_matches_and_an_id_only_itself() -> None:
    google = {rule.id for rule in select(all_rules(), only=["google-*"])}
    assert google == {rule.id for rule in all_rules() if rule.id.startswith("google-")} != set()
    assert {rule.id for rule in select(all_rules(), only=["google-*", "jwt"], exclude=["google-o*"])} == {
        *(name for name in google if not name.startswith("google-o")),
        "jwt",
    }
    with pytest.raises(ConfigError, match=r"no rule is called 'gogle-\*'"):
        select(all_rules(), only=["gogle-*"])


def test_excluded_rules_are_left_out() -> None:
    chosen = select(all_rules(), exclude=["google-api-key"])
    assert len(chosen) == len(all_rules()) - 1
    assert "google-api-key" not in {rule.id for rule in chosen}


def test_exclusion_wins_over_inclusion() -> None:
    assert select(all_rules(), only=["private-key"], exclude=["private-key"]) == ()


def test_lower_severities_are_left_out() -> None:
    assert {rule.severity for rule in select(all_rules(), severity=Severity.HIGH)} == {Severity.HIGH, Severity.CRITICAL}


@pytest.mark.parametrize("field", ["only", "exclude"])
def test_an_unknown_rule_is_an_error_that_names_the_nearest(field: str) -> None:
    names = ["google-api-keys"]
    with pytest.raises(ConfigError, match="no rule is called 'google-api-keys'") as caught:
        select(all_rules(), only=names if field == "only" else (), exclude=names if field == "exclude" else ())
    assert caught.value.hint == "did you mean 'google-api-key'?"


def test_a_name_like_no_other_points_to_the_list() -> None:
    with pytest.raises(ConfigError) as caught:
        select(all_rules(), only=["zzzzzzzz"])
    assert "scan rules" in caught.value.hint
