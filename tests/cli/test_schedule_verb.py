"""`schedule install` and `remove` for cron, as an operator meets them; the crontab program is a stand-in that keeps bytes."""

from pathlib import Path

import pytest

from tests.cli.cloud import PROJECT
from tests.cli.conftest import Operator

STAND_IN = """#!/bin/sh
case "$1" in
-l) [ -e "$CRON_FILE" ] && cat "$CRON_FILE" || { echo "no crontab for you" >&2; exit 1; } ;;
-) cat > "$CRON_FILE" ;;
esac
"""


@pytest.fixture
def crontab(operator: Operator) -> Path:
    """The file that stands for the operator's crontab."""
    program = operator.folder / "bin" / "crontab"
    program.parent.mkdir()
    program.write_text(STAND_IN)
    program.chmod(0o755)
    file = operator.folder / "crontab-file"
    path = f"{program.parent}:{operator.environment['PATH']}"
    operator.environment |= {"PATH": path, "CRON_FILE": str(file), "ORCHESTRA_CREDS_BACKEND": "local"}
    return file


@pytest.mark.parametrize("end", [b"\n", b"", b"\r\n"], ids=["ended", "no last newline", "crlf"])
def test_install_and_remove_leave_every_byte_of_others(operator: Operator, crontab: Path, end: bytes) -> None:
    before = (
        b"MAILTO=ops@example.com\n# page one\f5 4 * * * /bin/true\n0 1 * * * echo a\xe2\x80\xa8b\n"
        b"# nel \xc2\x85 x\n# not utf-8 \xff\n1 1 * * * crlf\r\n\n# last" + end
    )
    crontab.write_bytes(before)
    assert operator.call("schedule", "install", "--project", PROJECT).code == 0
    lines = crontab.read_bytes().split(b"\n")
    assert [line for line in before.rstrip(b"\n").split(b"\n") if line not in lines] == []
    assert sum(b"rotate --due" in line for line in lines) == 1
    assert operator.call("schedule", "remove", "--project", PROJECT).code == 0
    assert crontab.read_bytes() == before


CREDENTIALS = """schema = 1
[credentials.web]
kind = "generated"
[[credentials.web.destinations]]
kind = "file"
path = "/etc/app one/100%.key"
[[credentials.web.destinations]]
kind = "file"
name = "second"
path = "/etc/app one/other.key"
[credentials.api]
kind = "generated"
"""


def test_a_systemd_unit_may_write_the_files_that_are_declared(operator: Operator) -> None:
    operator.environment |= {"XDG_CONFIG_HOME": str(operator.folder / "etc"), "ORCHESTRA_CREDS_BACKEND": "local"}
    operator.write("orchestra-creds.toml", CREDENTIALS)
    metrics = operator.folder / "metrics" / "creds.prom"
    arguments = ["--runner", "systemd", "--project", PROJECT, "--metrics-file", str(metrics)]
    assert operator.call("schedule", "install", *arguments).code in {0, 1}  # 1: systemd does not run here
    unit = next((operator.folder / "etc/systemd/user").glob("*.service")).read_text().splitlines()
    assert [line for line in unit if line.startswith("ReadWritePaths")] == [
        'ReadWritePaths="-/etc/app one"',
        f"ReadWritePaths=-{metrics.parent}",
        f"ReadWritePaths=-{operator.environment['ORCHESTRA_CREDS_STATE_DIR']}",
    ]
    assert unit.index("ProtectSystem=full") < unit.index(f"ReadWritePaths=-{metrics.parent}")


@pytest.mark.parametrize(
    ("file", "options", "labels"), [(True, [], False), (True, ["--from-labels"], True), (False, [], True)]
)
def test_a_run_without_the_file_reads_labels(
    operator: Operator, crontab: Path, file: bool, options: list[str], labels: bool
) -> None:
    if file:
        operator.write("orchestra-creds.toml", "schema = 1\n")
    done = operator.call("schedule", "install", "--project", PROJECT, *options)
    line = next(line for line in crontab.read_text().splitlines() if "rotate --due" in line)
    assert (done.code, "--from-labels" in line, "--config" in line) == (0, labels, file)
    assert ("the run trusts the labels" in done.text) == (not file)


def test_m9_the_state_folder_is_carried_into_crontab_and_unit(operator: Operator, crontab: Path) -> None:
    operator.environment |= {
        "XDG_CONFIG_HOME": str(operator.folder / "etc"),
        "ORCHESTRA_CREDS_STATE_DIR": str(operator.folder / "own state"),
    }
    (operator.folder / "own state").mkdir(mode=0o700)
    assert operator.call("schedule", "install", "--project", PROJECT).code == 0
    line = next(line for line in crontab.read_text().splitlines() if "rotate --due" in line)
    state = f"ORCHESTRA_CREDS_STATE_DIR='{operator.folder}/own state'"
    assert line.split(" * * * ")[1].startswith(f"{state} ")
    assert operator.call("schedule", "install", "--runner", "systemd", "--project", PROJECT).code in {0, 1}
    unit = next((operator.folder / "etc/systemd/user").glob("*.service")).read_text()
    assert f'Environment="ORCHESTRA_CREDS_STATE_DIR={operator.folder}/own state"\n' in unit
