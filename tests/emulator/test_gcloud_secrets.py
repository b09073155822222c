"""The real gcloud on secrets, global and regional: what it does at Google it does here."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestra_creds.emulator.server import control
from tests.emulator.gcloud import Step, tell

pytestmark = [
    pytest.mark.gcloud,
    pytest.mark.skipif(shutil.which("gcloud") is None, reason="gcloud is not installed"),
]

LIFE = (
    Step("secrets list", r"Listed 0 items"),
    Step("secrets create db --replication-policy=automatic --labels=env=prod", r"Created secret \[db\]"),
    Step("secrets create db --replication-policy=automatic", r"already exists", fails=True),
    Step("secrets create 'a b' --replication-policy=automatic", r"not valid|INVALID_ARGUMENT|Invalid", fails=True),
    Step("secrets versions access latest --secret=db", r"has no versions", fails=True),
    Step("secrets versions add db --data-file=-", r"Created version \[1\]", stdin="one"),
    Step("secrets versions add db --data-file=-", r"Created version \[2\]", stdin="two"),
    Step("secrets versions access latest --secret=db", r"^two$"),
    Step("secrets versions access 1 --secret=db", r"^one$"),
    Step("secrets versions access 9 --secret=db", r"NOT_FOUND", fails=True),
    Step("secrets versions access 1 --secret=none", r"NOT_FOUND", fails=True),
    Step("secrets versions list db --format='value(name,state)'", r"(?s)2\s+enabled.*1\s+enabled"),
    Step("secrets versions describe 1 --secret=db", r"state: ENABLED"),
    Step("secrets versions disable 1 --secret=db", r"Disabled version \[1\]"),
    Step("secrets versions access 1 --secret=db", r"is in DISABLED state", fails=True),
    Step("secrets versions list db --filter=state:DISABLED --format='value(name)'", r"^1\s*$"),
    Step("secrets versions enable 1 --secret=db", r"Enabled version \[1\]"),
    Step("secrets versions access 1 --secret=db", r"^one$"),
    Step("secrets versions destroy 1 --secret=db", r"Destroyed version \[1\]"),
    Step("secrets versions enable 1 --secret=db", r"FAILED_PRECONDITION", fails=True),
    Step("secrets versions access 1 --secret=db", r"is in DESTROYED state", fails=True),
    Step("secrets delete db", r"Deleted secret \[db\]"),
    Step("secrets describe db", r"NOT_FOUND", fails=True),
)

METADATA = (
    Step("secrets create db --data-file=- --labels=a=b --set-annotations=note=first", r"version \[1\]", stdin="one"),
    Step("secrets describe db --format='value(annotations.note,labels.a)'", r"first\s+b"),
    Step("secrets update db --update-labels=c=d --remove-labels=a", r"Updated secret \[db\]"),
    Step("secrets describe db --format='value(labels)'", r"^c=d$"),
    Step("secrets update db --update-annotations=owner=team", r"Updated secret"),
    Step("secrets update db --clear-annotations", r"Updated secret"),
    Step("secrets update db --update-labels=Upper=case", r"labels|characters|INVALID_ARGUMENT", fails=True),
    Step("secrets update db --update-version-aliases=current=1", r"Updated secret"),
    Step("secrets versions access current --secret=db", r"^one$"),
    Step("secrets versions access unknown --secret=db", r"NOT_FOUND", fails=True),
    Step("secrets update db --update-version-aliases=future=9", r"INVALID_ARGUMENT", fails=True),
    Step("secrets update db --clear-version-aliases", r"Updated secret"),
    Step("secrets describe db --format='value(etag)'", r'"[0-9a-f]+"', keep="ETAG"),
    Step("secrets update db --update-labels=x=y --etag={ETAG}", r"Updated secret"),
    Step("secrets update db --update-labels=x=z --etag={ETAG}", r"FAILED_PRECONDITION.*etag", fails=True),
    Step("secrets list --filter=labels.x=y --format='value(name)'", r"secrets/db|^db$"),
    Step("secrets list --filter=name:nothing", r"Listed 0 items"),
    Step("secrets delete db --etag={ETAG}", r"FAILED_PRECONDITION", fails=True),
    Step("secrets delete db", r"Deleted secret"),
)

TIME = (
    Step("secrets create db --replication-policy=automatic --version-destroy-ttl=86400s", r"Created secret"),
    Step("secrets versions add db --data-file=-", r"version \[1\]", stdin="one"),
    Step("secrets versions destroy 1 --secret=db", r"scheduled|Destroyed|destroy"),
    Step("secrets versions describe 1 --secret=db", r"(?s)scheduledDestroyTime.*state: DISABLED"),
    Step("secrets versions enable 1 --secret=db", r"Enabled version"),
    Step("secrets update db --remove-version-destroy-ttl", r"Updated secret"),
    Step("secrets update db --ttl=3600s", r"Updated secret"),
    Step("secrets describe db", r"expireTime"),
    Step("secrets update db --remove-expiration", r"Updated secret"),
    Step("secrets update db --add-topics=projects/demo-project/topics/rotations", r"Updated secret"),
    Step("secrets update db --next-rotation-time=2099-01-01T00:00:00Z --rotation-period=7200s", r"Updated secret"),
    Step("secrets describe db", r"(?s)nextRotationTime.*rotationPeriod: 7200s"),
    Step("secrets update db --remove-rotation-schedule --clear-topics", r"Updated secret"),
)

PLACES = (
    Step("secrets create eu --location=europe-west1", r"Created secret \[eu\]"),
    Step("secrets versions add eu --location=europe-west1 --data-file=-", r"version \[1\]", stdin="regional"),
    Step("secrets versions access latest --secret=eu --location=europe-west1", r"^regional$"),
    Step("secrets versions access latest --secret=eu", r"NOT_FOUND", fails=True),
    Step("secrets list --location=europe-west1 --format='value(name)'", r"eu"),
    Step("secrets delete eu --location=europe-west1", r"Deleted secret"),
    Step("secrets create two --replication-policy=user-managed --locations=us-east1,us-west1", r"Created secret"),
    Step("secrets create bad --replication-policy=user-managed --locations=moon", r"INVALID_ARGUMENT", fails=True),
    Step("secrets replication get two", r"us-east1"),
    Step("secrets locations list --format='value(locationId)'", r"europe-west1"),
    Step("secrets locations describe us-east1", r"us-east1"),
    Step("secrets locations describe moon", r"NOT_FOUND", fails=True),
)

_BINDING = "--member=user:a@example.com --role=roles/secretmanager.secretAccessor"
POLICY = (
    Step("secrets create db --replication-policy=automatic", r"Created secret"),
    Step("secrets get-iam-policy db", r"etag: ACAB"),
    Step(f"secrets add-iam-policy-binding db {_BINDING}", r"user:a@example.com"),
    Step("secrets get-iam-policy db --format='value(bindings[0].role)'", r"roles/secretmanager.secretAccessor"),
    Step("secrets add-iam-policy-binding db --member=robot:x --role=roles/viewer", r"unknown type", fails=True),
    Step(f"secrets remove-iam-policy-binding db {_BINDING}", r"etag"),
    Step(f"secrets remove-iam-policy-binding db {_BINDING}", r"not found", fails=True),
    Step(f"secrets add-iam-policy-binding none {_BINDING}", r"not found", fails=True),
)


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    state = tmp_path_factory.mktemp("gcloud") / "emulator.db"
    control.start_daemon(state)
    yield state
    control.stop_daemon(state)


def test_gcloud_does_with_secrets_what_it_does_at_google(state: Path, tmp_path: Path, *, exhaustive: bool) -> None:
    others = {"metadata": METADATA, "time": TIME, "places": PLACES, "policy": POLICY} if exhaustive else {}
    tell({"life": LIFE, **others}, state, tmp_path)
