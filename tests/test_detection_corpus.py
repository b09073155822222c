import base64
import json
import subprocess
import zlib
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key, pkcs12

from benchmarks import corpus, tokens, wrappings
from benchmarks.corpus import Label, Place
from benchmarks.detection import Tables, score
from benchmarks.formats import FORMATS
from benchmarks.negatives import NEGATIVES
from benchmarks.peers import Found
from benchmarks.primes import Dice
from benchmarks.tokens import Kind

NAMED = {item.name: item for item in FORMATS}
FEW = [NAMED[name] for name in ("google-service-account", "github-classic", "aws", "pem-ec", "google-p12", "netrc")]


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> corpus.Corpus:
    return corpus.build(tmp_path_factory.mktemp("corpus"), 7, formats=FEW, copies=1)


def blobs(root: Path) -> set[str]:
    git = ["git", "-C", str(root), "cat-file", "--batch-all-objects", "--batch-check"]
    lines = subprocess.check_output(git, text=True).splitlines()
    return {line.split()[0] for line in lines if " blob " in line}


def oid(root: Path, path: Path) -> str:
    return subprocess.check_output(
        ["git", "-C", str(root), "hash-object", "--no-filters", str(path)], text=True
    ).strip()


def test_every_kind_every_wrapping_and_every_place_is_planted(truth: corpus.Corpus) -> None:
    assert len(FORMATS) >= 120
    assert {label.place for label in truth.labels} == set(Place)
    for kind in FEW:
        planted = {label.wrapping for label in truth.labels if label.format is kind}
        assert planted >= {item.name for item in wrappings.plausible(kind.kind)}
    assert {item.negative.name for item in truth.harmless} == {item.name for item in NEGATIVES}


def test_every_name_is_used_once() -> None:
    assert len(NAMED) == len(FORMATS)
    assert len({item.name for item in wrappings.WRAPPINGS}) == len(wrappings.WRAPPINGS)


def test_a_label_says_the_lines_where_the_credential_stands(truth: corpus.Corpus) -> None:
    plain = [label for label in truth.labels if label.place is Place.HEAD and label.wrapping == "env"]
    assert plain
    for label in plain:
        lines = (truth.root / label.paths[0]).read_text().splitlines()
        inside = "\n".join(lines[label.first - 1 : label.last]).replace("\\n", "\n")
        outside = "\n".join(lines[: label.first - 1] + lines[label.last :])
        assert any(probe in inside for probe in label.probes)
        assert not any(probe in outside for probe in label.probes)


def test_what_is_gone_from_the_tree_is_still_in_the_repository(truth: corpus.Corpus) -> None:
    held = blobs(truth.root)
    gone = {Place.DELETED, Place.CHANGED, Place.BRANCH, Place.MERGE, Place.STASH, Place.DROPPED}
    for label in truth.labels:
        if label.place in gone:
            path = truth.root / label.paths[0]
            assert not path.exists() or not any(probe in path.read_text(errors="replace") for probe in label.probes)
        elif label.place is Place.DANGLING:
            assert label.oid in held
        elif label.place is Place.TREE:
            assert oid(truth.root, truth.root / label.paths[0]) not in held


def test_the_same_seed_gives_the_same_credentials() -> None:
    for kind in (NAMED["google-service-account"], NAMED["gitlab-routable"], NAMED["pem-rsa"]):
        assert kind.make(Dice(3)).values == kind.make(Dice(3)).values != kind.make(Dice(4)).values


def test_checksums_and_keys_are_true() -> None:
    rng = Dice(5)
    token = NAMED["npm"].make(rng).text
    assert token[-6:] == tokens.base62(zlib.crc32(token[4:-6].encode()), 6)
    wrong = tokens.miscounted("ghp_", rng)
    assert wrong[-6:] != tokens.base62(zlib.crc32(wrong[4:-6].encode()), 6)
    account = json.loads(NAMED["google-service-account"].make(rng).text)
    load_pem_private_key(account["private_key"].encode(), None)
    pkcs12.load_pkcs12(NAMED["google-p12"].make(rng).data, b"notasecret")


def test_an_encoded_wrapping_holds_the_credential_itself() -> None:
    secret = NAMED["google-service-account"].make(Dice(6))
    wrap = {item.name: item.wrap for item in wrappings.WRAPPINGS}
    folded = wrap["base64-76-indented"](secret, Dice(0))
    lines = folded.data.decode().splitlines()[folded.first - 1 : folded.last]
    assert json.loads(base64.b64decode("".join(line.strip() for line in lines))) == json.loads(secret.text)
    assert json.loads(json.loads(wrap["json-in-json"](secret, Dice(0)).data)["settings"]["google_credentials"])


def test_a_wrapping_fits_every_kind_it_names() -> None:
    rng = Dice(8)
    example = {kind: next(item for item in FORMATS if item.kind is kind).make(rng) for kind in Kind}
    for wrapping in wrappings.WRAPPINGS:
        for kind in wrapping.kinds:
            wrapped = wrapping.wrap(example[kind], rng)
            assert wrapped.data
            assert wrapped.name
            assert wrapped.first <= wrapped.last <= wrapped.data.count(b"\n") + 1


def test_a_finding_on_the_label_counts_and_one_beside_it_is_a_stray(truth: corpus.Corpus) -> None:
    number, label = next((n, item) for n, item in enumerate(truth.labels) if item.wrapping == "env" and item.first > 1)

    def found(line: int, path: str = label.paths[0]) -> Found:
        return Found(path, line, line, "github-token", "{}")

    assert score("x", truth, [found(label.first)]).met == {number}
    stray = score("x", truth, [found(1)])
    assert (stray.met, len(stray.strays)) == (set(), 1)
    alarm = score("x", truth, [found(1, truth.harmless[0].path)])
    assert [name for name, _, _ in alarm.alarms] == [truth.harmless[0].negative.name]


def test_a_dangling_blob_is_matched_by_its_name_or_its_value(truth: corpus.Corpus) -> None:
    number, label = next((n, item) for n, item in enumerate(truth.labels) if item.place is Place.DANGLING)
    for raw in (label.oid, label.probes[0]):
        assert score("x", truth, [Found("", 1, 1, "rule", f'{{"text": "{raw}"}}')]).met == {number}


def test_recall_counts_no_messages(truth: corpus.Corpus) -> None:
    def everything(label: Label) -> bool:
        return label.place not in corpus.EXTRAS

    result = score("x", truth, [])
    result.met = {number for number, label in enumerate(truth.labels) if everything(label)}
    assert Tables(truth, [result]).share(result, Tables(truth, [result]).counted) == 1.0
