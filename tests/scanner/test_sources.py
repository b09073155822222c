"""One table of sources: the command line, the JSON schema and the reports have its words."""

import importlib
from pathlib import Path

import pytest
import typer

from orchestra_creds.cli import fast_scan
from orchestra_creds.cli.scan import app, one_source
from orchestra_creds.errors import ConfigError
from orchestra_creds.render import scan_json
from orchestra_creds.scanner import sources
from orchestra_creds.scanner.source import SOURCES, Source, source_of
from tests.scanner.trees import git, look, repository, write

OPTIONS = [option for command in [typer.main.get_command(app)] for option in command.commands["path"].params]  # type: ignore[attr-defined]
NO_SOURCE = {"history": False, "staged": False, "since": None}


def test_every_source_has_its_module_and_its_option() -> None:
    folder = Path(sources.__path__[0])
    assert {path.stem for path in folder.glob("*.py")} == {*SOURCES, "__init__", "shared"}
    for source in SOURCES.values():
        assert callable(importlib.import_module(f"orchestra_creds.scanner.sources.{source.name}").open_source)
        found = [option for option in OPTIONS if source.option and source.option in option.opts]
        assert [option.name for option in found] == ([source.name] if source.option else [])
        assert all(option.is_flag != source.takes_value for option in found)
        assert source.option in {"", f"--{source.name}"}


def test_the_schema_names_every_source_that_no_option_chooses() -> None:
    described = scan_json.schema()["properties"]["stats"]["properties"]["source"]["description"]
    for source in SOURCES.values():
        assert source.option or source.name in described.rstrip(".").split()


def test_the_fast_way_knows_every_source_with_an_option() -> None:
    for source in SOURCES.values():
        value = ["HEAD"] if source.takes_value else []
        plain = fast_scan._parse_arguments(["scan", source.option, *value] if source.option else ["scan"])
        assert plain is not None
        assert plain.source is (source if source.option else SOURCES["tree"])


def test_a_new_line_is_a_new_source(monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = Source("bucket", option="--bucket", takes_value=True)
    monkeypatch.setitem(SOURCES, "bucket", bucket)
    assert one_source({**NO_SOURCE, "bucket": "name"}) is bucket
    with pytest.raises(ConfigError, match="--staged and --bucket exclude each other"):
        one_source({**NO_SOURCE, "bucket": "name", "staged": True})
    with pytest.raises(ModuleNotFoundError, match=r"scanner\.sources\.bucket"):
        bucket.open(None)  # type: ignore[arg-type]


@pytest.mark.parametrize(("paths", "name"), [(["-"], "stdin"), (["-", "a"], "tree"), (["a"], "tree")])
def test_standard_input_alone_is_a_source_of_its_own(paths: list[str], name: str) -> None:
    assert source_of("tree", paths).name == name
    assert source_of("staged", paths).name == "staged"


def test_a_report_names_its_source(tmp_path: Path) -> None:
    repo = write(repository(tmp_path), {"a.txt": b"x\n"})
    git(repo, "add", ".")
    git(repo, "commit", "-qm", "one")
    for source in ("tree", "staged", "history", "since"):
        assert look(repo, source=source, since="HEAD" if source == "since" else "").source == source
