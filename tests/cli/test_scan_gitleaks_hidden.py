"""What files of gitleaks hide is counted and printed."""

import json

import pytest

from tests.cli.conftest import Operator

FILES = {
    "--gitleaks-ignore": "a.env:github-pat:1\n",
    "--gitleaks-baseline": '[{"File": "a.env", "RuleID": "github-pat", "StartLine": 1, "Secret": "REDACTED"}]',
    "--gitleaks-config": "[allowlist]\npaths = ['''a\\.env''']\n",
}


@pytest.mark.parametrize("option", FILES)
def test_hidden_findings_are_counted(operator: Operator, token: str, option: str) -> None:
    operator.write("a.env", f"TOKEN={token}\n")
    file = str((operator.home / "gitleaks-file").absolute())
    (operator.home / "gitleaks-file").write_text(FILES[option])
    ended = operator.run("scan", option, file, "--format", "json")
    stats = json.loads(ended.stdout)["stats"]
    assert (ended.code, stats["findings"], stats["gitleaks"]) == (0, 0, 1)
    assert "1 hidden by gitleaks files" in operator.run("scan", option, file).text
