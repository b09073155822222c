"""What the tests of histories share: repositories made in one go, rules for them, and scans to compare."""

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

from orchestra_creds.scanner.content.archives import ArchiveLimits
from orchestra_creds.scanner.content.locate import locate_all
from orchestra_creds.scanner.detection import Detection, Sighting
from orchestra_creds.scanner.engine.engine import Engine, EngineKind
from orchestra_creds.scanner.git.collect import CollectionResult, CollectOptions, collect
from orchestra_creds.scanner.git.history import LIMIT
from orchestra_creds.scanner.git.jobs import plan_all
from orchestra_creds.scanner.git.objects import ObjectDatabase
from orchestra_creds.scanner.git.repository import Repository
from orchestra_creds.scanner.rulebook.catalog import all_rules
from orchestra_creds.scanner.samples.sample import render
from tests.scanner.trees import git

FAMILIES = (
    "aws-access-key-pair azure-logic-app-trigger basic-authorization command-line-login docker-config-auth"
    " generic-password generic-secret github-personal-access-token gitlab-routable-token google-api-key"
    " google-authorized-user google-oauth-client-secret google-service-account-key jwt npm-registry-basic-auth private-key"
    " pypi-upload-token slack-webhook url-password wandb-legacy-api-key"
)
"""Rules of every make: short and long, with and without a check, reaching far and near, proven and generic."""


@cache
def engine(kind: EngineKind = EngineKind.AUTO) -> Engine:
    """An engine of some rules of every make."""
    wanted = set(FAMILIES.split())
    rules = [rule for rule in all_rules() if rule.id in wanted]
    assert len(rules) == len(wanted)
    return Engine.open(rules, kind=kind)


@cache
def samples() -> tuple[bytes, ...]:
    """Fake credentials for these rules."""
    return tuple(render(text, seed=7).encode() for rule in engine().rules for text in rule.examples)


def sample(rule: str, *, seed: int = 1) -> bytes:
    """A fake credential for one rule."""
    [found] = [one for one in engine().rules if one.id == rule]
    return render(found.examples[0], seed=seed).encode()


def imported(folder: Path, commits: Iterable[Mapping[str, bytes]], *init: str) -> Path:
    """A bare repository whose commits, on one branch, each write these files."""
    folder.mkdir(parents=True, exist_ok=True)
    git(folder, "init", "-q", "--bare", "-b", "main", *init)
    stream = bytearray()
    for number, files in enumerate(commits):
        message = f"commit {number}".encode()
        stream += b"commit refs/heads/main\ncommitter A <a@example.invalid> %d +0000\n" % (1_600_000_000 + number * 60)
        stream += b"data %d\n%s\n" % (len(message), message)
        for path, content in files.items():
            stream += b"M 644 inline %s\ndata %d\n%s\n" % (path.encode(), len(content), content)
    git(folder, "fast-import", "--quiet", stdin=bytes(stream))
    return folder


Key = tuple[object, ...]


def key_of(detection: Detection) -> Key:
    """What two scans must agree on."""
    return (
        detection.rule.id,
        detection.start,
        detection.end,
        detection.material.reveal(),
        detection.decoded,
        int(detection.confidence),
        detection.note,
    )


def whole(text: bytes, *, one: Engine | None = None) -> list[Key]:
    """A scan of the whole text, settled."""
    one = one or engine()
    return sorted(map(key_of, one.settle(one.examine(text, one.find_hits(text)))), key=repr)


def collected(folder: Path, *, jobs: int = 1) -> CollectionResult:
    """All objects of a repository, as the history scan collects them."""
    found = Repository.discover(folder)
    assert found is not None
    plan = plan_all(found, ObjectDatabase.open(found.common_dir / "objects"))
    return collect(plan, engine(), CollectOptions(jobs, LIMIT, ArchiveLimits()), key=b"k" * 16)


def by_object(found: CollectionResult) -> dict[str, list[Key]]:
    """Which object holds what, and where."""
    rules = engine().rules
    held: dict[str, list[Key]] = {}
    for oid, spots in found.spans.items():
        texts = ((spot, found.texts[spot.digest]) for spot in spots)
        held[oid.hex()] = sorted(((rules[text.rule].id, *spot[1:], *text[1:]) for spot, text in texts), key=repr)
    return held


def each_object_whole(folder: Path) -> dict[str, list[Key]]:
    """The same from a scan of every object by itself, read through git."""
    listed = git(folder, "cat-file", "--batch-all-objects", "--batch-check=%(objectname) %(objecttype)").decode()
    oids = [line.split()[0] for line in listed.splitlines() if not line.endswith(" tree")]
    held = {}
    reader = Repository.discover(folder)
    assert reader is not None
    for oid, text in reader.texts(oids).items():
        one = engine()
        found = locate_all(text, one.settle(one.examine(text, one.find_hits(text))), "")
        if found:
            held[oid] = sorted(map(_seen, found), key=repr)
    return held


def _seen(sighting: Sighting) -> Key:
    detection, place = sighting.detection, sighting.place
    return (
        detection.rule.id,
        *(detection.start, detection.end, place.line, place.end_line, place.column, place.path),
        *(detection.material.reveal(), int(detection.confidence), detection.decoded, detection.note),
        *(sighting.line.reveal(), sighting.match.reveal(), sighting.allow),
    )
