"""Which name a value is bound to, in every way of writing; what a name says; and when a value is a secret."""

import base64
import sqlite3
import textwrap
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestra_creds.scanner.checks.binding import AHEAD, BACK, Syntax, bind
from orchestra_creds.scanner.checks.judge import is_password, is_reference, is_secret
from orchestra_creds.scanner.checks.letters import chance
from orchestra_creds.scanner.checks.names import NameClass, classify_name, split_name
from orchestra_creds.scanner.checks.verdict import Subject
from orchestra_creds.scanner.content import sqlite
from orchestra_creds.scanner.detection import Detection
from orchestra_creds.scanner.engine.engine import Engine
from orchestra_creds.scanner.samples.sample import render
from tests.scanner.engines import fast

WORD = "vT4{b62:9}_Qz8"
LONG = "{b62:18}4{b62:17}9x"
STRONG = "u7$Kd(9]<x&,'Z`q;E2"

WRITTEN = (
    "db_password = 'V'",
    'var dbPassword string = "V"',
    'let password: &str = "V";',
    'char password[] = "V";',
    'Dim Password As String = "V"',
    "$dbPassword .= 'V';",
    "DB_PASSWORD ?= V\n",
    "DB_PASSWORD := V\n",
    'password <- "V"',
    "'password' => 'V',",
    "if password == 'V':",
    'PASSWORD = b"V"',
    'string password = @"V";',
    'var password = []byte("V")',
    "password = SecretStr('V')",
    "db_password = (\n    'V'\n)\n",
    'const password =\n  "V";\n',
    "password: |\n  V\nuser: app\n",
    "password: >-\n  V\n",
    "- name: DB_PASSWORD\n  value: V\n",
    '{"key": "password", "value": "V"}',
    '"dbPassword": {"value": "V"}',
    "<password>V</password>",
    '<Pass encoding="plain">V</Pass>',
    "<password>\n  V\n</password>",
    "<password><![CDATA[V]]></password>",
    "<key>password</key>\n<string>V</string>",
    'ds.setPassword("V");',
    "ENV DB_PASSWORD V\n",
    '#define WIFI_PASSWORD "V"',
    '{:password "V"}',
    "storePassword 'V'",
    "app --password V --verbose\n",
    "const p = process.env.DB_PASSWORD || 'V'",
    'p = env["DB_PASSWORD"] ?? "V"',
    'export DB_PASSWORD="${DB_PASSWORD:-V}"',
    '@Value("${db.password:V}")',
    "DB_PASSWORD = os.environ.get('DB_PASSWORD', 'V')",
    'password: {{ .Values.password | default "V" }}',
    '- "POSTGRES_PASSWORD=V"',
    '"a: 1\\npassword: V\\nuser: app\\n"',
    "user: app, password: V, host: db\n",
    "CREATE USER app WITH PASSWORD 'V';",
    'dbpass = "V"',
    "auth: { user: 'a@b.io', pass: 'V' }",
    'contraseña = "V"',
)


@pytest.fixture(scope="module")
def engine() -> Engine:
    return fast()


def scan(engine: Engine, data: str | bytes) -> list[Detection]:
    data = data.encode() if isinstance(data, str) else data
    return engine.settle(engine.examine(data, engine.find_hits(data)))


@pytest.mark.parametrize("template", WRITTEN)
def test_a_password_is_found_whole_in_every_way_of_writing(engine: Engine, template: str) -> None:
    for seed in range(3):
        value = render(WORD, seed=seed)
        text = value.join(template.rsplit("V", 1))
        found = [hit.material.reveal().decode() for hit in scan(engine, text)]
        assert found == [value], template


@pytest.mark.parametrize("template", ['password: "V"\n', '{"password": "V"}', "password = 'V'\n", "DB_PASSWORD=V\n"])
def test_a_password_may_hold_any_sign_that_does_not_end_it(engine: Engine, template: str) -> None:
    quote = next((sign for sign in "\"'" if sign + "V" in template), "")
    value = STRONG.replace(quote, "") if quote else STRONG
    assert [hit.material.reveal().decode() for hit in scan(engine, template.replace("V", value))] == [value]


