"""Every rule against its own examples, through the engine that operators use."""

import base64

import pytest

from orchestra_creds.scanner.checks.registry import families
from orchestra_creds.scanner.detection import Detection
from orchestra_creds.scanner.engine.engine import Engine
from orchestra_creds.scanner.rule import Rule, Severity
from orchestra_creds.scanner.rulebook.catalog import all_rules
from orchestra_creds.scanner.samples.sample import render
from tests.scanner.engines import fast

SEEDS = range(3)
FRAMES = ("{}", "\n{}\n", "# note\n{}\n# end\n")
"""An example stands alone, on lines of its own, and among others."""

NO_BODY_OF_ITS_OWN = {"google-service-account-p12", "pkcs12-store"}


@pytest.fixture(scope="module")
def engine() -> Engine:
    return fast()


def found(engine: Engine, text: str) -> list[Detection]:
    data = text.encode()
    return engine.examine(data, engine.find_hits(data))


@pytest.mark.parametrize("rule", all_rules(), ids=lambda rule: rule.id)
def test_a_rule_finds_its_examples(engine: Engine, rule: Rule) -> None:
    for example in rule.examples:
        for seed in SEEDS:
            text = FRAMES[seed % len(FRAMES)].format(render(example, seed=seed))
            assert rule.id in {one.rule.id for one in found(engine, text)}, (example, seed)


@pytest.mark.parametrize("rule", [rule for rule in all_rules() if rule.counter_examples], ids=lambda rule: rule.id)
def test_a_rule_leaves_its_counter_examples_alone(engine: Engine, rule: Rule) -> None:
    for example in rule.counter_examples:
        for seed in SEEDS:
            text = FRAMES[seed % len(FRAMES)].format(render(example, seed=seed))
            assert rule.id not in {one.rule.id for one in found(engine, text)}, (example, seed)


def test_what_a_detection_read_holds_what_it_found(engine: Engine) -> None:
    for rule in all_rules():
        text = "# before\n" * 8 + render(rule.examples[0]) + "\n# behind\n" * 8
        for one in found(engine, text):
            assert 0 <= one.read_from <= one.start < one.end <= one.read_to <= len(text.encode()), one


def test_a_detection_is_the_same_when_only_what_it_read_is_left(engine: Engine) -> None:
    for rule in all_rules():
        text = ("# before\n" * 8 + render(rule.examples[0]) + "\n# behind\n" * 8).encode()
        for one in engine.settle(found(engine, text.decode())):
            part = text[one.read_from : one.read_to]
            again = engine.examine(part, engine.find_hits(part))
            assert any((hit.rule, hit.material) == (one.rule, one.material) for hit in again), (rule.id, one)


def test_every_named_check_exists() -> None:
    assert {rule.check for rule in all_rules() if rule.check} <= {name for checks in families() for name in checks}


def test_every_check_serves_a_rule() -> None:
    assert {name for checks in families() for name in checks} <= {rule.check for rule in all_rules()}


def test_every_rule_says_what_to_do_and_where_its_format_is_written_down() -> None:
    for rule in all_rules():
        assert rule.description
        assert rule.remedy.endswith("."), rule.id
        assert rule.source, rule.id
        assert rule.examples, rule.id


def test_keywords_are_lower_case_and_stand_in_every_example() -> None:
    for rule in all_rules():
        for example in rule.examples:
            text = render(example).lower()
            if rule.keywords and not _is_wrapped(text):
                assert any(keyword in text for keyword in rule.keywords), (rule.id, example)
        assert all(keyword == keyword.lower() for keyword in rule.keywords), rule.id


def _is_wrapped(text: str) -> bool:
    """Whether the example is encoded, so that its keywords cannot be read in it."""
    try:
        return bool(base64.b64decode(text, validate=True))
    except ValueError:
        return False


def test_rules_without_a_format_are_at_most_medium() -> None:
    assert all(rule.severity <= Severity.MEDIUM for rule in all_rules() if rule.id.startswith("generic"))


def test_the_prefix_a_mask_may_show_starts_the_material(engine: Engine) -> None:
    for rule in all_rules():
        if rule.prefix:
            hits = [one for one in found(engine, render(rule.examples[0])) if one.rule.id == rule.id]
            assert all(hit.material.reveal().startswith(rule.prefix.encode()) for hit in hits), rule.id
