"""`run` and `secret export`: all secrets or none, quoted as the reader unquotes, and nothing left behind."""

import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import dotenv
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra_creds.cli import memory_files
from orchestra_creds.core.material import Material
from orchestra_creds.errors import ConfigError, PreconditionError
from orchestra_creds.manage.delivery import deliveries
from orchestra_creds.manage.dotenv import read_dotenv
from orchestra_creds.render import export
from tests.cli.cloud import PROJECT, at_a_terminal, make_account
from tests.cli.conftest import COMMAND, Operator, appears, one_error

CONFIG = f"""
schema = 1
[project]
id = "{PROJECT}"
[environments.dev]
[environments.prod]
[secrets.redis-password]
environments = ["dev", "prod"]
[secrets.openai-api-key]
environments = ["dev"]
env_var = "OPENAI_KEY"
"""
REDIS, OPENAI = "p$w'\"\\ x" + "-9000", "first line\nsecond" + "-line"
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=40)


@pytest.fixture
def reader(operator: Operator) -> Operator:
    operator.environment |= {"ORCHESTRA_CREDS_BACKEND": "local"}
    operator.write("orchestra-creds.toml", CONFIG)
    for name, value in (("redis-password", REDIS), ("openai-api-key", OPENAI)):
        assert operator.call("secret", "set", name, "--env", "dev", "--raw", stdin=value.encode()).code == 0
    return operator


def tell(*names: str) -> list[str]:
    """A program that prints variables as JSON."""
    return [sys.executable, "-c", f"import json, os; print(json.dumps([os.environ.get(n) for n in {names!r}]))"]


def test_the_program_gets_its_secrets_and_its_code_is_ours(reader: Operator) -> None:
    ended = reader.run("run", "--env", "dev", "--", *tell("REDIS_PASSWORD", "OPENAI_KEY"))
    assert (ended.code, json.loads(ended.stdout)) == (0, [REDIS, OPENAI])
    assert reader.run("run", "--env", "dev", "--", "sh", "-c", "exit 42").code == 42


def test_only_some_under_other_names_and_in_a_clean_environment(reader: Operator) -> None:
    ended = reader.run(
        "run", "--env", "dev", "--only", "redis-password", "--map", "redis-password=PW", "--clean-env", "--",
        *tell("PW", "OPENAI_KEY", "ORCHESTRA_CREDS_BACKEND"),
    )  # fmt: skip
    assert json.loads(ended.stdout) == [REDIS, None, None]


def test_a_missing_secret_stops_everything_before_the_program_starts(reader: Operator) -> None:
    ended = reader.run("run", "--env", "prod", "--", "touch", "started")
    assert ended.code == 4
    assert "nothing was started" in one_error(ended)
    assert not (reader.folder / "started").exists()


@pytest.mark.parametrize(("program", "code"), [("no-such-program", 127), ("/etc/passwd", 126)])
def test_a_program_that_cannot_start_is_126_or_127(reader: Operator, program: str, code: int) -> None:
    assert reader.run("run", "--env", "dev", "--", program).code == code


def test_files_are_private_and_gone_when_the_program_ends(reader: Operator) -> None:
    script = "import os, sys; p = os.environ['OPENAI_KEY_FILE']; print(p, oct(os.stat(p).st_mode), oct(os.stat(os.path.dirname(p)).st_mode)); print(open(p).read())"
    ended = reader.run("run", "--env", "dev", "--as-files", "--", sys.executable, "-c", script)
    first, _, text = ended.text.partition("\n")
    path, mode, folder_mode = first.split()
    assert (mode[-3:], folder_mode[-3:], text.rstrip("\n")) == ("600", "700", OPENAI)
    assert not Path(path).parent.exists()


def test_a_signal_reaches_the_program_and_its_files_are_removed(reader: Operator) -> None:
    script = "import os, signal; print(os.environ['OPENAI_KEY_FILE'], flush=True); signal.pause()"
    child = subprocess.Popen(
        [COMMAND, "run", "--env", "dev", "--as-files", "--", sys.executable, "-c", script],
        cwd=reader.folder,
        env=reader.environment,
        stdout=subprocess.PIPE,
    )
    assert child.stdout is not None
    path = Path(child.stdout.readline().decode().strip())
    child.send_signal(signal.SIGTERM)
    child.communicate(timeout=30)
    assert child.returncode == 128 + signal.SIGTERM
    assert not path.parent.exists()