@pytest.mark.parametrize(
    "text",
    [
        "password := altsPerRPCCreds\n",
        "this.password = credsFromDefault2;\n",
        "password = auth_info[2]\n",
        "token: AccessTokenProviderV2\n",
        "password: sm://acme/Db9Pass7xQ\n",
        "password: vault:v1:{b64:48}\n",
        'db_password = "ref+vault://kv/db#Pa55w0rdX9"\n',
        "db.password=![{b64:40}]\n",
        "password: '%env(resolve:DATABASE_PASSWORD1)%'\n",
        "checksum/secret: {hex:64}\n",
        "SPEC CHECKSUMS:\n  AppAuthToken: {hex:40}\n  KeychainSecret: {hex:40}\n",
        '"hashed_secret": "{hex:40}"',
        "secretsCommit: {hex:40}\n",
        "token_mint = '{b62:44}'\n",
        "    Next page token: {b62:24}7\n",
        "#password_encryption = scram-sha-256\t# scram-sha-256 or md5\n",
        'name="authenticity_token" value="{b64u:86}"',
        'password: "Passwords have 8-20 characters"\n',
        "password = decrypt(settings.password1)\n",
        "no_password: {b62:16}7\n",
    ],
)
def test_what_only_looks_like_a_secret_is_none(engine: Engine, text: str) -> None:
    assert scan(engine, render(text)) == []


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("NO_REPLY_PASSWORD", NameClass.PASSWORD),
        ("no_password", NameClass.OTHER),
        ("MIN_IO_SECRET_KEY", NameClass.STRONG_SECRET),
        ("min_password_length", NameClass.OTHER),
        ("smtpPass", NameClass.PASSWORD),
        ("compass", NameClass.OTHER),
        ("rootpw", NameClass.PASSWORD),
        ("clientSecret", NameClass.STRONG_SECRET),
        ("nextPageToken", NameClass.OTHER),
        ("hmac_key", NameClass.SECRET),
        ("primary_key", NameClass.OTHER),
        ("public_key", NameClass.OTHER),
        ("tokenURL", NameClass.OTHER),
        ("senha", NameClass.PASSWORD),
        ("contraseña", NameClass.PASSWORD),
    ],
)
def test_a_name_is_judged_by_its_words(name: str, kind: NameClass) -> None:
    assert classify_name(name.encode()) is kind


def test_a_name_is_split_at_signs_humps_and_glued_words() -> None:
    assert split_name(b"myDBPassword_2") == ("my", "db", "password", "2")
    assert split_name(b"app-apikey") == ("app", "apikey")


def test_chance_tells_drawn_values_from_names() -> None:
    drawn = [chance(render("{b62:16}", seed=seed).encode()) for seed in range(50)]
    names = [
        chance(name)
        for name in (b"transformedPassword", b"user-login-token-2", b"AbstractTokenFactory", b"get_credentials")
    ]
    assert min(drawn) > max(names)


@pytest.mark.parametrize(("value", "least"), [("{hex:32}", 99), ("{uuid:4}", 100), ("{b32:32}", 97), (LONG, 99)])
def test_hex_uuids_and_base32_are_secrets_under_a_strong_name(value: str, least: int) -> None:
    values = [render(value, seed=seed).encode() for seed in range(100)]
    assert sum(is_secret(one, NameClass.STRONG_SECRET, quoted=False) for one in values) >= least


def test_a_call_is_refused_only_where_one_may_stand() -> None:
    value = b"kX9(qT4wZ)"
    assert is_reference(b"load(path1)", quoted=False)
    assert not is_reference(b"load(path1)", quoted=True)
    assert is_password(value, quoted=True)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=120), st.sampled_from(WRITTEN), st.binary(max_size=120), st.integers(0, 99))
def test_a_binding_reads_no_further_than_it_says(before: bytes, template: str, behind: bytes, seed: int) -> None:
    text = render(WORD, seed=seed).join(template.rsplit("V", 1)).encode()
    at = text.lower().find(b"passw")
    if at < 0:
        return
    data = before + text + behind
    start = len(before) + at
    wide = bind(Subject(b"", data, start, start, 0, len(data)), lambda _name: True)
    low, high = max(0, start - BACK), min(len(data), start + AHEAD)
    part = data[low:high]
    assert bind(Subject(b"", part, start - low, start - low, 0, len(part)), lambda _name: True) == wide
    assert wide is None or data[start + wide.start : start + wide.end] == wide.value


