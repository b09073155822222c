"""The ways a credential gets into a file: raw in a dozen languages, quoted, escaped, encoded, folded, packed.

A wrapping takes one `Secret` and returns the file that holds it and the lines where it stands. Each names the kinds it
is plausible for; nobody hex-encodes a Markdown table. The text around a credential is ordinary configuration.
"""

import base64
import gzip
import io
import json
import tarfile
import textwrap
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote
from xml.sax.saxutils import escape

from benchmarks.primes import Dice
from benchmarks.tokens import Kind, Secret

_EPOCH: Final = (2024, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Wrapped:
    """A file: its name, its bytes, and the lines (1-based, inclusive) of the credential; (0, 0): anywhere in it."""

    name: str
    data: bytes
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Wrapping:
    """One way of writing a credential down."""

    name: str
    kinds: frozenset[Kind]
    wrap: Callable[[Secret, Dice], Wrapped]


def _file(name: str, before: str, body: str, after: str = "\n") -> Wrapped:
    first = before.count("\n") + 1
    return Wrapped(name, (before + body + after).encode(), first, first + body.rstrip("\n").count("\n"))


def _camel(name: str) -> str:
    head, *rest = name.lower().split("_")
    return head + "".join(word.capitalize() for word in rest)


def _one_line(secret: Secret, text: str) -> str:
    """The value as it can stand on one line: documents compact, PEM with its line ends written out."""
    if secret.kind is Kind.DOCUMENT:
        return json.dumps(json.loads(text), separators=(",", ":"))
    return text.replace("\n", "\\n")


def _python(secret: Secret, rng: Dice) -> Wrapped:
    del rng
    before = '"""Settings of the billing service."""\n\nimport os\n\nREGION = "europe-west3"\nTIMEOUT_SECONDS = 30\n'
    if secret.kind in {Kind.PEM, Kind.DOCUMENT}:
        body = f'{secret.name} = """{secret.text}"""'
    else:
        body = "\n".join(f"{name} = {json.dumps(text)}" for name, text in secret.values)
    return _file("settings.py", before, body, '\n\nDEBUG = os.environ.get("DEBUG") == "1"\n')


def _call(secret: Secret, rng: Dice) -> Wrapped:
    del rng
    before = "const { Client } = require('./client');\n\nasync function main() {\n"
    body = f"  const client = new Client({{ {_camel(secret.name)}: '{secret.text}', retries: 3 }});"
    return _file("main.js", before, body, "\n  await client.run();\n}\n\nmain();\n")


def _java(secret: Secret, rng: Dice) -> Wrapped:
    del rng
    before = "package io.initech.billing;\n\nfinal class Config {\n    static final int RETRIES = 3;\n"
    body = "\n".join(f"    static final String {name} = {json.dumps(text)};" for name, text in secret.values)
    return _file("Config.java", before, body, "\n}\n")


def _go(secret: Secret, rng: Dice) -> Wrapped:
    del rng
    body = "\n".join(f"\t{_camel(name)} = `{text}`" for name, text in secret.values)
    return _file("config.go", "package config\n\nconst (\n\tregion = `europe-west3`\n", body, "\n)\n")


def _env(secret: Secret, rng: Dice) -> Wrapped:
    del rng
    body = "\n".join(f"{name}={_env_value(secret, text)}" for name, text in secret.values)
    return _file(".env", "# local settings\nPORT=8080\nLOG_LEVEL=info\n", body, "\nREGION=europe-west3\n")


def _env_value(secret: Secret, text: str) -> str:
    line = _one_line(secret, text)
    if secret.kind is Kind.DOCUMENT:
        return f"'{line}'"
    return f'"{line}"' if secret.kind is Kind.PEM or "#" in line else line


def _yaml(secret: Secret, rng: Dice) -> Wrapped:
    del rng
    body = "\n".join(f"  {name.lower()}: {json.dumps(text)}" for name, text in secret.values)
    return _file(
        "values.yaml", "service: billing\nreplicas: 2\nconfig:\n  region: europe-west3\n", body, "\n  debug: false\n"
    )


def _yaml_plain(secret: Secret, rng: Dice) -> Wrapped:
    del rng
    body = "\n".join(f"      - name: {name}\n        value: {text}" for name, text in secret.values)
    return _file(
        "deployment.yaml", "spec:\n  containers:\n    - name: api\n      env:\n", body, "\n      ports: [8080]\n"
    )


def _json(secret: Secret, rng: Dice) -> Wrapped:
    del rng
    body = ",\n".join(f"    {json.dumps(_camel(name))}: {json.dumps(text)}" for name, text in secret.values)
    return _file("config.json", '{\n  "service": "billing",\n  "settings": {\n', body, "\n  }\n}\n")


def _toml(secret: Secret, rng: Dice) -> Wrapped:
    del rng
    body = "\n".join(f"{name.lower()} = {json.dumps(text)}" for name, text in secret.values)
    return _file("settings.toml", '[service]\nname = "billing"\n\n[auth]\n', body, "\nretries = 3\n")


def _ini(secret: Secret, rng: Dice) -> Wrapped:
    del rng
    body = "\n".join(f"{name.lower()} = {text.replace('%', '%%')}" for name, text in secret.values)
    return _file("service.ini", "[service]\nname = billing\n", body, "\nretries = 3\n")


def _xml(secret: Secret, rng: Dice) -> Wrapped:
    del rng
    body = "\n".join(f'    <string name="{name.lower()}">{escape(text)}</string>' for name, text in secret.values)
    before = '<?xml version="1.0" encoding="utf-8"?>\n<resources>\n    <string name="app_name">Billing</string>\n'
    return _file("strings.xml", before, body, "\n</resources>\n")


def _properties(secret: Secret, rng: Dice) -> Wrapped:
    del rng
    body = "\n".join(f"{name.lower().replace('_', '.')}={text}" for name, text in secret.values)
    return _file("application.properties", "server.port=8080\n", body, "\nserver.compression.enabled=true\n")


def _markdown(secret: Secret, rng: Dice) -> Wrapped:
    del rng
    lines = "\n".join(f"export {name}={_env_value(secret, text)}" for name, text in secret.values)
    return _file("SETUP.md", "# Setting up\n\nRun the service with\n\n```sh\n", lines, "\n./run.sh\n```\n")


def _markdown_prose(secret: Secret, rng: Dice) -> Wrapped:
    del rng
    return _file(
        "notes.md",
        "# Notes\n\n- restart the worker first\n",
        f"- staging uses `{secret.text}` for now",
        "\n- ask ops\n",
    )


def _docker(secret: Secret, rng: Dice) -> Wrapped:
    del rng
    body = "\n".join(f"ENV {name}={_env_value(secret, text)}" for name, text in secret.values)
    return _file(
        "Dockerfile", "FROM python:3.12-slim\nWORKDIR /app\n", body, '\nCOPY . .\nCMD ["python", "-m", "app"]\n'
    )


def _shell(secret: Secret, rng: Dice) -> Wrapped:
    del rng
    body = "\n".join(f"export {name}='{_one_line(secret, text)}'" for name, text in secret.values)
    return _file("deploy.sh", "#!/bin/sh\nset -eu\n", body, "\nexec ./deploy --wait\n")


def _header(secret: Secret, rng: Dice) -> Wrapped:
    del rng
    before = "POST /v1/orders HTTP/1.1\nHost: api.initech.io\nAccept: application/json\n"
    return _file(
        "orders.http", before, f"Authorization: Bearer {secret.text}", "\nContent-Type: application/json\n\n{}\n"
    )


def _curl(secret: Secret, rng: Dice) -> Wrapped:
    del rng
    body = f'curl -fsS -H "Authorization: Bearer {secret.text}" https://api.initech.io/v1/orders'
    return _file("smoke.sh", "#!/bin/sh\nset -e\n", body, "\n")


def _query(secret: Secret, rng: Dice) -> Wrapped:
    del rng
    body = f"    url = 'https://api.initech.io/v1/lookup?key={quote(secret.text, safe='')}&callback=done'"
    return _file("lookup.py", "def lookup(session):\n", body, "\n    return session.get(url)\n")


def _log(secret: Secret, rng: Dice) -> Wrapped:
    del rng
    before = "2026-02-11T10:04:12Z INFO  starting worker 3\n"
    body = f"2026-02-11T10:04:13Z DEBUG request failed, retrying; token={secret.text} status=503"
    return _file("worker.log", before, body, "\n2026-02-11T10:04:14Z INFO  done\n")


def _minified(secret: Secret, rng: Dice) -> Wrapped:
    filler = "".join(
        f"function {a}{n}(e,t){{return e<t?-1:e>t?{n}:0}}" for n, a in enumerate(rng.choices("abcdefgh", k=90))
    )
    if secret.kind is Kind.DOCUMENT:
        body = f"var q={_one_line(secret, secret.text)};"
    else:
        body = "var q={" + ",".join(f"{_camel(name)}:{json.dumps(text)}" for name, text in secret.values) + "};"
    return _file("bundle.min.js", "", f"!function(){{'use strict';{filler}{body}{filler}}}();")


def _sql(secret: Secret, rng: Dice) -> Wrapped:
    del rng
    before = "CREATE TABLE settings (name text PRIMARY KEY, value text);\n"
    insert = "INSERT INTO settings VALUES ('{}', '{}');"
    body = "\n".join(insert.format(name.lower(), _one_line(secret, text)) for name, text in secret.values)
    return _file("dump.sql", before, body, "\nINSERT INTO settings VALUES ('region', 'europe-west3');\n")


def _notebook(secret: Secret, rng: Dice) -> Wrapped:
    del rng
    source = ["import client\n", *(f"{name} = {json.dumps(text)}\n" for name, text in secret.values), "client.run()\n"]
    cell = {"cell_type": "code", "execution_count": 1, "metadata": {}, "outputs": [], "source": source}
    text = json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}, indent=1)
    lines = text.split("\n")
    hits = [number for number, line in enumerate(lines, 1) if any(f"{name} = " in line for name, _ in secret.values)]
    return Wrapped("analysis.ipynb", text.encode(), hits[0], hits[-1])