def test_what_a_terminal_interrupts_is_not_interrupted_twice(reader: Operator) -> None:
    script = (
        "import os, signal\n"
        "seen = []\n"
        "signal.signal(signal.SIGINT, lambda *_: (seen.append(1), os.kill(os.getppid(), signal.SIGTERM)))\n"
        "signal.signal(signal.SIGTERM, lambda *_: (print('interrupts', len(seen), flush=True), os._exit(7)))\n"
        "print('ready: ', end='', flush=True)\n"
        "while True: signal.pause()"
    )
    code, shown = at_a_terminal(
        reader, ["run", "--env", "dev", "--as-files", "--", sys.executable, "-c", script], ["\x03"]
    )
    assert (code, shown.count(b"interrupts 1\r\n")) == (7, 1)


def test_without_a_folder_in_memory_nothing_is_written_and_nothing_started(
    reader: Operator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    disk = tmp_path / "mountinfo"
    disk.write_text("22 1 8:1 / / rw - ext4 /dev/sda rw\n")
    monkeypatch.setattr(memory_files, "MOUNTS", disk)
    ended = reader.call("run", "--env", "dev", "--as-files", "--", "touch", "started")
    assert ended.code == 4
    assert "no folder in memory" in one_error(ended)
    assert not (reader.folder / "started").exists()


def test_a_folder_in_memory_that_takes_no_files_is_named_and_nothing_started(
    reader: Operator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(memory_files, "memory_folder", lambda _: str(tmp_path / "gone"))
    ended = reader.call("run", "--env", "dev", "--as-files", "--", "touch", "started")
    assert ended.code == 4
    assert f"cannot write files in {tmp_path / 'gone'}: no such file or directory" in one_error(ended)
    assert not (reader.folder / "started").exists()


def test_memory_is_told_by_the_nearest_mount(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    table = tmp_path / "mountinfo"
    inside, disk = tmp_path / "run time" / "me", tmp_path / "run time" / "me" / "disk"
    disk.mkdir(parents=True)
    table.write_text(
        "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda rw\n"
        f"23 22 0:5 / {str(tmp_path / 'run time').replace(' ', chr(92) + '040')} rw - tmpfs tmpfs rw\n"
        f"24 23 8:2 / {str(disk).replace(' ', chr(92) + '040')} rw - xfs /dev/sdb rw\n"
    )
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(inside))
    assert memory_files.memory_folder(table) == str(inside)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(disk))
    with pytest.raises(PreconditionError):
        memory_files.memory_folder(table)


def test_masked_output_holds_no_value_and_the_code_is_kept(reader: Operator) -> None:
    script = "import os, sys; print('pw', os.environ['REDIS_PASSWORD']); print(os.environ['OPENAI_KEY'], file=sys.stderr); sys.exit(3)"
    ended = reader.run("run", "--env", "dev", "--mask", "--", sys.executable, "-c", script)
    assert (ended.code, ended.stdout, ended.stderr) == (3, b"pw ***\n", "***\n***\n")
    files = "import os; print(open(os.environ['OPENAI_KEY_FILE']).read())"
    ended = reader.run("run", "--env", "dev", "--mask", "--as-files", "--", sys.executable, "-c", files)
    assert (ended.code, ended.stdout) == (0, b"***\n***\n")


@pytest.mark.parametrize("option", ["", "--mask", "--as-files"])
def test_a_program_ends_when_nobody_reads_and_is_quiet_about_it(option: str, reader: Operator) -> None:
    done = subprocess.run(
        ["sh", "-c", f"{COMMAND} run --env dev {option} -- yes | head -1"],
        cwd=reader.folder, env=reader.environment, capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == (b"y\n", b"")


def test_a_terminal_is_not_masked(reader: Operator) -> None:
    code, shown = at_a_terminal(reader, ["run", "--env", "dev", "--mask", "--", *tell("REDIS_PASSWORD")], [])
    assert code == 0
    assert json.loads(shown) == [REDIS]


def test_production_at_a_terminal_wants_a_reason_and_the_audit_log_has_it(reader: Operator) -> None:
    prod = ["--env", "prod", "--only", "redis-password"]
    assert reader.call("secret", "set", "redis-password", "--env", "prod", stdin=REDIS.encode()).code == 0
    assert reader.run("run", *prod, "--", "true").code == 0  # a program is not asked
    code, shown = at_a_terminal(reader, ["run", *prod, "--", "touch", "started"], [])
    assert (code, b"--reason" in shown) == (2, True)
    assert not (reader.folder / "started").exists()
    code, _ = at_a_terminal(reader, ["run", *prod, "--reason", "ticket 4711", "--", "true"], [])
    assert code == 0
    entries = json.loads(reader.call("emulator", "log", "-f", "json").stdout)["entries"]
    assert [e["reason"] for e in entries if e["method"].endswith("/AccessSecretVersion")] == ["", "ticket 4711"]


@pytest.mark.parametrize("reason", ["two\nlines", "grüße", "x" * 257])
def test_a_reason_that_no_header_can_carry_is_refused(reader: Operator, reason: str) -> None:
    ended = reader.call("secret", "list", "--reason", reason)
    assert (ended.code, "--reason" in one_error(ended)) == (2, True)


@pytest.mark.parametrize(
    "variable", ["PATH", "LD_PRELOAD", "PYTHONPATH", "BASH_ENV", "GIT_SSH_COMMAND", "NODE_OPTIONS", "a-b", "1X", ""]
)
def test_a_variable_that_steers_programs_is_never_set(variable: str) -> None:
    with pytest.raises(ConfigError):
        deliveries({"s": "S"}, (), [f"s={variable}"])


def test_two_secrets_never_share_a_variable() -> None:
    with pytest.raises(ConfigError, match="both want"):
        deliveries({"a-b": "A_B", "a_b": "A_B"}, (), ())


# -- export


@given(TEXTS)
def test_a_shell_reads_back_what_was_written(text: str) -> None:
    written = export.shell({"NAME": Material(text.encode())}, str)
    assert shlex.split(written) == ["export", f"NAME={text}"]


SPECIAL = st.one_of(
    st.sampled_from("\"'\\`$\n\r \t#;=}{:-a\x85\ufeff"),
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"),
)


@given(st.lists(st.text(SPECIAL, max_size=12), min_size=1, max_size=4))
def test_dotenv_is_read_back_exactly_by_python_dotenv_and_by_import_env_or_refused(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> None:
    named = {f"NAME_{number}": text for number, text in enumerate(texts)}
    try:
        written = export.dotenv({name: Material(text.encode()) for name, text in named.items()}, str)
    except ConfigError:
        assert any(("${" in text and "}" in text) or text.endswith("\\") for text in texts)
        return
    path = tmp_path_factory.mktemp("dotenv") / "written.env"
    path.write_bytes(written.encode())
    assert dotenv.dotenv_values(path) == named
    assert {name: value.reveal().decode() for name, value in read_dotenv(path).items()} == named


AWKWARD = {
    "dollar": "p$w" + "-90$", "open": "a${b" + "-1", "both": "it's \"so\"" + " `x`", "lines": "a\r\nb\rc\n" + "d-1",
    "ending": "a\\nb" + "-1\\", "hash": " a #b" + "-1 ", "tab": "\ta" + "-1",
}  # fmt: skip


def test_what_export_writes_import_env_stores_unchanged(reader: Operator) -> None:
    for name, value in AWKWARD.items():
        assert reader.call("secret", "set", name, "--raw", stdin=value.encode()).code == 0
    exported = reader.call("secret", "export", "--to", "dotenv", "--only", ",".join(AWKWARD), "-o", "out.env")
    assert exported.code == 0, exported.stderr
    assert dotenv.dotenv_values(reader.folder / "out.env") == {name.upper(): text for name, text in AWKWARD.items()}
    assert reader.call("secret", "import-env", "out.env", "--env", "prod", "--yes").code == 0
    for name, value in AWKWARD.items():
        assert reader.call("secret", "get", name, "--env", "prod").stdout == value.encode()


@pytest.mark.parametrize("value", ["a${HOME}" + "-1", "x${a:-b}" + "-1", "two\nlines" + "-1\\"])
def test_what_python_dotenv_would_change_is_refused_by_the_name_of_its_secret(reader: Operator, value: str) -> None:
    assert reader.call("secret", "set", "bent-value", "--env", "dev", "--raw", stdin=value.encode()).code == 0
    asked = [
        "secret",
        "export",
        "--to",
        "dotenv",
        "--env",
        "dev",
        "--only",
        "redis-password,bent-value",
        "-o",
        "out.env",
    ]
    refused = reader.call(*asked)
    assert refused.code == 2
    assert "secret bent-value-dev: the value for BENT_VALUE" in one_error(refused)
    assert appears([value, REDIS], refused.stdout, refused.stderr) == []
    assert not (reader.folder / "out.env").exists()


@given(TEXTS)
def test_json_reads_back_what_was_written(text: str) -> None:
    assert json.loads(export.as_json({"NAME": Material(text.encode())}, str)) == {"NAME": text}


def test_a_real_shell_runs_nothing_of_a_value(tmp_path: Path) -> None:
    value = "x'; touch evil; $(touch evil) `touch evil` \\\n"
    script = export.shell({"NAME": Material(value.encode())}, str) + 'printf %s "$NAME"'
    run = subprocess.run(
        ["sh", "-c", script], capture_output=True, cwd=tmp_path, check=True, env={"PATH": os.environ["PATH"]}
    )
    assert run.stdout.decode() == value
    assert list(tmp_path.iterdir()) == []


def test_githubs_runner_is_told_to_mask_every_line_and_later_steps_get_the_values(reader: Operator) -> None:
    values = {"NAME": Material(b"{\n  one 50%\r\n}\n\ntwo+")}
    assert export.github_masks(values).splitlines() == ["::add-mask::one 50%25", "::add-mask::two+"]
    assert (
        export.github(values, lambda: "random-word")
        == f"NAME<<random-word\n{values['NAME'].reveal().decode()}\nrandom-word\n"
    )
    job = reader.write("runner/env", "EARLIER=1\n")
    asked = ("secret", "export", "--env", "dev", "--to", "github", "--only", "openai-api-key")
    ended = reader.call(*asked, variables={"GITHUB_ENV": str(job)})
    assert (ended.code, ended.text) == (0, "".join(f"::add-mask::{line}\n" for line in OPENAI.splitlines()))
    first, opened, *value, closed = job.read_text().splitlines()
    assert (first, opened, value) == ("EARLIER=1", f"OPENAI_KEY<<{closed}", OPENAI.splitlines())
    outside = reader.call(*asked)
    assert outside.text.startswith(ended.text)
    assert outside.text.splitlines()[-4:-1] == [f"OPENAI_KEY<<{outside.text.splitlines()[-1]}", *OPENAI.splitlines()]
    before = reads(reader)
    with job.open("ab") as stream:
        redirected = subprocess.run(
            [COMMAND, *asked],
            cwd=reader.folder,
            env=reader.environment | {"GITHUB_ENV": str(job)},
            stdout=stream,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert (redirected.returncode, b"leave out the redirection" in redirected.stderr) == (2, True)
    assert (reads(reader), job.read_text().count("<<")) == (before, 1)


def reads(operator: Operator) -> int:
    entries = json.loads(operator.call("emulator", "log", "-f", "json").stdout)["entries"]
    return sum(entry["method"].endswith("/AccessSecretVersion") for entry in entries)


@pytest.mark.parametrize(
    "asked",
    [
        ["secret", "export", "--env", "dev", "--to", "dotenv", "--only", "redis-password", "-o"],
        ["secret", "get", "redis-password", "--env", "dev", "-o"],
    ],
    ids=["export", "get"],
)
def test_a_file_that_git_would_pick_up_is_refused_before_anything_is_read(reader: Operator, asked: list[str]) -> None:
    reader.write("app/README", "text")
    reader.commit()
    before = reads(reader)
    refused = reader.call(*asked, "app/.env")
    assert (refused.code, "git does not ignore app/.env" in one_error(refused)) == (2, True)
    assert (reads(reader), (reader.folder / "app/.env").exists()) == (before, False)
    reader.write(".gitignore", "*.env\n.env\n")
    assert reader.call(*asked, "app/.env").code == 0
    reader.git("add", "--force", "app/.env")  # what is tracked is not ignored
    assert reader.call(*asked, "app/.env").code == 2
    assert reader.call(*asked, str(reader.folder / ".git" / "mine")).code == 0


def test_a_key_file_that_git_would_pick_up_is_refused_before_the_key_is_made(reader: Operator) -> None:
    account = make_account(reader)
    reader.commit()
    assert "git does not ignore key.json" in one_error(reader.call("key", "create", account, "-o", "key.json"))
    keys = json.loads(reader.call("key", "list", account, "-f", "json").stdout)["keys"]
    assert [key["origin"] for key in keys] == ["system"]


@pytest.mark.parametrize("form", ["k8s", "cloudrun"])
def test_references_hold_names_and_no_value(reader: Operator, form: str) -> None:
    ended = reader.call("secret", "export", "--to", form, "--env", "dev")
    assert ended.code == 0
    assert "redis-password-dev" in ended.text
    assert appears([REDIS, OPENAI, "second-line"], ended.stdout) == []


def test_values_go_to_a_pipe_or_a_private_file(reader: Operator) -> None:
    assert json.loads(reader.call("secret", "export", "--to", "json", "--env", "dev").stdout)["OPENAI_KEY"] == OPENAI
    assert reader.call("secret", "export", "--to", "dotenv", "--env", "dev", "-o", "out.env").code == 0
    assert (reader.folder / "out.env").stat().st_mode & 0o777 == 0o600


def test_binary_values_are_refused_in_text_forms() -> None:
    for form in export.VALUES.values():
        for data in (b"\xff\xfe", b"a\0b"):
            with pytest.raises(ConfigError, match="NAME"):
                form({"NAME": Material(data)}, str)


def test_get_tells_whether_it_exists_and_gives_a_part(reader: Operator) -> None:
    assert reader.call("secret", "get", "redis-password", "--env", "dev", "--exists").code == 0
    missing = reader.call("secret", "get", "nothing", "--exists")
    assert (missing.code, missing.stdout) == (4, b"")
    reader.call("secret", "set", "config", stdin=b'{"db": {"ports": [5432, 5433]}, "name": "x"}')
    assert reader.call("secret", "get", "config", "--json-path", "db.ports.1").text == "5433"
    assert reader.call("secret", "get", "config", "--json-path", "name").text == "x"
    reader.call("secret", "set", "dotted", stdin=rb'{"tls.crt": {"a\\b.": "y"}, "bad": "\ud800"}')
    assert reader.call("secret", "get", "dotted", "--json-path", r"tls\.crt.a\\b\.").text == "y"
    for path in ("tls.crt", r"tls\.crt\.a", "bad"):
        refused = reader.call("secret", "get", "dotted", "--json-path", path)
        assert (refused.code, r"a dot in a key is written \." in refused.stderr) == (2, True)
    wrong = reader.call("secret", "get", "config", "--json-path", "db.nothing")
    assert (wrong.code, "5432" in wrong.stderr) == (2, False)


def test_a_version_that_cannot_be_read_is_told_with_the_next_command(reader: Operator) -> None:
    for value in (b"value-one", b"value-two", b"value-three"):
        reader.call("secret", "set", "three-times", stdin=value)
    see_all = "see all of them: orchestra-creds secret versions three-times"
    asked = (("secret", "get", "three-times"), ("run", "--only", "three-times", "--", "true"))
    for disabled, hint in (
        ("3", f"hint: the newest enabled version is 2 (--version 2); {see_all}"),
        ("2", f"hint: the newest enabled version is 1 (--version 1); {see_all}"),
        ("1", f"hint: no version of it is enabled; {see_all}"),
    ):
        reader.call("secret", "disable", "three-times", disabled)
        for command in asked:
            refused = reader.call(*command)
            assert (refused.code, refused.stderr.splitlines()[-1]) == (4, hint)
