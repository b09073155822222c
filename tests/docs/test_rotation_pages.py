"""docs/rotation.md, rotation-kinds.md and cron.md: their settings are understood, their tables are complete, their commands run."""

import re
import tomllib
from pathlib import Path

import pytest

from orchestra_creds.config import credential_declarations
from orchestra_creds.config.credentials import DESTINATION_KINDS
from orchestra_creds.config.document import Document
from orchestra_creds.config.parse import parse
from orchestra_creds.core.credential import CredentialKind
from orchestra_creds.render import metrics
from orchestra_creds.rotation.status import Problem
from tests.cli.conftest import Operator

DOCS = Path(__file__).parents[2] / "docs"
ROTATION, KINDS, CRON = (
    (DOCS / name).read_text(encoding="utf-8") for name in ("rotation.md", "rotation-kinds.md", "cron.md")
)


def settings(page: str) -> list[str]:
    return re.findall(r"^```toml\n(.*?)^```", page, flags=re.DOTALL | re.MULTILINE)


def credentials(text: str) -> Document:
    return parse(text, "page.toml")


def test_every_kind_has_an_example_that_is_understood() -> None:
    kinds = set()
    for text in settings(KINDS):
        tree = tomllib.loads(text)["credentials"]
        whole = (
            text
            if all("kind" in table for table in tree.values())
            else f'[credentials.app-key]\nkind = "generated"\n{text}'
        )
        for name, table in credentials(whole).credentials.items():
            kinds.add(credential_declarations.credential(name, table, "demo-project").kind)
    assert kinds == set(CredentialKind)


def test_every_destination_has_an_example() -> None:
    found = re.findall(r'^kind\s+= "(file|command|secret|github)"', KINDS, flags=re.MULTILINE)
    assert set(found) == set(DESTINATION_KINDS)


def test_the_example_of_the_rotation_page_is_understood() -> None:
    (text,) = settings(ROTATION)
    document = credentials(text)
    both = [credential_declarations.credential(name, table, "acme-dev") for name, table in document.credentials.items()]
    assert [each.account for each in both] == ["app-one@acme-dev.iam.gserviceaccount.com", ""]


def test_labels_say_the_same_as_the_file() -> None:
    (text,) = settings(ROTATION)
    for name, table in credentials(text).credentials.items():
        written = credential_declarations.credential(name, table, "acme-dev")
        labels = credential_declarations.labels_of(written, "acme-dev")
        assert all(re.fullmatch(r"[a-z0-9_-]{0,63}", value) for value in labels.values())
        read = credential_declarations.from_labels(written.secret, labels, "acme-dev")
        assert read is not None
        assert (read.kind, read.account, read.policy) == (written.kind, written.account, written.policy)


@pytest.mark.parametrize("problem", list(Problem))
def test_every_problem_has_its_line(problem: Problem) -> None:
    assert f"\n| {problem} |" in ROTATION


def test_every_metric_is_explained() -> None:
    source = Path(metrics.__file__).read_text(encoding="utf-8")
    names = set(re.findall(r'gauge\("([a-z_]+)"', source))
    assert names == set(re.findall(r"`orchestra_creds_([a-z_]+)", CRON))


def test_the_commands_of_the_page_run(tmp_path: Path) -> None:
    operator = Operator(tmp_path)
    operator.environment |= {"ORCHESTRA_CREDS_BACKEND": "local"}
    operator.write(
        "orchestra-creds.toml", 'schema = 1\n[credentials.redis-password]\nkind = "generated"\nevery = "30d"\n'
    )
    for arguments in (["rotate", "--all"], ["status"], ["rotate", "--due"], ["rotate", "history", "--verify"]):
        assert operator.call(*arguments).code == 0
