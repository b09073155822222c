"""scripts/bench judge: what is left out or moved changes what is found, and nothing of it stays."""

import random
import string

import pytest

from benchmarks import judge as bench
from benchmarks.foreign import ForeignCorpus, Judged
from benchmarks.judge import FEATURES, JudgeBench, JudgeScore
from orchestra_creds.scanner.checks import judge
from tests.scanner.engines import fast

DICE = random.Random(11)
PASSWORDS = ["k7R" + "".join(DICE.choices(string.ascii_letters + string.digits, k=11)) + "_4" for _ in range(2)]
TEXT = f"""
password = "{PASSWORDS[0]}"
api_key = "{"".join(DICE.choices("0123456789abcdef", k=40))}"
password = "correctHorse1"
password = get_password(user_9, 12)
"""


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> JudgeBench:
    folder = tmp_path_factory.mktemp("judge")
    (folder / "app.py").write_text(TEXT)
    (folder / "app").mkdir()
    (folder / "app/six.py").write_text(f'db_password = "{PASSWORDS[1]}"\n')
    labels = [Judged("app.py", line, line, "Password", true=line < 4) for line in range(2, 6)]
    labelled = ForeignCorpus("labels", folder, labels)
    return JudgeBench([labelled, ForeignCorpus("trees", folder, checkouts=["app"])], fast())


def test_labels_and_trees_are_counted(texts: JudgeBench) -> None:
    score = texts.measure()
    assert (score.met, score.good, score.bad) == (2, 2, 0)
    assert (texts.true, score.precision, score.recall(texts.true)) == (2, 1.0, 1.0)
    assert score.trees >= 1


def test_higher_thresholds_find_less_and_nothing_stays_moved(texts: JudgeBench) -> None:
    before = texts.measure()
    with bench.shifted(1000):
        assert texts.measure().met < before.met
    assert texts.measure() == before


@pytest.mark.parametrize("feature", FEATURES)
def test_every_feature_can_be_left_out_and_comes_back(feature: str, texts: JudgeBench) -> None:
    before = texts.measure()
    with bench.without(feature):
        left = texts.measure()
    assert left.met >= before.met
    assert texts.measure() == before


def test_without_the_pairs_of_letters_and_the_words_a_word_is_a_password(texts: JudgeBench) -> None:
    with bench.without("pairs of letters"), bench.without("common words"):
        assert texts.measure().bad == 1


def test_every_different_value_is_timed_once(texts: JudgeBench) -> None:
    values = texts.values()
    assert {judge.is_password, judge.is_secret} >= {function for function, _, _ in values}
    assert PASSWORDS[0].encode() in {positional[0] for _, positional, _ in values}
    count, microseconds = bench.time_values(texts, rounds=1)
    assert count == len(values)
    assert 0 < microseconds < 10_000


def test_the_score_of_nothing_is_zero() -> None:
    assert (JudgeScore(0, 0, 0, 0).precision, JudgeScore(0, 0, 0, 0).recall(0)) == (0.0, 0.0)
