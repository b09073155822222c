from pathlib import Path

import pytest

from orchestra_creds.config import parse, settings
from orchestra_creds.errors import ConfigError, NotFoundError


def test_without_a_file_everything_has_its_default(tmp_path: Path) -> None:
    assert settings.Settings() == settings.load(environment={}, start=tmp_path)


def test_the_nearest_file_upward_is_found(tmp_path: Path) -> None:
    (tmp_path / "orchestra-creds.toml").write_text('[project]\nid = "acme-prod"\n')
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    found = settings.load(environment={}, start=below)
    assert found.document.project.id == "acme-prod"
    assert not found.named


def test_a_named_file_wins_over_the_environment_and_that_over_the_nearest(tmp_path: Path) -> None:
    names = ["near/orchestra-creds.toml", "variable.toml", "flag.toml"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f'[project]\nid = "{Path(name).parts[0].removesuffix(".toml")}"\n')
    variable = {"ORCHESTRA_CREDS_CONFIG": str(tmp_path / "variable.toml")}
    assert settings.load(environment={}, start=tmp_path / "near").document.project.id == "near"
    assert settings.load(environment=variable, start=tmp_path / "near").document.project.id == "variable"
    flag = settings.load(tmp_path / "flag.toml", environment=variable, start=tmp_path / "near")
    assert (flag.document.project.id, flag.named) == ("flag", True)


def test_a_missing_named_file_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"nowhere\.toml"):
        settings.load(tmp_path / "nowhere.toml", environment={})


@pytest.mark.parametrize(
    ("text", "line", "hint"),
    [
        ('schema = 1\n[project]\nidd = "x"\n', 3, "did you mean 'id'?"),
        ("\n[scann]\njobs = 2\n", 2, "did you mean 'scan'?"),
        ("[scan]\n\nseverty = 'high'\n", 3, "did you mean 'severity'?"),
        ('[environments.prod]\nprojekt = "acme-prod"\n', 2, "did you mean 'project'?"),
    ],
)
def test_an_unknown_key_is_named_with_its_line_and_the_nearest_known_one(text: str, line: int, hint: str) -> None:
    with pytest.raises(ConfigError, match=f"creds.toml:{line}: unknown key") as caught:
        parse.parse(text, "creds.toml")
    assert caught.value.hint == hint


@pytest.mark.parametrize(
    ("text", "line"),
    [("schema = 1\nproject = [\n", 2), ('a = "b\n', 1), ("[scan]\njobs = 'two'\n", 2), ("schema = 2\n", 1)],
)
def test_a_wrong_file_is_refused_with_the_line(text: str, line: int) -> None:
    with pytest.raises(ConfigError, match=f"creds.toml:{line}: "):
        parse.parse(text, "creds.toml")


def test_a_key_for_a_value_is_an_error_that_does_not_show_it() -> None:
    canary = "swordfish" + "-9000"
    with pytest.raises(ConfigError, match=r"creds.toml:2: key 'password'") as caught:
        parse.parse(f'[project]\npassword = "{canary}"\n', "creds.toml")
    assert canary not in str(caught.value) + caught.value.hint


def test_a_wrong_type_does_not_show_the_value() -> None:
    canary = "swordfish" + "-9000"
    with pytest.raises(ConfigError) as caught:
        parse.parse(f'[scan]\njobs = "{canary}"\n', "creds.toml")
    assert canary not in str(caught.value) + caught.value.hint