def _pretty(secret: Secret, rng: Dice) -> Wrapped:
    del rng
    return _file("credentials.json", "", json.dumps(json.loads(secret.text), indent=2))


def _compact(secret: Secret, rng: Dice) -> Wrapped:
    del rng
    return _file("credentials.json", "", _one_line(secret, secret.text))


def _reordered(secret: Secret, rng: Dice) -> Wrapped:
    def shuffled(value: object) -> object:
        if not isinstance(value, dict):
            return value
        keys = list(value)
        rng.shuffle(keys)
        return {key: shuffled(value[key]) for key in keys}

    return _file("credentials.json", "", json.dumps(shuffled(json.loads(secret.text)), indent="\t"))


def _nested(secret: Secret, rng: Dice) -> Wrapped:
    del rng
    body = f'    "{secret.name.lower()}": {json.dumps(_one_line(secret, secret.text))}'
    return _file("config.json", '{\n  "service": "billing",\n  "settings": {\n', body, "\n  }\n}\n")


def _nested_twice(secret: Secret, rng: Dice) -> Wrapped:
    del rng
    inner = json.dumps({"settings": {secret.name.lower(): _one_line(secret, secret.text)}})
    return _file("event.json", '{\n  "kind": "deploy",\n', f'  "payload": {json.dumps(inner)}', "\n}\n")


