"""Checks that read no further than `verdict.NARROW` says judge as if they could read everything."""

import random

import pytest
from pytest_mock import MockerFixture

from orchestra_creds.scanner.checks.registry import check_of
from orchestra_creds.scanner.checks.verdict import LOOK_BACK, LOOK_FORWARD, NARROW, reach
from orchestra_creds.scanner.engine import confirm
from orchestra_creds.scanner.engine.confirm import Examiner
from orchestra_creds.scanner.rulebook.catalog import all_rules
from orchestra_creds.scanner.samples.sample import render

RULES = [rule for rule in all_rules() if rule.check in NARROW]
WORDS = b"host=db user=app path hash = \n\n { } ' \" = : ; & // sha256 md5 server id://a.b/ example x"


def surroundings(rng: random.Random, size: int) -> bytes:
    words = WORDS.split(b" ")
    text = b" ".join(rng.choices(words, k=size // 3))
    return text.replace(b" ", b"", 40) if rng.random() < 0.5 else text


def test_every_narrow_check_exists_and_reads_less_than_others() -> None:
    assert all(check_of(name) for name in NARROW)
    assert all(back < LOOK_BACK and ahead < LOOK_FORWARD for back, ahead in NARROW.values())
    assert reach("google-service-account") == (LOOK_BACK, LOOK_FORWARD)


@pytest.mark.parametrize("check", sorted(NARROW))
def test_a_narrow_view_changes_no_verdict(check: str, mocker: MockerFixture) -> None:
    rng = random.Random(check)
    judged = 0
    rules = [rule for rule in RULES if rule.check == check]
    for rule in rng.sample(rules, min(len(rules), 25)):
        for number, example in enumerate((*rule.examples, *rule.counter_examples) * 3):
            text = render(example, seed=number).encode()
            data = surroundings(rng, rng.randrange(900)) + b"\n" + text + b"\n" + surroundings(rng, rng.randrange(900))
            ends = list(range(0, len(data), 200))
            narrow = [match.detection for match in Examiner([rule]).confirm(0, data, ends)]
            with_all = mocker.patch.object(confirm, "reach", return_value=(LOOK_BACK, LOOK_FORWARD))
            wide = [match.detection for match in Examiner([rule]).confirm(0, data, ends)]
            mocker.stop(with_all)
            assert narrow == wide
            for one in narrow:
                back, ahead = NARROW[check]
                assert one.read_from >= one.start - back - rule.longest - 1
                assert one.read_to <= one.end + ahead + rule.longest + 1
            judged += len(wide)
    assert judged
