import os
import pwd
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import platformdirs
import pytest

from orchestra_creds import folders
from orchestra_creds.errors import ConfigError

pytestmark = pytest.mark.permissions


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere platformdirs is asked")
@pytest.mark.parametrize("base", ["", "/var/tmp/x", "relative/is/ignored"])
def test_the_standard_folders_are_those_of_platformdirs(base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ORCHESTRA_CREDS_STATE_DIR", raising=False)
    monkeypatch.delenv("ORCHESTRA_CREDS_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", base)
    monkeypatch.setenv("XDG_CACHE_HOME", base)
    if not base.startswith("relative"):
        assert folders.state_folder() == platformdirs.user_state_dir("orchestra-creds", appauthor=False)
        assert folders.cache_folder() == platformdirs.user_cache_dir("orchestra-creds", appauthor=False)
    assert os.path.isabs(folders.state_folder())


def test_the_environment_names_other_folders() -> None:
    named = {"ORCHESTRA_CREDS_STATE_DIR": "/a", "ORCHESTRA_CREDS_CACHE_DIR": "/b"}
    assert (folders.state_folder(named), folders.cache_folder(named)) == ("/a", "/b")


@pytest.mark.parametrize("find", [folders.state_folder, folders.cache_folder])
def test_a_user_without_a_home_gets_no_folder_called_tilde(
    find: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "ORCHESTRA_CREDS_STATE_DIR", "ORCHESTRA_CREDS_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)  # nobody has an entry
    with pytest.raises(ConfigError, match="no home folder") as refusal:
        find()
    assert "ORCHESTRA_CREDS_STATE_DIR" in (refusal.value.hint or "")


def test_a_private_folder_is_made_for_the_owner_alone(tmp_path: Path) -> None:
    made = folders.make_private_folder(str(tmp_path / "deep" / "state"))
    assert stat.S_IMODE(os.stat(made).st_mode) == 0o700


def test_a_folder_that_others_may_only_read_is_closed_to_them(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache").chmod(0o755)
    assert stat.S_IMODE(os.stat(folders.make_private_folder(str(tmp_path / "cache"))).st_mode) == 0o700


def test_a_folder_that_others_may_write_is_refused(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    with pytest.raises(ConfigError, match="can be written by others"):
        folders.make_private_folder(str(tmp_path / "open"))


def test_a_folder_that_cannot_be_made_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot make the folder"):
        folders.make_private_folder(str(tmp_path / "file" / "state"))