def _embedded(secret: Secret, rng: Dice) -> Wrapped:
    del rng
    document = textwrap.indent(json.dumps(json.loads(secret.text), indent=4), "        ").lstrip()
    return _file(
        "main.py", "import client\n\n\ndef connect():\n    return client.connect(\n", f"        {document}", "\n    )\n"
    )


def _yaml_block(secret: Secret, rng: Dice) -> Wrapped:
    del rng
    text = json.dumps(json.loads(secret.text), indent=2) if secret.kind is Kind.DOCUMENT else secret.text
    before = f"auth:\n  region: europe-west3\n  {secret.name.lower()}: |\n"
    return _file("values.yaml", before, textwrap.indent(text.rstrip("\n"), "    "), "\n  debug: false\n")


def _heredoc(secret: Secret, rng: Dice) -> Wrapped:
    del rng
    text = json.dumps(json.loads(secret.text), indent=2) if secret.kind is Kind.DOCUMENT else secret.text
    return _file(
        "prod.tfvars", f'region = "europe-west3"\n{secret.name.lower()} = <<EOT\n', text.rstrip("\n"), "\nEOT\n"
    )


def _shell_heredoc(secret: Secret, rng: Dice) -> Wrapped:
    del rng
    text = json.dumps(json.loads(secret.text), indent=2) if secret.kind is Kind.DOCUMENT else secret.text
    return _file(
        "setup.sh",
        "#!/bin/sh\ncat > /etc/billing/key <<'EOF'\n",
        text.rstrip("\n"),
        "\nEOF\nchmod 600 /etc/billing/key\n",
    )


