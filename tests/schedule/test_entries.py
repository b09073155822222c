"""Crontab blocks and systemd units: text that the real tools accept, and foreign lines that stay."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra_creds.errors import ConfigError
from orchestra_creds.schedule import crontab, install, programs, systemd
from orchestra_creds.schedule.entry import ScheduleEntry, entry

COMMAND = ("/opt/orchestra creds/bin/orchestra-creds", "rotate", "--due", "--ping-url", "https://hc.example/a%20b$c")
WANTED = entry("acme-prod", COMMAND, "03:17")
LINES = st.lists(
    st.text(st.characters(exclude_characters="\n") | st.sampled_from("\r\f\v\x1c\x85\u2028\u2029\udcff"), max_size=20),
    max_size=6,
)


@given(LINES, st.booleans())
def test_foreign_lines_stay_where_they_are(lines: list[str], ended: bool) -> None:
    before = "\n".join(lines) + ("\n" if ended and lines else "")
    once = crontab.with_entry(before, WANTED)
    assert "\n".join(crontab.block(WANTED)) in once
    assert once.startswith(before)
    assert crontab.without_block(once, "acme-prod") == before
    assert crontab.with_entry(once, WANTED) == once


@pytest.mark.parametrize("inside", [["1 1 * * * theirs", "2 2 * * * ours"], []], ids=["theirs inside", "no end"])
def test_a_block_that_was_changed_by_hand_costs_nobody_a_line(inside: list[str]) -> None:
    begin, _, end = crontab.block(WANTED)
    text = "\n".join([begin, *inside, *([end] if inside else []), "3 3 * * * theirs", ""])
    with pytest.raises(ConfigError, match="changed by hand"):
        crontab.without_block(text, "acme-prod")
    with pytest.raises(ConfigError, match="changed by hand"):
        crontab.with_entry(text, WANTED)


def test_a_block_that_an_editor_gave_carriage_returns_is_still_ours() -> None:
    text = crontab.with_entry("a\n", WANTED).replace("\n", "\r\n")
    assert crontab.without_block(text, "acme-prod") == "a\r\n"
    assert crontab.block_line(text, "acme-prod") == crontab.block(WANTED)[1]


def test_a_changed_entry_takes_the_place_of_the_old_one() -> None:
    text = crontab.with_entry("a\n", WANTED) + "b\n"
    later = ScheduleEntry("acme-prod", COMMAND, 4, 0)
    assert crontab.with_entry(text, later).splitlines() == ["a", *crontab.block(later), "b"]


def test_another_projects_block_is_foreign() -> None:
    other = entry("acme-dev", COMMAND)
    both = crontab.with_entry(crontab.with_entry("", WANTED), other)
    assert crontab.without_block(both, "acme-prod") == crontab.with_entry("", other)


def test_a_percent_sign_does_not_end_the_command() -> None:
    assert r"a\%20b" in crontab.block(WANTED)[1]


@pytest.mark.parametrize("at", ["24:00", "3", "03:60", "x", "03:17:00"])
def test_a_time_that_is_none_is_refused(at: str) -> None:
    with pytest.raises(ConfigError, match="no time of the day"):
        entry("acme", COMMAND, at)


@pytest.mark.parametrize("project", ["", "a\nb", "A", "x" * 64])
def test_a_project_that_is_none_is_refused(project: str) -> None:
    with pytest.raises(ConfigError, match="is no project"):
        entry(project, COMMAND)


def test_a_line_break_never_reaches_a_crontab() -> None:
    with pytest.raises(ConfigError, match="line break"):
        entry("acme", ("x", "a\n* * * * * evil"))


def test_the_minute_is_always_the_same_for_a_project() -> None:
    assert {entry("acme", COMMAND).minute for _ in range(3)} == {entry("acme", COMMAND).minute}
    assert len({entry(f"acme-{n}", COMMAND).minute for n in range(60)}) > 20


def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed (Debian: systemd)")
    program = tmp_path / "orchestra creds"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    wanted = entry("acme-prod", (str(program), *COMMAND[1:]), "03:17")
    name = systemd.unit_name("acme-prod")
    (tmp_path / f"{name}.service").write_text(systemd.service(wanted))
    (tmp_path / f"{name}.timer").write_text(systemd.timer(wanted))
    done = subprocess.run(
        [analyze, "verify", "--man=no", str(tmp_path / f"{name}.timer"), str(tmp_path / f"{name}.service")],
        capture_output=True,
        text=True,
        check=False,
    )
    ours = [line for line in done.stderr.splitlines() if name in line or "orchestra" in line]
    assert (done.returncode, ours) == (0, [])


@contextlib.contextmanager
def real_crontab() -> Iterator[None]:
    """This user's crontab, put back afterwards."""
    if shutil.which("crontab") is None:
        pytest.skip("crontab is not installed (Debian: cron)")
    before = programs.read_crontab()
    try:
        yield
    finally:
        if before:
            programs.write_crontab(before)
        else:
            subprocess.run(["crontab", "-r"], capture_output=True, check=False)


def test_the_real_crontab_takes_it_and_gives_it_back() -> None:
    with real_crontab():
        programs.write_crontab("# mine\n0 0 * * * true\n")
        assert install.install_crontab(WANTED).changed
        assert not install.install_crontab(WANTED).changed
        assert [one.what for one in install.list_installations("acme-prod", [])] == [crontab.block(WANTED)[1]]
        assert programs.read_crontab().startswith("# mine\n0 0 * * * true\n")
        install.remove_installations("acme-prod", [], user=True)
        assert programs.read_crontab() == "# mine\n0 0 * * * true\n"
        assert install.list_installations("acme-prod", []) == []


def test_units_are_written_once_and_removed(tmp_path: Path) -> None:
    first = install.install_systemd(WANTED, tmp_path, user=True)
    assert first.changed
    assert not install.install_systemd(WANTED, tmp_path, user=True).changed
    timer = tmp_path / "orchestra-creds-acme-prod.timer"
    assert timer.stat().st_mode & 0o777 == 0o644
    if first.todo:
        assert first.todo.endswith("enable --now orchestra-creds-acme-prod.timer")
    install.remove_installations("acme-prod", [tmp_path], user=True)
    assert os.listdir(tmp_path) == []
