"""scripts/bench fidelity: the samples in a folder are run on the embedded cloud, and too few that pass end it with 1."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SAMPLES = """
import os, time
import google.auth
import pytest
from google.cloud import iam_admin_v1, secretmanager

PROJECT = google.auth.default()[1]

def test_account():
    client = iam_admin_v1.IAMClient()
    assert client.get_service_account(name=f"projects/{PROJECT}/serviceAccounts/{os.environ['GCLOUD_SECRETS_SERVICE_ACCOUNT']}")

def test_secret():
    time.sleep(3600)
    client = secretmanager.SecretManagerServiceClient()
    parent = f"projects/{PROJECT}"
    made = client.create_secret(parent=parent, secret_id="one", secret={"replication": {"automatic": {}}})
    assert PROJECT not in made.name

def test_refused():
    iam_admin_v1.IAMClient().get_service_account(name=f"projects/{PROJECT}/serviceAccounts/nobody@example.com")

def test_skipped():
    pytest.skip("no rights")
"""


def bench(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.fidelity", str(folder), *options]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "scripts")}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_every_sample_is_told_with_its_reason_and_too_few_end_with_1(tmp_path: Path) -> None:
    missing = bench(tmp_path, "--only", "iam")
    assert (missing.returncode, "iam/cloud-client/snippets" in missing.stderr) == (2, True)
    samples = tmp_path / "iam" / "cloud-client" / "snippets"
    samples.mkdir(parents=True)
    (samples / "samples_test.py").write_text(SAMPLES)
    manager = tmp_path / "python" / "google" / "cloud" / "resourcemanager_v3"
    manager.mkdir(parents=True)
    (manager / "__init__.py").write_text(
        "class Chooser(type):\n    _transport_registry = {'rest': None}\nclass ProjectsClient(metaclass=Chooser): pass\n"
    )
    ended = bench(tmp_path, "--only", "iam")
    assert ended.returncode == 1, ended.stderr
    told = {line.split("  ")[1]: line for line in ended.stdout.splitlines() if "::" in line}
    assert {name.rpartition("::")[2]: line[:4] for name, line in told.items()} == {
        "test_account": "pass",
        "test_secret": "pass",
        "test_refused": "FAIL",
        "test_skipped": "FAIL",
    }
    assert "404" in next(line for name, line in told.items() if name.endswith("refused"))
    assert "no rights" in next(line for name, line in told.items() if name.endswith("skipped"))
    assert "iam: 2 of 4 pass, floor 14 of 20" in ended.stdout
    assert "below the floor: iam" in ended.stderr
