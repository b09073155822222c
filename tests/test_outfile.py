import os
import stat
import tempfile
import threading
from pathlib import Path

import pytest

from orchestra_creds.errors import ConfigError, IncompleteError
from orchestra_creds.outfile import check, write

pytestmark = pytest.mark.permissions
posix = pytest.mark.skipif(os.name != "posix", reason="devices and modes are those of POSIX")


@posix
def test_a_report_is_for_its_owner_alone_whatever_stood_there(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    file.write_text("old")
    file.chmod(0o644)
    write(str(file), "new\n")
    assert file.read_text() == "new\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


@posix
def test_a_device_stays_a_device() -> None:
    before = os.stat("/dev/null")
    write("/dev/null", "text")
    assert os.stat("/dev/null").st_rdev == before.st_rdev
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


@posix
def test_a_fifo_is_written_in_place(tmp_path: Path) -> None:
    fifo = tmp_path / "pipe"
    os.mkfifo(fifo)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(fifo.read_text()))
    reader.start()
    write(str(fifo), "x" * 100_000)
    reader.join(timeout=10)
    assert read == ["x" * 100_000]
    assert stat.S_ISFIFO(fifo.stat().st_mode)


@posix
def test_a_link_is_replaced_and_what_it_named_is_untouched(tmp_path: Path) -> None:
    victim, link = tmp_path / "victim", tmp_path / "report"
    victim.write_text("precious")
    link.symlink_to(victim)
    write(str(link), "report")
    assert victim.read_text() == "precious"
    assert not link.is_symlink()
    assert link.read_text() == "report"


@posix
@pytest.mark.parametrize("kind", ["fifo", "device", "nothing", "folder"])
def test_a_link_is_never_followed_whatever_it_leads_to(kind: str, tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "report"
    if kind == "fifo":
        os.mkfifo(target)
    elif kind == "device":
        target = Path("/dev/null")
    elif kind == "folder":
        target.mkdir()
    link.symlink_to(target)
    if kind == "folder":
        with pytest.raises(ConfigError, match="is a folder"):
            write(str(link), "report")
        return
    reader = os.open(target, os.O_RDONLY | os.O_NONBLOCK) if kind == "fifo" else None
    write(str(link), "report")
    assert not link.is_symlink()
    assert link.read_text() == "report"
    if reader is not None:
        assert os.read(reader, 100) == b""
        os.close(reader)
    assert target.exists() == (kind != "nothing")


@posix
def test_below_a_folder_of_dev_that_is_for_anyone_a_link_is_replaced_as_well(tmp_path: Path) -> None:
    for_anyone = "/dev/shm" if os.path.isdir("/dev/shm") else tmp_path  # not every system has one
    with tempfile.TemporaryDirectory(dir=for_anyone) as folder:
        victim, link = Path(folder, "victim"), Path(folder, "report")
        victim.write_text("precious")
        link.symlink_to(victim)
        write(str(link), "report")
        assert (victim.read_text(), link.read_text(), link.is_symlink()) == ("precious", "report", False)


@posix
def test_a_link_that_the_system_made_is_followed() -> None:
    reading, writing = os.pipe()
    write(f"/dev/fd/{writing}", "report")
    os.close(writing)
    with open(reading, "rb") as stream:
        assert stream.read() == b"report"


@posix
def test_a_full_disk_is_said_in_one_line() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    with pytest.raises(IncompleteError, match="cannot write /dev/full: no space left"):
        write("/dev/full", "text")


@posix
def test_a_disk_that_fills_up_leaves_no_part_of_a_report(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    import signal

    file = tmp_path / "report"
    file.write_text("old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(IncompleteError, match="file too large"):
            write(str(file), "x" * 5000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert file.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


def test_a_folder_and_a_place_that_is_not_there_are_refused_before_the_scan(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a folder"):
        check(str(tmp_path))
    with pytest.raises(ConfigError, match="its folder does not exist"):
        check(str(tmp_path / "none" / "report"))
    check(str(tmp_path / "report"))
    check("report.json")


@posix
@pytest.mark.unprivileged
def test_a_folder_that_may_not_be_written_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(ConfigError, match="cannot be written"):
        check(str(tmp_path / "report"))


def test_what_cannot_be_encoded_is_escaped(tmp_path: Path) -> None:
    write(str(tmp_path / "report"), "\udcff")
    assert (tmp_path / "report").read_text() == "\\udcff"
