"""Every destination: refuses before it is written to, holds what it was given, and takes the same again."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from orchestra_creds.core.credential import Copy
from orchestra_creds.core.material import Material
from orchestra_creds.core.ports import Destination
from orchestra_creds.errors import ConfigError, CredsError
from orchestra_creds.github.actions import ActionsSecret
from orchestra_creds.rotation.destinations import FileCopy, ProgramCopy, SecretCopy
from tests.github.server import GitHub
from tests.rotation.world import World
from tests.serving import serving

FIRST, SECOND = Material(b"first material\n\x00\xff"), Material(b"second material")


@pytest.fixture
def github() -> Iterator[GitHub]:
    with serving(GitHub()) as server:
        yield server


@dataclass
class Case:
    """A destination, what it holds, and how to break it."""

    destination: Destination
    holds: Callable[[], Material]
    break_it: Callable[[], None]


@pytest.fixture(params=["file", "program", "secret", "github"])
def case(request: pytest.FixtureRequest, tmp_path: Path, world: World, github: GitHub) -> Case:
    folder = tmp_path / "place"
    folder.mkdir()
    if request.param == "file":
        file = folder / "key.json"
        made: Destination = FileCopy(Copy("file", "a file", {"path": str(file)}))
        return Case(made, lambda: Material(file.read_bytes()), folder.rmdir)
    if request.param == "program":
        program, held = folder / "take", tmp_path / "held"
        program.write_text(f"#!/bin/sh\ncat > {held}\n")
        program.chmod(0o755)
        made = ProgramCopy(Copy("command", "a program", {"argv": (str(program),)}), timedelta(seconds=10))
        return Case(made, lambda: Material(held.read_bytes()), program.unlink)
    if request.param == "secret":
        world.secrets.create_secret("copy")
        made = SecretCopy(Copy("secret", "a secret", {"secret": "copy"}), world.secrets)
        return Case(
            made, lambda: world.secrets.access("copy", "latest").material, lambda: world.secrets.delete_secret("copy")
        )
    made = ActionsSecret("gh", "acme/app", "SA_KEY", lambda: Material(b"token-1\n"), api=github.url)

    def refuse() -> None:
        github.answer = 404

    return Case(made, lambda: github.opened("/repos/acme/app/actions/secrets/SA_KEY"), refuse)


def test_it_holds_what_it_was_given_and_takes_the_same_again(case: Case) -> None:
    case.destination.check()
    for material in (FIRST, FIRST, SECOND, SECOND):
        case.destination.put(material, identifier="kid", version=3)
        assert case.holds() == material


def test_it_refuses_before_anything_is_written_and_shows_nothing(case: Case) -> None:
    case.break_it()
    for attempt in (case.destination.check, lambda: case.destination.put(FIRST, identifier="kid", version=3)):
        with pytest.raises(CredsError) as caught:
            attempt()
        assert "first material" not in f"{caught.value} {caught.value.hint} {case.destination!r}"
        assert "token-1" not in f"{caught.value} {caught.value.hint}"


def test_a_secret_gets_no_second_version_of_the_same_bytes(world: World) -> None:
    world.secrets.create_secret("copy")
    copy = SecretCopy(Copy("secret", "s", {"secret": "copy"}), world.secrets)
    for _ in range(3):
        copy.put(FIRST, identifier="k", version=1)
    assert len(world.versions("copy")) == 1


def test_a_file_is_for_its_owner_alone_unless_told(tmp_path: Path) -> None:
    plain, open_one = tmp_path / "a", tmp_path / "b"
    FileCopy(Copy("file", "a", {"path": str(plain)})).put(FIRST, identifier="k", version=1)
    FileCopy(Copy("file", "b", {"path": str(open_one), "mode": "640"})).put(FIRST, identifier="k", version=1)
    assert (plain.stat().st_mode & 0o777, open_one.stat().st_mode & 0o777) == (0o600, 0o640)
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]
    with pytest.raises(ConfigError, match="no file mode"):
        FileCopy(Copy("file", "c", {"path": "x", "mode": "rw"}))


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    target, link = tmp_path / "precious", tmp_path / "link"
    target.write_text("untouched")
    link.symlink_to(target)
    FileCopy(Copy("file", "a", {"path": str(link)})).put(FIRST, identifier="k", version=1)
    assert target.read_text() == "untouched"
    assert not link.is_symlink()