def _raw_file(secret: Secret, rng: Dice) -> Wrapped:
    del rng
    return _file("server.key", "", secret.text.rstrip("\n"))


def _payload(secret: Secret) -> bytes:
    """What one would put through base64: a document or a key as it is, anything else as an env file."""
    if secret.kind is Kind.DOCUMENT:
        return (json.dumps(json.loads(secret.text), indent=2) + "\n").encode()
    if secret.kind is Kind.PEM:
        return secret.text.encode()
    if secret.kind is Kind.BINARY:
        return secret.data
    return "".join(f"{name}={text}\n" for name, text in secret.values).encode()


def _kubernetes(secret: Secret, rng: Dice) -> Wrapped:
    del rng
    values = secret.values if secret.kind in {Kind.PAIR, Kind.TOKEN, Kind.URL} else ((secret.name, ""),)
    body = "\n".join(
        f"  {name}: {base64.b64encode(text.encode() if text else _payload(secret)).decode()}" for name, text in values
    )
    return _file("secret.yaml", "apiVersion: v1\nkind: Secret\nmetadata:\n  name: billing\ntype: Opaque\ndata:\n", body)


def _base64_line(secret: Secret, rng: Dice) -> Wrapped:
    del rng
    return _file(
        ".env", "PORT=8080\n", f"CREDENTIALS_B64={base64.b64encode(_payload(secret)).decode()}", "\nLOG_LEVEL=info\n"
    )


def _base64_compact(secret: Secret, rng: Dice) -> Wrapped:
    del rng
    data = _one_line(secret, secret.text).encode()
    return _file("ci.yml", "variables:\n  REGION: europe-west3\n", f"  KEY: {base64.b64encode(data).decode()}", "\n")


def _base64_url(secret: Secret, rng: Dice) -> Wrapped:
    del rng
    text = base64.urlsafe_b64encode(_payload(secret)).decode()
    return _file("boot.py", "import boot\n\n", f'boot.start("{text}")', "\n")


def _folded(width: int, indent: str) -> Callable[[Secret, Dice], Wrapped]:
    def wrap(secret: Secret, rng: Dice) -> Wrapped:
        del rng
        text = base64.b64encode(_payload(secret)).decode()
        lines = [indent + text[start : start + width] for start in range(0, len(text), width)]
        if indent:
            return _file("secret.yaml", "kind: Secret\ndata:\n  credentials: |\n", "\n".join(lines), "\ntype: Opaque\n")
        return _file("credentials.b64", "", "\n".join(lines))

    return wrap


def _base64_twice(secret: Secret, rng: Dice) -> Wrapped:
    del rng
    inner = base64.b64encode(_payload(secret))
    return _file("secret.yaml", "kind: Secret\ndata:\n", f"  blob: {base64.b64encode(inner).decode()}", "\n")


def _percent(secret: Secret, rng: Dice) -> Wrapped:
    del rng
    value = _one_line(secret, secret.text) if secret.kind is Kind.DOCUMENT else secret.text
    body = f"curl -X POST https://api.initech.io/v1/login -d 'region=eu&{secret.name.lower()}={quote(value, safe='')}'"
    return _file("login.sh", "#!/bin/sh\n", body, "\n")


