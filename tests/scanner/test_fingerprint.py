import os
import stat
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra_creds.core.material import Material
from orchestra_creds.errors import ConfigError
from orchestra_creds.scanner.fingerprint import (
    VARIABLE,
    install_key,
    key_text,
    load_key,
    mask,
    new_key,
    parse_key,
    place_file,
)
from orchestra_creds.scanner.rule import Rule, Severity

RULE = Rule("demo", "Demo token", "demo_[a-z]{8}", Severity.HIGH, "revoke", "docs", (), prefix="demo_")


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state" / "keys"


def test_a_credential_is_the_same_under_one_key_and_another_under_any_other() -> None:
    key, material = new_key(), Material(b"demo_abcdefgh")
    assert key.credential("demo", material) == key.credential("demo", Material(b"demo_abcdefgh"))
    assert key.credential("demo", material) != new_key().credential("demo", material)
    assert key.credential("demo", material) != key.credential("other", material)


def test_a_fingerprint_adds_the_path_to_the_credential() -> None:
    key = new_key()
    credential = key.credential("demo", Material(b"x"))
    assert key.fingerprint(credential, "a") != key.fingerprint(credential, "b")
    assert key.fingerprint(credential, "a") != credential


def test_a_path_that_is_no_utf8_has_a_fingerprint() -> None:
    assert len(new_key().fingerprint("0" * 32, os.fsdecode(b"\xff/x"))) == 32


@given(st.binary(max_size=60))
def test_a_mask_shows_the_public_prefix_or_nothing_and_never_the_length(value: bytes) -> None:
    assert mask(RULE, Material(value)) == "***" or value.startswith(b"demo_")
    assert mask(RULE, Material(b"demo_" + value)) == "demo_***"
    assert mask(replace(RULE, prefix=""), Material(value)) == "***"


def test_a_repository_keeps_its_key(state: Path, tmp_path: Path) -> None:
    first = load_key(state, tmp_path, environment={})
    assert load_key(state, tmp_path, environment={}).id == first.id
    assert load_key(state, tmp_path / "other", environment={}).id != first.id
    assert not first.temporary


@pytest.mark.skipif(os.name != "posix", reason="modes are those of POSIX")
def test_a_key_is_readable_for_its_owner_alone(state: Path, tmp_path: Path) -> None:
    load_key(state, tmp_path, environment={})
    assert {stat.S_IMODE(file.stat().st_mode) for file in state.iterdir()} == {0o600}
    assert stat.S_IMODE(state.stat().st_mode) == 0o700


@pytest.mark.skipif(os.name != "posix", reason="modes are those of POSIX")
def test_a_key_that_others_can_read_is_refused(state: Path, tmp_path: Path) -> None:
    key = load_key(state, tmp_path, environment={})
    (state / f"{key.id}.key").chmod(0o640)
    with pytest.raises(ConfigError, match="not yours alone"):
        load_key(state, tmp_path, environment={})


def test_of_many_first_scans_at_once_all_use_one_key_and_leave_nothing_else(state: Path, tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        ids = set(pool.map(lambda _: load_key(state, tmp_path, environment={}).id, range(64)))
    assert len(ids) == 1
    assert {file.name for file in state.iterdir()} == {f"{ids.pop()}.key", place_file(state, tmp_path).name}


def test_the_environment_gives_the_key_where_no_state_outlives_the_run(state: Path, tmp_path: Path) -> None:
    key = new_key()
    text = key_text(key).reveal().decode()
    assert load_key(state, tmp_path, environment={VARIABLE: text + "\n"}).id == key.id
    assert not state.exists()


@pytest.mark.parametrize("text", ["short", "g" * 64, "a" * 63, "a" * 65, "é" * 64, "a" * 32 + " " + "a" * 31])
def test_a_malformed_key_is_refused_and_not_echoed(text: str, state: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_key(state, tmp_path, environment={VARIABLE: text})
    assert text not in str(caught.value) + caught.value.hint


def test_a_key_named_by_a_baseline_becomes_the_key_of_the_place_and_none_is_lost(state: Path, tmp_path: Path) -> None:
    old = load_key(state, tmp_path / "old place", environment={})
    new = load_key(state, tmp_path / "new place", environment={})
    assert load_key(state, tmp_path / "new place", wanted=old.id, environment={}).id == old.id
    assert load_key(state, tmp_path / "new place", environment={}).id == old.id
    assert load_key(state, tmp_path / "new place", wanted=new.id, environment={}).id == new.id


def test_a_key_that_is_gone_or_changed_is_an_error_and_not_replaced(state: Path, tmp_path: Path) -> None:
    file = state / f"{load_key(state, tmp_path, environment={}).id}.key"
    file.write_bytes(key_text(new_key()).reveal())
    with pytest.raises(ConfigError, match="another key than its name says"):
        load_key(state, tmp_path, environment={})
    file.unlink()
    with pytest.raises(ConfigError, match="is gone"):
        load_key(state, tmp_path, environment={})
    place_file(state, tmp_path).write_text("../../etc/passwd")
    with pytest.raises(ConfigError, match="does not name a fingerprint key"):
        load_key(state, tmp_path, environment={})


def test_a_baseline_of_another_key_is_an_error_with_a_way_out(state: Path, tmp_path: Path) -> None:
    load_key(state, tmp_path, environment={})
    with pytest.raises(ConfigError, match="not on this machine") as caught:
        load_key(state, tmp_path, wanted="0" * 16, environment={})
    assert VARIABLE in caught.value.hint
    text = key_text(new_key()).reveal().decode()
    with pytest.raises(ConfigError, match="holds key") as caught:
        load_key(state, tmp_path, wanted="0" * 16, environment={VARIABLE: text})
    assert text not in str(caught.value) + caught.value.hint


def test_a_key_can_be_handed_over_and_installed(state: Path, tmp_path: Path) -> None:
    handed = parse_key(key_text(new_key()).reveal(), "standard input")
    install_key(state, tmp_path, handed)
    assert load_key(state, tmp_path, environment={}).id == handed.id


def test_where_nothing_can_be_kept_the_key_is_temporary(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    assert load_key(tmp_path / "file" / "keys", tmp_path, environment={}).temporary
