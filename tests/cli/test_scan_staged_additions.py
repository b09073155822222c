"""`scan --staged` reports what the commit adds, and nothing that HEAD holds already."""

import json

import pytest

from tests.cli.conftest import Operator


@pytest.fixture
def leaky(operator: Operator, token: str) -> Operator:
    """A repository whose file `a.env` holds a credential since its first commit."""
    operator.write("a.env", f"A=1\nTOKEN={token}\n" + "x=1\n" * 20)
    operator.commit()
    return operator


def staged_paths(operator: Operator) -> list[str]:
    operator.git("add", "--all")
    ended = operator.run("scan", "--staged", "--format", "json")
    report = json.loads(ended.stdout)
    assert (ended.code, report["complete"]) == (1 if report["findings"] else 0, True)
    return [one["path"] for one in report["findings"]]


def test_a_mode_another_line_and_a_new_name_add_no_credential(leaky: Operator) -> None:
    file = leaky.folder / "a.env"
    file.chmod(0o755)
    assert staged_paths(leaky) == []
    file.write_text(file.read_text().replace("A=1", "B=2\nA=2"))
    assert staged_paths(leaky) == []
    file.rename(leaky.folder / "b.env")
    assert staged_paths(leaky) == []


def test_what_is_added_is_reported(leaky: Operator, token: str) -> None:
    file = leaky.folder / "a.env"
    file.write_text(file.read_text() + f"{'PASS' + 'WORD'}=Xk9#vQ2mLw8$\n")
    assert staged_paths(leaky) == ["a.env"]
    leaky.git("reset", "--quiet", "--hard")
    leaky.write("c.env", f"OTHER={token}\n")
    assert staged_paths(leaky) == ["c.env"]


def test_all_is_new_before_the_first_commit(operator: Operator, token: str) -> None:
    operator.git("init", "--quiet")
    operator.write("a.env", f"TOKEN={token}\n")
    assert staged_paths(operator) == ["a.env"]