def _unicode(secret: Secret, rng: Dice) -> Wrapped:
    """JSON as a careful HTML-safe encoder writes it: every sign that is neither letter nor digit escaped."""
    del rng

    def escaped(text: str) -> str:
        return "".join(letter if letter.isalnum() else f"\\u{ord(letter):04x}" for letter in text)

    values = secret.values if secret.kind is Kind.PAIR else ((secret.name, _one_line(secret, secret.text)),)
    body = ",\n".join(f'  "{name.lower()}": "{escaped(text)}"' for name, text in values)
    return _file("state.json", '{\n  "version": 4,\n', body, "\n}\n")


def _hex(secret: Secret, rng: Dice) -> Wrapped:
    del rng
    before = "CREATE TABLE blobs (id int, body bytea);\n"
    insert = "INSERT INTO blobs VALUES (1, '\\x{}');"
    return _file("dump.sql", before, insert.format(_payload(secret).hex()), "\n")


def _utf16(secret: Secret, rng: Dice) -> Wrapped:
    text = (_yaml_block if secret.kind in {Kind.PEM, Kind.DOCUMENT} else _env)(secret, rng)
    return Wrapped("settings.txt", text.data.decode().replace("\n", "\r\n").encode("utf-16"), 0, 0)


def _utf16_bare(secret: Secret, rng: Dice) -> Wrapped:
    text = (_yaml_block if secret.kind in {Kind.PEM, Kind.DOCUMENT} else _env)(secret, rng)
    return Wrapped("settings.txt", text.data.decode().encode("utf-16-le"), 0, 0)


def _crlf(secret: Secret, rng: Dice) -> Wrapped:
    text = (_yaml_block if secret.kind in {Kind.PEM, Kind.DOCUMENT} else _env)(secret, rng)
    return Wrapped("settings.conf", text.data.replace(b"\n", b"\r\n"), text.first, text.last)


def _inner(secret: Secret, rng: Dice) -> Wrapped:
    if secret.kind in {Kind.FILE, Kind.BINARY}:
        return _itself(secret, rng)
    return (_pretty if secret.kind is Kind.DOCUMENT else _raw_file if secret.kind is Kind.PEM else _env)(secret, rng)


def _zip(secret: Secret, rng: Dice) -> Wrapped:
    inner = _inner(secret, rng)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in (("release/README", b"billing service\n" * 20), (f"release/{inner.name}", inner.data)):
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), data, zipfile.ZIP_DEFLATED)
    return Wrapped("release.zip", out.getvalue(), 0, 0)


def _tar_gz(secret: Secret, rng: Dice) -> Wrapped:
    inner = _inner(secret, rng)
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", mtime=0) as zipped, tarfile.open(fileobj=zipped, mode="w") as archive:
        for name, data in (("release/README", b"billing service\n" * 20), (f"release/{inner.name}", inner.data)):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return Wrapped("release.tar.gz", out.getvalue(), 0, 0)


def _gz(secret: Secret, rng: Dice) -> Wrapped:
    return Wrapped("backup.gz", gzip.compress(_inner(secret, rng).data, mtime=0), 0, 0)


def _itself(secret: Secret, rng: Dice) -> Wrapped:
    del rng
    if secret.kind is Kind.BINARY:
        return Wrapped(secret.name, secret.data, 0, 0)
    return _file(secret.name, "", secret.text.rstrip("\n"))


_LINE: Final = (Kind.TOKEN, Kind.CONTEXT, Kind.PAIR, Kind.URL)
_ALONE: Final = (Kind.TOKEN,)
_TEXT: Final = (*_LINE, Kind.DOCUMENT, Kind.PEM)
_BLOCK: Final = (Kind.DOCUMENT, Kind.PEM)
_SELF: Final = (Kind.TOKEN, Kind.URL, *_BLOCK)


def _wrapping(name: str, kinds: Iterable[Kind], wrap: Callable[[Secret, Dice], Wrapped]) -> Wrapping:
    return Wrapping(name, frozenset(kinds), wrap)


