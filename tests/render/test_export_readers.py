"""Every form of `secret export` is read back by its reader, or refuses the value by its variable."""

import json
import re
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import dotenv
import pytest
import ruamel.yaml
import ruamel.yaml.error
import yaml

from orchestra_creds.core.masking import SHORTEST
from orchestra_creds.core.material import Material
from orchestra_creds.manage.dotenv import read_dotenv
from orchestra_creds.render import export
from orchestra_creds.render.export import UnwritableError
from tests.render.readers import hostile_names, hostile_values, read_as_runner, read_as_systemd, read_masks

VALUES = hostile_values(1_500)
NAMES = hostile_names(1_500)


def write_all(form: str, values: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Return the text of all values that the form takes, and those values; one that is refused is named."""
    taken, refused, written = {}, [], ""
    for name, value in values.items():
        try:
            written += export.VALUES[form]({name: Material(value.encode())}, lambda: "a-random-word")
        except UnwritableError as error:
            refused.append((name, error.variable))
        else:
            taken[name] = value
    assert all(named == variable for named, variable in refused)
    return written, taken


def read_with_shell(shell: str) -> Callable[[str, Path], dict[str, str]]:
    def read(text: str, folder: Path) -> dict[str, str]:
        (folder / "values.sh").write_bytes(text.encode())
        done = subprocess.run(
            [shell, "-c", ". ./values.sh; env -0"],
            cwd=folder,
            env={"PATH": "/usr/bin:/bin"},
            capture_output=True,
            check=True,
        )
        assert [path.name for path in folder.iterdir()] == ["values.sh"], done.stderr
        pairs = (pair.partition("=") for pair in done.stdout.decode().split("\0"))
        return {name: value for name, _, value in pairs if name in VALUES}

    return read


def read_with_import_env(text: str, folder: Path) -> dict[str, str]:
    (folder / "values.env").write_bytes(text.encode())
    return {name: value.reveal().decode() for name, value in read_dotenv(folder / "values.env").items()}


def read_with_python_dotenv(text: str, folder: Path) -> dict[str, str | None]:
    (folder / "values.env").write_bytes(text.encode())
    return dotenv.dotenv_values(folder / "values.env")


def read_json(text: str, _folder: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    rest = text
    while rest:
        document, end = json.JSONDecoder().raw_decode(rest)
        found, rest = found | document, rest[end:].lstrip("\n")
    return found


@pytest.mark.parametrize(
    ("form", "read", "refused"),
    [
        ("dotenv", read_with_python_dotenv, 250),
        ("dotenv", read_with_import_env, 250),
        ("shell", read_with_shell("bash"), 0),
        ("shell", read_with_shell("dash"), 0),
        ("json", read_json, 0),
        ("github", lambda text, _folder: read_as_runner(text), 0),
        ("systemd", lambda text, _folder: read_as_systemd(text), 400),
    ],
    ids=["dotenv-python-dotenv", "dotenv-import-env", "shell-bash", "shell-dash", "json", "github", "systemd"],
)
def test_what_is_written_is_read_back_exactly(
    form: str, read: Callable[[str, Path], Mapping[str, str | None]], refused: int, tmp_path: Path
) -> None:
    written, taken = write_all(form, VALUES)
    assert read(written, tmp_path) == taken
    assert len(VALUES) - len(taken) <= refused


def read_with_ruamel(text: str) -> Any:
    reader = ruamel.yaml.YAML(typ="safe", pure=True)
    reader.version = (1, 2)
    return reader.load(text)


@pytest.mark.parametrize(
    "read",
    [lambda text: yaml.load(text, yaml.SafeLoader), lambda text: yaml.load(text, yaml.CSafeLoader), read_with_ruamel],
    ids=["PyYAML (YAML 1.1)", "libyaml (YAML 1.1)", "ruamel (YAML 1.2)"],
)
def test_every_name_in_an_external_secret_is_text_to_a_yaml_reader(read: Callable[[str], Any]) -> None:
    try:
        manifest = read(export.k8s([(name.upper(), name) for name in NAMES]))
    except (yaml.YAMLError, ruamel.yaml.error.YAMLError) as error:
        raise AssertionError("it is no YAML") from error
    found = manifest["spec"]["data"]
    assert [(one["secretKey"], one["remoteRef"]["key"]) for one in found] == [(name.upper(), name) for name in NAMES]
    assert {one["remoteRef"]["version"] for one in found} == {"latest"}
    bare = read("\n".join(f"- {name}" for name in ("yes", "123", "null")))
    assert [type(one) for one in bare] != [str, str, str]  # the reader does tell types apart


def test_the_runner_masks_each_line_that_is_long_enough_and_no_other() -> None:
    for name, value in VALUES.items():
        lines = {line.strip() for line in re.split(r"\r\n|\r|\n", value)}
        masks = read_masks(export.github_masks({name: Material(value.encode())}))
        assert set(masks) == {line for line in lines if len(line.encode()) >= SHORTEST}
