"""The procedure of the replaced shell script, driven with the real gcloud on the same embedded cloud, beside ours.

What it did (reference: rotate_service_account_keys.sh): create a key, add it to the secret, list the keys, sort their random names, keep
the last two and delete the rest. Both meet the same faults: every so often the reply to a changing call is lost.
"""

import json
import random
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import page
from benchmarks.clouds import cloud, key_config
from orchestra_creds.core.cloud_types import KeyOrigin
from orchestra_creds.emulator.protocol import faults
from orchestra_creds.emulator.protocol.errors import Code
from orchestra_creds.emulator.server import control
from orchestra_creds.errors import CredsError
from orchestra_creds.gcp.keys import IamKeyStore
from orchestra_creds.gcp.secrets import SecretManagerStore
from orchestra_creds.gcp.session import ApiSession, Endpoints
from orchestra_creds.gcp.tokens import KeyTokenIssuer

ROUNDS = 8
LOSSES = ("CreateServiceAccountKey", "UploadServiceAccountKey", "AddSecretVersion")
SCRIPT = """
set -e
gcloud iam service-accounts keys create key.json --iam-account={account} --quiet
gcloud secrets versions add app-key --data-file=key.json --quiet
gcloud iam service-accounts keys list --iam-account={account} --format='value(name)' | sort > keys
n=$(wc -l < keys)
if [ "$n" -gt 2 ]; then
    head -n $((n - 2)) keys | while read -r key; do
        gcloud iam service-accounts keys delete "${{key##*/}}" --iam-account={account} --quiet
    done
fi
rm -f key.json
"""


def beside_ours() -> str:
    """Time of a rotation, and how often readers broke or a key was lost under the same lost replies."""
    if shutil.which("gcloud") is None:
        return "gcloud is not installed: the old procedure was not measured\n"
    rows = [("under the same lost replies", "rotations", "seconds each", "readers broken", "keys lost for good")]
    rows += [
        ("the shell procedure with gcloud", *_measured(old=True)),
        ("orchestra-creds rotate", *_measured(old=False)),
    ]
    return page.table(rows)


def _measured(*, old: bool) -> tuple[str, ...]:
    chance = random.Random(5)
    broken, seconds = 0, []
    with cloud(key_config("upload")) as here, tempfile.TemporaryDirectory() as folder:
        account = here.account()
        daemon = control.find_daemon(here.state)
        assert daemon is not None
        ends = Endpoints(daemon.endpoints.grpc, daemon.endpoints.http)
        session = ApiSession("demo-project", endpoints=ends, environment={})
        here.run("rotate", "--all")  # both begin with a secret that holds a good key
        variables = control.environment(here.state, daemon.endpoints, project="demo-project", access_token="")
        environment = here.environment | dict(variables) | {"CLOUDSDK_CONFIG": str(Path(folder) / "config")}
        for _ in range(ROUNDS):
            here.advance(91)
            if chance.random() < 0.5:
                with control.change_state(here.state) as txn:
                    lost = faults.Fault(f"*/{chance.choice(LOSSES)}", Code.INTERNAL, faults.FaultPhase.AFTER, times=1)
                    faults.arm(txn, lost)
            began = time.perf_counter()
            if old:
                subprocess.run(
                    ["sh", "-c", SCRIPT.format(account=account)],
                    cwd=folder,
                    env=environment,
                    capture_output=True,
                    check=False,
                )
            else:
                here.run("rotate", "--all")
            seconds.append(time.perf_counter() - began)
            with control.change_state(here.state) as txn:
                faults.clear(txn)
            broken += not _authenticates(session)
        if not old:  # the orphan sweep and the retirement belong to later runs
            for _ in range(4):
                here.advance(8)
                here.run("rotate", "--all")
        lost = _lost(session, account)
        session.close()
    seconds.sort()
    return str(ROUNDS), f"{seconds[ROUNDS // 2]:.1f}", str(broken), str(lost)


def _authenticates(session: ApiSession) -> bool:
    try:
        KeyTokenIssuer(session).mint(SecretManagerStore(session).access("app-key", "latest").material)
    except CredsError:
        return False
    return True


def _lost(session: ApiSession, account: str) -> int:
    """Enabled keys that no readable version holds."""
    secrets, held = SecretManagerStore(session), set()
    for version in secrets.list_versions("app-key"):
        try:
            body: dict[str, Any] = json.loads(secrets.access("app-key", version.number).material.reveal())
        except CredsError:
            continue
        held.add(body["private_key_id"])
    keys = IamKeyStore(session).list_keys(account)
    return sum(key.origin is KeyOrigin.USER and not key.disabled and key.id not in held for key in keys)