WRAPPINGS: Final = (
    _wrapping("file", (Kind.FILE, Kind.BINARY), _itself),
    _wrapping("env", _TEXT, _env),
    _wrapping("python", _TEXT, _python),
    _wrapping("java", _LINE, _java),
    _wrapping("go", _LINE, _go),
    _wrapping("javascript-call", (Kind.TOKEN, Kind.CONTEXT, Kind.URL), _call),
    _wrapping("yaml", (*_LINE, Kind.PEM), _yaml),
    _wrapping("yaml-plain", (*_LINE,), _yaml_plain),
    _wrapping("json", (*_LINE, Kind.PEM), _json),
    _wrapping("toml", (*_LINE, Kind.PEM), _toml),
    _wrapping("ini", _LINE, _ini),
    _wrapping("xml", (*_LINE, Kind.PEM), _xml),
    _wrapping("properties", _LINE, _properties),
    _wrapping("markdown", _TEXT, _markdown),
    _wrapping("markdown-prose", (Kind.TOKEN, Kind.URL), _markdown_prose),
    _wrapping("dockerfile", _TEXT, _docker),
    _wrapping("shell", _TEXT, _shell),
    _wrapping("http-header", _ALONE, _header),
    _wrapping("curl", _ALONE, _curl),
    _wrapping("url-query", _ALONE, _query),
    _wrapping("log", (Kind.TOKEN, Kind.URL), _log),
    _wrapping("minified", (*_LINE, Kind.DOCUMENT), _minified),
    _wrapping("sql", _TEXT, _sql),
    _wrapping("notebook", _LINE, _notebook),
    _wrapping("json-pretty", (Kind.DOCUMENT,), _pretty),
    _wrapping("json-compact", (Kind.DOCUMENT,), _compact),
    _wrapping("json-reordered", (Kind.DOCUMENT,), _reordered),
    _wrapping("json-in-json", _BLOCK, _nested),
    _wrapping("json-in-json-twice", (*_SELF,), _nested_twice),
    _wrapping("source-literal", (Kind.DOCUMENT,), _embedded),
    _wrapping("yaml-block", _BLOCK, _yaml_block),
    _wrapping("tfvars-heredoc", _BLOCK, _heredoc),
    _wrapping("shell-heredoc", _BLOCK, _shell_heredoc),
    _wrapping("key-file", (Kind.PEM,), _raw_file),
    _wrapping("kubernetes-data", (*_SELF, Kind.PAIR, Kind.BINARY), _kubernetes),
    _wrapping("base64", (*_SELF, Kind.PAIR, Kind.BINARY), _base64_line),
    _wrapping("base64-compact", (Kind.TOKEN, Kind.DOCUMENT), _base64_compact),
    _wrapping("base64-url", (*_SELF,), _base64_url),
    _wrapping("base64-64", (*_BLOCK, Kind.BINARY), _folded(64, "")),
    _wrapping("base64-76", (*_BLOCK, Kind.BINARY), _folded(76, "")),
    _wrapping("base64-76-indented", (*_BLOCK, Kind.BINARY), _folded(76, "    ")),
    _wrapping("base64-twice", (*_BLOCK,), _base64_twice),
    _wrapping("percent", (*_SELF,), _percent),
    _wrapping("unicode-escapes", (*_SELF,), _unicode),
    _wrapping("hex", _BLOCK, _hex),
    _wrapping("utf-16", _TEXT, _utf16),
    _wrapping("utf-16-no-mark", _TEXT, _utf16_bare),
    _wrapping("crlf", _TEXT, _crlf),
    _wrapping("zip", tuple(Kind), _zip),
    _wrapping("tar-gz", tuple(Kind), _tar_gz),
    _wrapping("gz", _TEXT, _gz),
)
"""Every wrapping, the plain ones first: the first that fits a kind is the one used where places are compared."""


def plausible(secret_kind: Kind) -> tuple[Wrapping, ...]:
    """The wrappings that fit a kind, in order."""
    return tuple(wrapping for wrapping in WRAPPINGS if secret_kind in wrapping.kinds)
