import hashlib
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestra_creds.scanner.git.objects import KINDS, ObjectDatabase, read_loose
from orchestra_creds.scanner.git.pack import BLOB, BROKEN, DAMAGED, Pack, inflate, survey_slowly
from tests.scanner import packs
from tests.scanner.histories import imported
from tests.scanner.trees import git

try:
    from orchestra_creds.scanner import _native as native
except ImportError:
    native = None  # type: ignore[assignment]

COMPILED = pytest.mark.skipif(native is None, reason="the C extension was not built here")
PLENTY = 1 << 20
NAMES = {number: name.decode() for name, number in KINDS.items()}


def written(folder: Path, entries: list[bytes], oids: list[bytes] | None = None) -> Path:
    """A pack with these entries on the disk; the path of its index."""
    data, offsets = packs.pack(entries)
    folder.mkdir(parents=True, exist_ok=True)
    oids = oids or [bytes([number]) * 20 for number in range(len(entries))]
    (folder / "pack-0.pack").write_bytes(data)
    (folder / "pack-0.idx").write_bytes(packs.index(oids, offsets))
    return folder / "pack-0.idx"


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with a file of forty versions, nothing packed yet."""
    lines = [f"line {number} of a file that changes" for number in range(300)]
    commits = []
    for version in range(40):
        lines[version * 7 % 300] = f"changed in version {version}"
        commits.append({"file": "\n".join(lines).encode()})
    folder = imported(tmp_path_factory.mktemp("versions"), commits)
    git(folder, "tag", "-a", "-m", "a tag", "one", "main")
    return folder


PACKINGS = {
    "full objects": ["--depth=0"],
    "offset deltas": [],
    "deep chains": ["--depth=4000", "--window=50"],
}


def check(found: Pack) -> None:
    for number in range(len(found)):
        text = found.text(number, PLENTY)
        name = NAMES[found.columns.kind[number]]
        assert packs.oid_of(name, text) == found.oid(number)
    start, ids = found.ids_between(0, 256)
    assert (start, [found.oid(found.number_at(place)) for place in range(len(found))]) == (0, ids)
    for low, high in ((0, 100), (100, 101), (101, 256), (7, 7)):
        start, some = found.ids_between(low, high)
        assert some == ids[start : start + len(some)] == [oid for oid in ids if low <= oid[0] < high]


@pytest.mark.parametrize("packing", PACKINGS)
def test_every_object_of_a_pack_is_read_as_it_was_stored(versions: Path, packing: str) -> None:
    git(versions, "repack", "-adfq", *PACKINGS[packing])
    [index] = ObjectDatabase.open(versions / "objects").indexes
    found = Pack(index, 20)
    assert len(found) > 40
    check(found)
    assert (max(found.columns.parent) >= 0) == (packing != "full objects")


def test_reference_deltas_are_read(versions: Path) -> None:
    git(versions, "-c", "repack.useDeltaBaseOffset=false", "repack", "-adfq")
    [index] = ObjectDatabase.open(versions / "objects").indexes
    found = Pack(index, 20)
    assert max(found.columns.parent) >= 0
    check(found)


def test_offsets_of_64_bits_are_read(versions: Path, tmp_path: Path) -> None:
    git(versions, "repack", "-adfq")
    [index] = ObjectDatabase.open(versions / "objects").indexes
    copied = tmp_path / "pack-1.pack"
    copied.write_bytes(index.with_suffix(".pack").read_bytes())
    git(versions, "index-pack", "--index-version=2,0x40", "-o", str(tmp_path / "pack-1.idx"), str(copied))
    check(Pack(tmp_path / "pack-1.idx", 20))


def test_children_are_those_that_name_an_object_as_their_base(versions: Path) -> None:
    git(versions, "repack", "-adfq")
    [index] = ObjectDatabase.open(versions / "objects").indexes
    found = Pack(index, 20)
    for number in range(len(found)):
        parents = [other for other in range(len(found)) if found.columns.parent[other] == number]
        assert found.children(number) == parents


def test_a_chain_that_bites_its_own_tail_is_broken(tmp_path: Path) -> None:
    one, two, three = (bytes([number]) * 20 for number in range(3))
    code = packs.delta(4, [(0, 4)])
    entries = [
        packs.entry(packs.REF_DELTA, code, base=two),
        packs.entry(packs.REF_DELTA, code, base=one),
        packs.entry(packs.REF_DELTA, code, base=three),  # of itself
    ]
    assert bytes(Pack(written(tmp_path, entries), 20).columns.kind) == bytes([BROKEN] * 3)


def test_a_delta_whose_base_lies_elsewhere_is_broken_here(tmp_path: Path) -> None:
    entries = [packs.entry(packs.BLOB, b"text"), packs.entry(packs.REF_DELTA, b"x", base=b"\xee" * 20)]
    assert bytes(Pack(written(tmp_path, entries), 20).columns.kind) == bytes([BLOB, BROKEN])


def test_an_object_that_lies_about_its_size_is_refused(tmp_path: Path) -> None:
    entries = [
        packs.entry(packs.BLOB, b"text", claim=5),
        packs.entry(packs.BLOB, b"text" * 50_000, claim=9),
        packs.entry(packs.BLOB, b"text", claim=1 << 50),
    ]
    found = Pack(written(tmp_path, entries), 20)
    for number in range(3):
        with pytest.raises(DAMAGED):
            found.inflate(number, 1 << 60)


def test_a_stream_that_expands_for_ever_is_cut_at_its_claim() -> None:
    bomb = zlib.compress(bytes(100 << 20), 9)
    with pytest.raises(DAMAGED):
        inflate(memoryview(bomb), 1000)


def test_a_large_object_is_inflated_whole_and_checked() -> None:
    text = b"".join(hashlib.sha256(bytes([number & 255, number >> 8])).digest() for number in range(9000))
    packed = zlib.compress(text)
    assert inflate(memoryview(packed + b"what follows in the pack"), len(text)) == text
    with pytest.raises(DAMAGED):
        inflate(memoryview(packed[:-1] + bytes([packed[-1] ^ 1])), len(text))
    with pytest.raises(DAMAGED):
        inflate(memoryview(packed[:-2000]), len(text))


def test_an_index_that_lies_is_refused_or_its_objects_are(tmp_path: Path) -> None:
    index = written(tmp_path, [packs.entry(packs.BLOB, b"text"), packs.entry(packs.BLOB, b"more")])
    good = index.read_bytes()
    small = 8 + 1024 + 2 * 24

    def lied(at: int, data: bytes, *, signed: bool = True) -> None:
        body = good[:at] + data + good[at + len(data) : -20]
        index.write_bytes(body + (hashlib.sha1(body, usedforsecurity=False).digest() if signed else good[-20:]))

    for cut in (0, 7, 500, 8 + 1024, small, len(good) - 41):
        index.write_bytes(good[:cut] or b"\0")
        with pytest.raises(ValueError, match="damaged"):
            Pack(index, 20)
    lied(8 + 40, b"\xff\xff\xff\xff")  # a table that does not rise
    with pytest.raises(ValueError, match="damaged"):
        Pack(index, 20)
    for offset in (b"\0\0\0\0", b"\0\0\xff\xff", b"\x80\0\0\0", b"\xff\xff\xff\xff"):
        lied(small, offset)
        assert BROKEN in bytes(Pack(index, 20).columns.kind)
        lied(small, offset, signed=False)
        with pytest.raises(ValueError, match="index is damaged"):
            Pack(index, 20)


def test_a_pack_that_is_not_that_of_its_index_is_refused(tmp_path: Path) -> None:
    index = written(tmp_path, [packs.entry(packs.BLOB, b"text")])
    data = index.with_suffix(".pack").read_bytes()
    for broken in (b"KCAP" + data[4:], data[:11] + b"\7" + data[12:], data[:20], data[:7] + b"\4" + data[8:]):
        index.with_suffix(".pack").write_bytes(broken)
        with pytest.raises(ValueError, match="pack"):
            Pack(index, 20)


@COMPILED
@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 5000), st.integers(0, 255)), max_size=6),
    st.integers(0, 40),
)
def test_both_surveys_say_the_same_of_damaged_packs(hits: list[tuple[bool, int, int]], shorter: int) -> None:
    code = packs.delta(4, [(0, 4)])
    full = packs.entry(packs.BLOB, b"text")
    entries = [
        full,
        packs.entry(packs.OFS_DELTA, code, base=packs.distance(len(full))),
        packs.entry(packs.REF_DELTA, code, base=bytes([3]) * 20),
        packs.entry(packs.TREE, bytes(300)),
        packs.entry(packs.REF_DELTA, code, base=bytes([2]) * 20),
    ]
    data, offsets = packs.pack(entries)
    files = {
        True: bytearray(packs.index([bytes([number]) * 20 for number in range(5)], offsets)),
        False: bytearray(data),
    }
    for in_index, at, byte in hits:
        files[in_index][at % len(files[in_index])] = byte
    del files[False][len(data) - shorter :]

    def answer(one: object) -> object:
        try:
            return one(bytes(files[True]), bytes(files[False]), 20)  # type: ignore[operator]
        except ValueError as error:
            return str(error)

    assert answer(native.survey) == answer(survey_slowly)


def test_a_loose_object_is_read_and_a_damaged_one_refused(tmp_path: Path) -> None:
    good = zlib.compress(b"blob 4\0text")
    file = tmp_path / "object"
    file.write_bytes(good)
    assert read_loose(str(file), PLENTY) == (BLOB, b"text")
    bad = [
        b"",
        b"x",
        good[:-3],
        zlib.compress(b"blob 5\0text"),
        zlib.compress(b"blob 3\0text"),
        zlib.compress(b"blob 4"),
    ]
    for broken in [*bad, zlib.compress(b"bulb 4\0text"), zlib.compress(b"blob x\0text")]:
        file.write_bytes(broken)
        with pytest.raises(DAMAGED):
            read_loose(str(file), PLENTY)
    file.write_bytes(zlib.compress(b"blob 99999999\0text"))
    with pytest.raises(OverflowError):
        read_loose(str(file), PLENTY)


def test_alternates_are_looked_into_once_however_they_point(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for folder, other in ((one, two), (two, one)):
        (folder / "info").mkdir(parents=True)
        (folder / "info" / "alternates").write_text(f"# both ways\n{other}\n../two\n/nowhere\n")
        (folder / "aa").mkdir()
    (one / "aa" / ("0" * 38)).touch()
    (two / "aa" / ("1" * 38)).touch()
    found = ObjectDatabase.open(one)
    assert {oid[2]: folder for oid, folder in found.loose.items()} == {"0": str(one), "1": str(two)}