def test_a_value_in_quotes_is_text_and_another_may_be_code() -> None:
    def syntax(text: bytes) -> Syntax | None:
        found = bind(Subject(b"", text, 0, 0, 0, len(text)), lambda _name: True)
        return found.syntax if found else None

    assert syntax(b'password = "abc"') is Syntax.STRING
    assert syntax(b"password = abc\n") is Syntax.LINE
    assert syntax(b"password: >-\n  abc\n") is Syntax.BLOCK


# --- margins, containers ---


@pytest.mark.parametrize(
    "margin",
    ["+", "-", "+    ", "> +", "| web-1  | ", "2026-01-01T00:00:0{n}Z stdout F ", "  {n}\t", "key.pem:{n}:"],
)
def test_a_key_is_found_behind_a_margin_on_every_line(engine: Engine, margin: str) -> None:
    lines = render("{sec1:0}").split("\n")
    text = "".join(f"{margin.replace('{n}', str(number))}{line}\n" for number, line in enumerate(lines))
    assert [hit.rule.id for hit in scan(engine, f"diff\n{text}\nend\n")] == ["private-key"]


@pytest.mark.parametrize("joint", ["\\par\n", "`n", " & vbCrLf & _\n    "])
def test_a_key_is_found_however_its_lines_are_joined(engine: Engine, joint: str) -> None:
    lines = render("{sec1:0}").split("\n")
    text = joint.join(f'"{line}"' for line in lines) if "vbCrLf" in joint else f'"{joint.join(lines)}"'
    assert [hit.rule.id for hit in scan(engine, f"k = {text}\n")] == ["private-key"]


def test_the_columns_of_a_database_stand_apart(tmp_path: Path, engine: Engine) -> None:
    token = render("ya29.a0{b64u:200}")
    with sqlite3.connect(tmp_path / "a.db") as database:
        database.execute("CREATE TABLE t (account TEXT PRIMARY KEY, token TEXT, note BLOB)")
        database.execute("INSERT INTO t VALUES (?,?,?)", ("deploy@acme.dev", token, b"x" * 9000 + b"end"))
    database.close()
    text = sqlite.as_text((tmp_path / "a.db").read_bytes()).read()
    assert f"deploy@acme.dev\n{token}\n".encode() in text
    assert b"x" * 9000 + b"end" in text
    assert [hit.rule.id for hit in scan(engine, text)] == ["google-oauth-access-token"]


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=600), st.integers(0, 2000))
def test_a_damaged_database_is_read_as_far_as_it_goes(noise: bytes, at: int) -> None:
    head = b"SQLite format 3\0\x02\0" + bytes(82) + b"\x0d\0\0\0\x03"
    content = (head + noise).ljust(1024, b"\1")
    assert isinstance(sqlite.as_text(content[:at] + noise + content[at:]).read(), bytes)


@pytest.mark.parametrize(
    "frame",
    [
        lambda token: b"\0" + bytes([len(token)]) + token + b"\1",
        lambda token: b"\xfa" + bytes([len(token)]) + token + b")",
    ],
)
def test_a_letter_that_is_the_length_of_a_token_does_not_hide_it(engine: Engine, frame: object) -> None:
    token = render("SG.{b64u:22}.{b64u:43}").encode()
    assert callable(frame)
    assert [hit.rule.id for hit in scan(engine, frame(token))] == ["sendgrid-api-key"]
    assert scan(engine, b"\0B" + token + b"\1") == []


def test_every_entry_of_a_kubernetes_secret_is_one(engine: Engine) -> None:
    value = base64.b64encode(render(WORD).encode()).decode()
    manifest = f"apiVersion: v1\nkind: Secret\ndata:\n  extra: {value}\n"
    assert [hit.rule.id for hit in scan(engine, manifest)] == ["generic-kubernetes-secret"]
    assert scan(engine, manifest.replace("Secret", "ConfigMap")) == []


def test_a_margin_that_not_all_lines_have_is_none(engine: Engine) -> None:
    text = textwrap.indent(render("{sec1:0}"), "    ")
    assert [hit.rule.id for hit in scan(engine, f"key: |\n{text}\n")] == ["private-key"]
