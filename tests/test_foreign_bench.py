"""scripts/bench detection --foreign: corpora in every layout are scanned, and their figures are those of a count by hand."""

import json
import os
import random
import string
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.foreign import ForeignCorpus, Judged, markdown, read_corpora, report_misses, score_foreign
from benchmarks.peers import Found

ROOT = Path(__file__).parents[1]
DICE = random.Random(7)


def password() -> str:
    return "k7R" + "".join(DICE.choices(string.ascii_letters + string.digits, k=11)) + "_4"


def assignment(name: str = "db_password") -> str:
    return f'{name} = "{password()}"\n'


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What the command writes for a folder with a corpus in each layout."""
    folder = tmp_path_factory.mktemp("foreign")
    cases = [
        {"rule": "acme", "text": assignment(), "expect": True},
        {"rule": "acme", "text": 'db_password = "changeme"\n', "expect": True, "aside": "stand-in"},
        {"rule": "other", "text": 'db_password = "password"\n', "expect": True, "path": "app.py"},
        {"rule": "other", "text": assignment(), "expect": False},
        {"rule": "other", "text": "nothing\n", "expect": False},
    ]
    write(folder / "cases/cases.jsonl", "".join(f"{json.dumps(one)}\n" for one in cases))
    write(folder / "labels/tree/a/one.py", f"import os\n{assignment()}\n{assignment()}")
    write(folder / "labels/tree/two.py", f"{assignment()}{assignment()}")
    write(
        folder / "labels/labels.csv",
        "path,first,last,category,truth,aside\na/one.py,2,2,Password,true,\na/one.py,3,3,Token,true,\na/one.py,1,1,UUID,true,an id\ntwo.py,1,1,Password,false,\n",
    )
    write(folder / "counts/tree/three.py", assignment() * 2 + assignment())
    write(folder / "counts/tree/four.py", assignment())
    write(folder / "counts/counts.csv", "path,lines\nthree.py,2\nfour.py,3\n")
    write(folder / "trees/checkouts/app/five.py", f"{assignment()}redis = 'redis://:{password()}@localhost:6379/0'\n")
    write(folder / "trees/checkouts/lib/six.py", "nothing\n")
    report = folder.with_name("report.json")
    command = [
        sys.executable,
        "-m",
        "benchmarks.detection",
        "--foreign",
        str(folder),
        "--no-peers",
        "--json",
        str(report),
    ]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "scripts")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "| cases | orchestra-creds | 3 |" in done.stdout
    return {one["corpus"]: one for one in json.loads(report.read_text())}


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_a_case_is_found_by_any_finding_in_its_file(figures: dict[str, dict[str, Any]]) -> None:
    cases = figures["cases"]
    assert (cases["true"], cases["recall"], cases["kept_recall"]) == (3, 1 / 3, 1 / 2)
    assert (cases["precision"], cases["false"], cases["f1"]) == (1 / 2, 1, 1 / 2)
    assert cases["kinds"] == {"acme": [1, 2], "other": [0, 1]}


def test_a_label_is_found_by_a_finding_on_its_lines(figures: dict[str, dict[str, Any]]) -> None:
    labels = figures["labels"]
    assert (labels["true"], labels["recall"], labels["kept_recall"]) == (3, 1 / 3, 1 / 2)
    assert (labels["precision"], labels["false"], labels["stray"]) == (1 / 2, 1, 2)


def test_lines_are_counted_up_to_those_that_a_file_has(figures: dict[str, dict[str, Any]]) -> None:
    counts = figures["counts"]
    assert (counts["true"], counts["recall"]) == (5, 3 / 5)
    assert counts["kinds"] == {"three.py": [2, 2], "four.py": [1, 3]}


def test_in_whole_trees_findings_of_low_severity_do_not_count(figures: dict[str, dict[str, Any]]) -> None:
    trees = figures["trees"]
    assert trees["stray"] == 1
    assert {name: count for name, (count, _) in trees["checkouts"].items()} == {"app": 1, "lib": 0}
    assert all(0 < size < 1 for _, size in trees["checkouts"].values())


def test_a_finding_over_several_lines_is_one_finding_on_what_is_true() -> None:
    corpus = ForeignCorpus("x", Path("/x"), [Judged("a", 2, 4, "Key", true=True), Judged("a", 5, 5, "Key", true=False)])
    score = score_foreign(corpus, "one", [Found("/x/a", 3, 9, "key", "{}"), Found("/x/a", 5, 5, "id", "{}")], 1.0)
    assert (score.recall, score.precision, score.false) == (1.0, 1 / 2, 1)
    assert "false: Key: a:5 as id" in report_misses(score)
    assert "| x | one | 1 | 1.000 | 1.000 | 0.500 | 0.667 | 1 | 0 | 1.0 |" in markdown([score])


@pytest.mark.parametrize(
    "broken",
    [
        {"labels.csv": "path,first,last,category,truth\ngone.py,1,1,Key,true\n"},
        {"labels.csv": "path,first,last,category,truth\nhere.py,1,1,Key,maybe\n", "tree/here.py": "\n"},
        {"labels.csv": "path,first\nhere.py,1\n", "tree/here.py": "\n"},
        {"cases.jsonl": '{"rule": "a"}\n'},
        {},
    ],
)
def test_a_corpus_that_cannot_be_read_is_refused(broken: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "in/corpus").mkdir(parents=True)
    for name, text in broken.items():
        write(tmp_path / "in/corpus" / name, text)
    with pytest.raises(SystemExit, match=r"cannot be read|no corpus"):
        read_corpora(tmp_path / "in", tmp_path / "work")
