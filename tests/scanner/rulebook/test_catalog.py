import pytest

from orchestra_creds.errors import ConfigError
from orchestra_creds.scanner.checks.registry import families
from orchestra_creds.scanner.rulebook.catalog import FAMILIES, all_rules, check_rule_names


def test_ids_are_unique_and_in_order() -> None:
    ids = [rule.id for rule in all_rules()]
    assert ids == sorted(set(ids))


def test_no_family_is_forgotten() -> None:
    assert len(all_rules()) == sum(len(rules) for rules in FAMILIES.values()) >= 150


def test_names_of_checks_are_unique_among_the_families() -> None:
    names = [name for checks in families() for name in checks]
    assert len(names) == len(set(names)) > 40


def test_an_id_and_a_pattern_that_matches_are_names_of_rules() -> None:
    check_rule_names(all_rules(), ["private-key", "google-*"])


@pytest.mark.parametrize("name", ["google-api-keys", "google-api-keys*"])
def test_an_unknown_rule_is_an_error_that_names_the_nearest(name: str) -> None:
    with pytest.raises(ConfigError, match="no rule is called 'google-api-keys") as caught:
        check_rule_names(all_rules(), ["private-key", name])
    assert caught.value.hint == "did you mean 'google-api-key'?"


def test_a_name_like_no_other_points_to_the_list() -> None:
    with pytest.raises(ConfigError) as caught:
        check_rule_names(all_rules(), ["zzzzzzzz"])
    assert "scan rules" in caught.value.hint
