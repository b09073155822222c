"""docs/setup.md, runbooks.md, migration.md and library.md: what they name exists, and what they show runs."""

import re
from pathlib import Path
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI
from fastapi.testclient import TestClient

from orchestra_creds.cli import legacy
from orchestra_creds.config.document import Document
from orchestra_creds.core.material import Material
from orchestra_creds.fastapi import get_credential_manager
from orchestra_creds.setup import alerts, drift
from orchestra_creds.setup.example import example
from tests.cli.cloud import PROJECT
from tests.cli.conftest import Operator
from tests.setup.test_setup import RULES

DOCS = Path(__file__).parents[2] / "docs"
SETUP, RUNBOOKS, MIGRATION, LIBRARY = (
    (DOCS / name).read_text(encoding="utf-8") for name in ("setup.md", "runbooks.md", "migration.md", "library.md")
)


LIBRARY_EXAMPLES = re.findall(r"^```python\n(.*?)^```", LIBRARY, flags=re.DOTALL | re.MULTILINE)


class StoredSecrets:
    """A manager whose secrets hold their own names."""

    async def get_material(self, name: str) -> Material:
        return Material(name.encode())

    async def get_key_material(self, account: str) -> Material:
        return Material(f'{{"client_email": "{account}", "private_key_id": "1"}}'.encode())


def test_every_drift_rule_has_its_runbook() -> None:
    named = set(re.findall(r"^\| `([a-z-]+\.[a-z-]+)`", RUNBOOKS, flags=re.MULTILINE))
    raised = set(re.findall(r'Drift\(\s*"([a-z.-]+)"', Path(drift.__file__).read_text(encoding="utf-8")))
    assert named == raised == set(RULES)


def test_every_section_of_the_example_is_explained() -> None:
    sections = set(re.findall(r"^(?:# )?\[+([a-z_]+)", example(PROJECT), flags=re.MULTILINE))
    known = set(Document.__struct_fields__)
    assert sections <= known
    for section in sections - {"project", "naming", "environments", "defaults"}:
        assert re.search(rf"`\[+{section}[\].]", SETUP), section


def test_every_alert_is_named() -> None:
    assert all(f"`{name}`" in SETUP for name in alerts.RULES)


def test_every_old_verb_has_its_row() -> None:
    for verb in set(legacy.verbs()) - {"help", "--help"}:
        assert verb in MIGRATION, verb


def test_the_library_example_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    operator = Operator(tmp_path)
    operator.environment |= {"ORCHESTRA_CREDS_BACKEND": "local"}
    operator.call("secret", "set", "redis-password-dev", stdin=b"a canary" + b"-value")
    operator.call("secret", "set", "app-config-dev", stdin=b"{}")
    key = b'{"client_email": "m@x", "private_key_id": "1"}'
    operator.call("secret", "set", "memory-system-key", stdin=key)
    for name, value in operator.environment.items():
        monkeypatch.setenv(name, value)
    operator.call("secret", "set", "partner-api-dev", stdin=b"a-token")
    first, google, database, redis, refusal, arguments, fastapi, retry, _ = LIBRARY_EXAMPLES
    page: dict[str, Any] = {}
    exec(first, page)  # noqa: S102  the page's own example
    page |= {"call_partner": len}
    for example_ in (refusal, arguments, fastapi, retry):
        exec(example_, page)  # noqa: S102  the same
    assert page["answer"] == len("a-token")
    page["creds"].close()
    for example_ in (
        google,
        database,
        redis,
    ):  # tests/library/test_rotating_objects.py runs these objects on real servers
        compile(example_, "docs/library.md", "exec")
    assert "canary" not in capsys.readouterr().out


def test_the_example_of_a_project_serves_its_routes() -> None:
    page: dict[str, Any] = {}
    exec(LIBRARY_EXAMPLES[-1], page)  # noqa: S102  the page's own example
    app = FastAPI()
    app.dependency_overrides[get_credential_manager] = StoredSecrets

    def keys(vertex: Any, gemini: Any) -> list[str]:
        return [vertex.account, gemini.account]

    keys.__annotations__ |= {"vertex": page["VertexAiKey"], "gemini": page["GeminiKey"]}
    app.get("/keys")(keys)

    @app.get("/redis")
    def redis(found: Annotated[dict[str, str], Depends(page["get_redis_credentials"])]) -> dict[str, str]:
        return found

    web = TestClient(app)
    assert web.get("/keys").json() == ["vertex-ai-agent", "gemini-agent"]
    assert web.get("/redis").json() == {"host": "redis-host", "password": "redis-password"}


def test_from_an_empty_project_to_a_rotated_credential_in_under_ten_commands(tmp_path: Path) -> None:
    operator = Operator(tmp_path)
    operator.environment |= {"ORCHESTRA_CREDS_BACKEND": "local"}
    story = [
        (["setup", "init", "--project", PROJECT], 0),
        (["setup", "--check"], 1),
        (["setup", "--yes", "--allow-widening"], 0),
        (["setup", "--check"], 0),
        (["rotate", "memory-system-key", "redis-password-dev"], 0),
        (["emulator", "clock", "--advance", "31d"], 0),
        (["rotate", "redis-password-dev"], 0),
        (["status", "redis-password-dev", "--check"], 0),
    ]
    assert len(story) < 10
    for arguments, code in story:
        ended = operator.call(*arguments)
        assert ended.code == code, (arguments, ended.text, ended.stderr)
    assert '"version": 2' in operator.call("status", "redis-password-dev", "--format", "json").text
