"""One accepted finding speaks for one place, also when its file is gone."""

import json

from tests.cli.conftest import Operator


def test_only_one_copy_inherits_what_was_accepted(operator: Operator, token: str) -> None:
    operator.write("fixture.py", f"key = '{token}'\n")
    assert operator.run("scan", "baseline", "create", "--reason", "a fixture").code == 0
    (operator.folder / "fixture.py").rename(operator.folder / "prod.py")
    assert operator.run("scan").code == 0
    operator.write("prod2.py", f"key = '{token}'\n")
    operator.write("x/prod3.py", f"key = '{token}'\n")
    ended = operator.run("scan", "--format", "json")
    assert ended.code == 1
    stats = json.loads(ended.stdout)["stats"]
    assert (stats["accepted"], stats["findings"]) == (1, 2)
