"""Runs the samples and clients of others, which lie in DIR, against the embedded cloud in strict mode, and holds a floor.

DIR is filled once, from the network; nothing of it belongs into this repository:

  git clone --depth 1 --filter=blob:none --sparse https://github.com/GoogleCloudPlatform/python-docs-samples DIR
  git -C DIR sparse-checkout set secretmanager/snippets iam/cloud-client
  .venv/bin/pip install --no-deps --target DIR/python google-cloud-resource-manager backoff
  npm install --prefix DIR @google-cloud/secret-manager @google-cloud/storage googleapis google-auth-library

The clients are those of Google, unchanged; only the channel, the socket and the credentials below them lead to the loopback
(sample_clients.py). Each sample is printed with how it ended. The exit code is 1 if a suite passes fewer than its floor, or if one
that passed before is gone, and 2 if DIR lacks something.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.clouds import PROJECT, Cloud, cloud, switch_to_strict

HERE = Path(__file__).parent
PYTHON_PACKAGES = "python"
NODE_PACKAGES = ("@google-cloud/secret-manager", "@google-cloud/storage", "googleapis", "google-auth-library")


@dataclass(frozen=True, slots=True)
class Suite:
    """Samples that are run together: their files in DIR, or the checks of the Node clients, and how many have to pass."""

    name: str
    folder: str
    files: tuple[str, ...]
    passing: int
    total: int
    transport: str = ""


SUITES = (
    Suite("secretmanager-grpc", "secretmanager/snippets", ("snippets_test.py",), 35, 37),
    Suite("secretmanager-rest", "secretmanager/snippets", ("snippets_test.py",), 35, 37, "rest"),
    Suite("secretmanager-regional", "secretmanager/snippets", ("regional_samples/snippets_test.py",), 31, 33),
    Suite("iam", "iam/cloud-client", ("snippets",), 14, 20),
    Suite("node", "", (), 39, 41),
)
"""The floor: 154 of 168. Not served: tags, deny policies. Node's library asks Google for tokens of key files, wherever they are from."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a sample ended, and why it failed."""

    name: str
    passed: bool
    reason: str


def main() -> int:
    """Run the suites; 1 below a floor, 2 without samples."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench fidelity", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="where the samples and their clients lie")
    parser.add_argument("--only", action="append", choices=[suite.name for suite in SUITES], help="a suite; repeatable")
    options = parser.parse_args()
    suites = [suite for suite in SUITES if not options.only or suite.name in options.only]
    folder = options.folder.resolve()
    lacking = [str(path) for path in needed_paths(folder, suites) if not path.exists()]
    lacking += ["node on PATH"] if any(not suite.files for suite in suites) and shutil.which("node") is None else []
    if lacking:
        print(f"error: missing: {', '.join(lacking)}; --help says how DIR is filled", file=sys.stderr)
        return 2
    below = [suite.name for suite in suites if not holds_floor(suite, folder)]
    if below:
        print(f"error: below the floor: {', '.join(below)}", file=sys.stderr)
    return 1 if below else 0


def needed_paths(folder: Path, suites: Sequence[Suite]) -> list[Path]:
    """What the suites read."""
    samples = [folder / suite.folder / file for suite in suites for file in suite.files]
    python = [folder / PYTHON_PACKAGES] if samples else []
    node = [folder / "node_modules" / name for name in NODE_PACKAGES] if len(samples) < len(suites) else []
    return [*samples, *python, *node]


def holds_floor(suite: Suite, folder: Path) -> bool:
    """Run a suite in a project of its own and print how each sample ended; whether enough passed, and none is gone."""
    print(f"# {suite.name}", flush=True)
    with cloud() as made:
        switch_to_strict(made.state)
        endings = run_samples(suite, folder, made) if suite.files else run_node_checks(folder, made)
    for one in endings:
        print(f"{'pass' if one.passed else 'FAIL'}  {one.name}{'  ' + one.reason if one.reason else ''}")
    passed = sum(one.passed for one in endings)
    print(f"{suite.name}: {passed} of {len(endings)} pass, floor {suite.passing} of {suite.total}\n", flush=True)
    return passed >= suite.passing and len(endings) >= suite.total


def run_samples(suite: Suite, folder: Path, made: Cloud) -> list[Ending]:
    """The samples of Google's repository, by pytest in a process that knows of no other plugins."""
    results = made.work / "results.jsonl"
    results.touch()
    packages = os.pathsep.join([str(HERE.parent), str(folder / PYTHON_PACKAGES)])
    subprocess.run(
        [
            sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "--rootdir", str(folder), "--tb=short",
            "-p", "benchmarks.sample_clients", "-p", "no:cacheprovider", *suite.files,
        ],
        cwd=folder / suite.folder,
        env=variables(made) | {
            "FIDELITY_RESULTS": str(results),
            "FIDELITY_TRANSPORT": suite.transport,
            "GCLOUD_SECRETS_SERVICE_ACCOUNT": made.account("samples"),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPATH": packages,
        },
        stdout=subprocess.DEVNULL,
        check=False,
    )  # fmt: skip
    parts = [json.loads(line) for line in results.read_text().splitlines()]
    names = dict.fromkeys(part["name"] for part in parts)
    return [ending_of(name, [part for part in parts if part["name"] == name]) for name in names]


def ending_of(name: str, parts: Sequence[dict[str, str]]) -> Ending:
    """A sample passes if its set-up, its call and its clean-up do; one that is skipped does not."""
    bad = [part for part in parts if part["outcome"] != "passed"]
    return Ending(name.rpartition("/")[2], not bad, bad[0]["reason"] if bad else "")


def run_node_checks(folder: Path, made: Cloud) -> list[Ending]:
    """Our checks of the clients for Node."""
    done = subprocess.run(
        ["node", str(HERE / "fidelity.mjs")],
        cwd=folder,
        env=variables(made) | {"FIDELITY_WORK": str(made.work), "FIDELITY_TOKEN": "of-the-owner"},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    return [Ending(**json.loads(line)) for line in done.stdout.splitlines()]


def variables(made: Cloud) -> dict[str, str]:
    """Where the embedded cloud is, for both kinds of suites; nothing of the operator's own Google configuration."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GOOGLE_", "CLOUDSDK_"))}
    return kept | {
        "FIDELITY_GRPC": made.endpoints.grpc,
        "FIDELITY_HTTP": made.endpoints.http,
        "FIDELITY_STATE": str(made.state),
        "GOOGLE_CLOUD_PROJECT": PROJECT,
    }


if __name__ == "__main__":
    sys.exit(main())
