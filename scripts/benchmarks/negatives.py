"""Hard negatives: files that look as if they held a credential and hold none.

Each kind names the family it resembles, so that a false alarm counts against that family's precision. Values are
random where a real file's would be (hashes, identifiers, images), fixed where the point is a well-known example.
The file is long because it is a shelf of small sample files; it holds next to no logic.
"""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from benchmarks import tokens
from benchmarks.primes import Dice
from benchmarks.tokens import fill


@dataclass(frozen=True, slots=True)
class Negative:
    """A kind of harmless file: what it resembles, its file name, and how it is written."""

    name: str
    resembles: str
    path: str
    make: Callable[[Dice], str | bytes]


def _b64(rng: Dice, size: int) -> str:
    return base64.b64encode(rng.randbytes(size)).decode()


def _sri(rng: Dice) -> str:
    return "sha512-" + _b64(rng, 64)


def _package_lock(rng: Dice) -> str:
    packages = {
        f"node_modules/{name}": {
            "version": fill("{d:1}.{d:2}.{d:1}", rng),
            "resolved": f"https://packages.initech.io/{name}/-/{name}.tgz",
            "integrity": _sri(rng),
        }
        for name in ("left-pad", "passport", "jsonwebtoken", "keytar", "secret-stack", "token-types", "api-key-auth")
    }
    return json.dumps({"name": "web", "lockfileVersion": 3, "packages": packages}, indent=2)


def _yarn_lock(rng: Dice) -> str:
    return "# yarn lockfile v1\n\n" + "\n".join(
        f'{name}@^1.0.0:\n  version "1.{n}.0"\n  resolved "https://packages.initech.io/{name}-1.{n}.0.tgz#{fill("{hex:40}", rng)}"\n'
        f"  integrity {_sri(rng)}\n"
        for n, name in enumerate(("password-prompt", "csrf-token", "secretbox", "keyv"))
    )


def _poetry_lock(rng: Dice) -> str:
    return (
        "\n".join(
            f'[[package]]\nname = "{name}"\nversion = "2.{n}"\nfiles = [\n    {{file = "{name}-2.{n}.tar.gz", hash = "sha256:{fill("{hex:64}", rng)}"}},\n'
            f'    {{file = "{name}-2.{n}-py3-none-any.whl", hash = "sha256:{fill("{hex:64}", rng)}"}},\n]\n'
            for n, name in enumerate(("google-auth", "secretstorage", "keyring", "tokenize-rt", "passlib"))
        )
        + f'\n[metadata]\ncontent-hash = "{fill("{hex:64}", rng)}"\n'
    )


def _uv_lock(rng: Dice) -> str:
    return "version = 1\n\n" + "\n".join(
        f'[[package]]\nname = "{name}"\nsdist = {{ url = "https://files.initech.io/{fill("{hex:2}/{hex:2}/{hex:60}", rng)}/{name}.tar.gz", '
        f'hash = "sha256:{fill("{hex:64}", rng)}", size = {rng.randint(1000, 99999)} }}\n'
        for name in ("oauthlib", "pyjwt", "keyring")
    )


def _cargo_lock(rng: Dice) -> str:
    return "\n".join(
        f'[[package]]\nname = "{name}"\nversion = "0.{n}.1"\nchecksum = "{fill("{hex:64}", rng)}"\n'
        for n, name in enumerate(("secrecy", "jsonwebtoken", "keyring", "tokio", "rpassword"))
    )


def _go_sum(rng: Dice) -> str:
    return (
        "\n".join(
            f"github.com/initech/{name} v1.{n}.0{tail} h1:{_b64(rng, 32)}"
            for n, name in enumerate(("secrets", "tokens", "apikey", "vault"))
            for tail in ("", "/go.mod")
        )
        + "\n"
    )


def _requirements(rng: Dice) -> str:
    return (
        "\n".join(
            f"{name}==3.{n} \\\n    --hash=sha256:{fill('{hex:64}', rng)} \\\n    --hash=sha256:{fill('{hex:64}', rng)}"
            for n, name in enumerate(("keyring", "google-auth", "pyjwt", "secretstorage"))
        )
        + "\n"
    )


def _gemfile(rng: Dice) -> str:
    return (
        "\n".join(f"  {name} (1.{n}.0) sha256={fill('{hex:64}', rng)}" for n, name in enumerate(("devise", "omniauth")))
        + "\n"
    )


def _oids(rng: Dice) -> str:
    return (
        "\n".join(
            f"{fill('{hex:40}', rng)} refs/{kind}/{name}"
            for kind in ("heads", "tags")
            for name in ("main", "token-refresh", "api-key", "secret-rotation")
        )
        + "\n"
    )


def _hash_constants(rng: Dice) -> str:
    return (
        f'KEY_DIGEST = "{fill("{hex:64}", rng)}"\nCACHE_KEY = "sha256:{fill("{hex:64}", rng)}"\n'
        f'CONFIG_SHA1 = "{fill("{hex:40}", rng)}"\nETAG = \'W/"{fill("{hex:32}", rng)}"\'\nCOMMIT = "{fill("{hex:40}", rng)}"\n'
        f'API_SCHEMA_MD5 = "{fill("{hex:32}", rng)}"\n'
    )


def _uuids(rng: Dice) -> str:
    return (
        "\n".join(f"{key}: {tokens.uuid(rng)}" for key in ("tenant_id", "token_id", "key_id", "client_id", "secret_id"))
        + "\n"
    )


def _migrations(rng: Dice) -> str:
    return (
        f'"""add password reset\n\nRevision ID: {fill("{hex:12}", rng)}\nRevises: {fill("{hex:12}", rng)}\n"""\n\n'
        f'revision = "{fill("{hex:12}", rng)}"\ndown_revision = "{fill("{hex:12}", rng)}"\n\n\ndef upgrade():\n'
        '    op.add_column("users", sa.Column("password_hash", sa.String(128)))\n    op.add_column("users", sa.Column("api_key_id", sa.Uuid))\n'
    )


def _script_tags(rng: Dice) -> str:
    return (
        f'<script src="https://cdn.initech.io/app.js" integrity="{_sri(rng)}" crossorigin="anonymous"></script>\n'
        f'<link rel="stylesheet" href="/a.css" integrity="sha384-{_b64(rng, 48)}">\n'
    )


def _csp(rng: Dice) -> str:
    return f"Content-Security-Policy: script-src 'sha256-{_b64(rng, 32)}' 'nonce-{_b64(rng, 16)}'\n"


def _secret_manager(rng: Dice) -> str:
    number = fill("{d:12}", rng)
    return (
        f"database_password: projects/{number}/secrets/billing-db-password/versions/latest\n"
        f"api_key: projects/{tokens.project(rng)}/secrets/maps-api-key/versions/4\n"
        "stripe_secret_key: ${sm://billing/stripe-secret-key}\nsecret: sm://atlas-prod/session-signing-key#3\n"
        "token: berglas://billing-secrets/api-token?destination=tempfile\n"
        "password: arn:aws:secretsmanager:eu-central-1:123456789012:secret:prod/billing/db-AbCdEf\n"
        "key: vault:secret/data/billing#stripe_secret_key\nother: op://Production/billing-db/password\n"
    )


def _env_python(rng: Dice) -> str:
    del rng
    return (
        'import os\n\nDB_PASSWORD = os.environ["DB_PASSWORD"]\nAPI_KEY = os.getenv("MAPS_API_KEY", "")\n'
        'SECRET_KEY = config("SECRET_KEY")\nSTRIPE_SECRET_KEY = env.str("STRIPE_SECRET_KEY")\n'
        'password = getpass.getpass("Password: ")\ntoken = request.headers["X-Auth-Token"]\n'
        "secret = secrets.token_urlsafe(32)\napi_key = settings.GOOGLE_MAPS_API_KEY\n"
        'client_secret = self._store.read("oauth-client-secret")\n'
    )


def _env_node(rng: Dice) -> str:
    del rng
    return (
        "const password = process.env.DB_PASSWORD;\nconst apiKey = process.env['MAPS_API_KEY'] ?? '';\n"
        "const token = import.meta.env.VITE_MAPBOX_TOKEN;\nconst secret = Deno.env.get('SESSION_SECRET');\n"
        "export const config = { clientSecret: requireEnv('GOOGLE_CLIENT_SECRET'), token: `Bearer ${accessToken}` };\n"
    )


def _env_shell(rng: Dice) -> str:
    del rng
    return (
        '#!/bin/sh\nset -eu\nDB_PASSWORD="${DB_PASSWORD:?must be set}"\nAPI_KEY=$(gcloud secrets versions access latest --secret=api-key)\n'
        'export TOKEN="$GITHUB_TOKEN"\ncurl -H "Authorization: Bearer ${ACCESS_TOKEN}" https://api.initech.io\n'
        'mysql -u root -p"$MYSQL_ROOT_PASSWORD" < dump.sql\npsql "postgresql://app:${PGPASSWORD}@db:5432/app"\n'
        "docker run -e SECRET_KEY -e PASSWORD=%PASSWORD% image\n"
    )


def _env_ci(rng: Dice) -> str:
    del rng
    return (
        "jobs:\n  deploy:\n    env:\n      TOKEN: ${{ secrets.GITHUB_TOKEN }}\n      NPM_TOKEN: ${{ secrets.NPM_TOKEN }}\n"
        "      PASSWORD: $(DbPassword)\n      API_KEY: '{{ vault_api_key }}'\n      KEY: <%= ENV['API_SECRET_KEY'] %>\n"
        '    steps:\n      - run: ./deploy --token "$CI_JOB_TOKEN" --password-stdin\n        with:\n          password: ${{ inputs.password }}\n'
    )


def _env_terraform(rng: Dice) -> str:
    del rng
    return (
        'variable "db_password" {\n  type      = string\n  sensitive = true\n}\n\nresource "google_sql_user" "app" {\n'
        '  password = random_password.database.result\n}\n\nresource "random_password" "database" {\n  length = 32\n}\n\n'
        'data "google_secret_manager_secret_version" "api_key" {\n  secret = "maps-api-key"\n}\n\n'
        'provider "grafana" {\n  auth = var.grafana_token\n  url  = "https://${var.user}:${var.password}@grafana.initech.io"\n}\n'
    )


def _env_others(rng: Dice) -> str:
    del rng
    return (
        "spring.datasource.password=${DB_PASSWORD}\nspring.security.user.password=${ADMIN_PASSWORD:#{null}}\n"
        "jwt.secret=@jwt.secret@\napi.key=#{systemEnvironment['API_KEY']}\nmail.password={cipher}\nrails.secret=<%= Rails.application.credentials.key %>\n"
    )


def _env_more(rng: Dice) -> str:
    del rng
    return (
        'password := os.Getenv("DB_PASSWORD")\nlet token = std::env::var("API_TOKEN")?;\nString secret = System.getenv("CLIENT_SECRET");\n'
        "$password = getenv('DB_PASSWORD');\npassword = ENV.fetch('DB_PASSWORD')\nvar key = Configuration[\"ApiKey\"];\n"
        'val apiKey = BuildConfig.MAPS_API_KEY\nlet key = Bundle.main.object(forInfoDictionaryKey: "ApiKey")\n'
    )


def _workload_identity(rng: Dice) -> str:
    pool = f"//iam.googleapis.com/projects/{fill('{d:12}', rng)}/locations/global/workloadIdentityPools/ci/providers/github"
    return json.dumps(
        {
            "type": "external_account",
            "universe_domain": "googleapis.com",
            "audience": pool,
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": "https://sts.googleapis.com/v1/token",
            "credential_source": {
                "url": "https://oidc.initech.io/token",
                "headers": {"Authorization": "Bearer $ACTIONS_ID_TOKEN_REQUEST_TOKEN"},
                "format": {"type": "json", "subject_token_field_name": "value"},
            },
            "service_account_impersonation_url": f"https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/ci@{tokens.project(rng)}.iam.gserviceaccount.com:generateAccessToken",
        },
        indent=2,
    )


def _account_template(rng: Dice) -> str:
    del rng
    begin, end = (f"-----{word} PRIVATE KEY-----" for word in ("BEGIN", "END"))
    return json.dumps(
        {
            "type": "service_account",
            "project_id": "your-project-id",
            "private_key_id": "your-private-key-id",
            "private_key": f"{begin}\n...\n{end}\n",
            "client_email": "name@your-project-id.iam.gserviceaccount.com",
            "client_id": "000000000000000000000",
            "token_uri": "https://oauth2.googleapis.com/token",
        },
        indent=2,
    )


def _account_fields(rng: Dice) -> str:
    del rng
    return (
        'from dataclasses import dataclass\n\n\n@dataclass\nclass ServiceAccount:\n    type: str = "service_account"\n    project_id: str = ""\n'
        '    private_key_id: str = ""\n    private_key: str = ""\n    client_email: str = ""\n\n\ndef check(info):\n'
        '    if not info["private_key"].startswith("-----BEGIN PRIVATE KEY-----"):\n        raise ValueError("private_key is not PEM")\n'
    )


def _public_key(rng: Dice) -> str:
    key = tokens.rsa_key(rng).public_key()
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


def _certificate(rng: Dice) -> str:
    key = tokens.rsa_key(rng)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "api.initech.io")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(rng.getrandbits(60)).not_valid_before(datetime(2024, 1, 1, tzinfo=UTC))
    certificate = builder.not_valid_after(datetime(2034, 1, 1, tzinfo=UTC)).sign(key, hashes.SHA256())
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _certificate_yaml(rng: Dice) -> str:
    data = base64.b64encode(_certificate(rng).encode()).decode()
    return (
        f"clusters:\n- name: prod\n  cluster:\n    certificate-authority-data: {data}\n    server: https://10.0.0.1\n"
    )


def _jwks(rng: Dice) -> str:
    return json.dumps(
        {
            "keys": [
                {
                    "kty": "RSA",
                    "alg": "RS256",
                    "use": "sig",
                    "e": "AQAB",
                    "kid": fill("{hex:40}", rng),
                    "n": tokens.b64url(rng.randbytes(256)),
                }
                for _ in range(2)
            ]
        },
        indent=2,
    )


def _ssh_public(rng: Dice) -> str:
    def line(mail: str) -> str:
        key = tokens.edwards(rng).public_key()
        return (
            key.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode() + f" {mail}"
        )

    return "\n".join(line(f"{name}@initech.io") for name in ("deploy", "ops", "backup")) + "\n"


def _known_hosts(rng: Dice) -> str:
    return (
        "\n".join(
            f"{host} ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQ{_b64(rng, 390)}" for host in ("git.initech.io", "10.0.4.7")
        )
        + f"\n|1|{_b64(rng, 20)}|{_b64(rng, 20)} ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{_b64(rng, 33)[:43]}\n"
    )


def _pgp_public(rng: Dice) -> str:
    lines = "\n".join(_b64(rng, 48) for _ in range(14))
    return f"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n{lines}\n=aB3d\n-----END PGP PUBLIC KEY BLOCK-----\n"


def _signature(rng: Dice) -> str:
    lines = "\n".join(_b64(rng, 48) for _ in range(7))
    return f"-----BEGIN PGP SIGNATURE-----\n\n{lines}\n=Zx81\n-----END PGP SIGNATURE-----\n"


def _pem_mentions(rng: Dice) -> str:
    del rng
    return (
        "# Keys\n\nA key file starts with `-----BEGIN RSA PRIVATE KEY-----` and ends with\n`-----END RSA PRIVATE KEY-----`.\n\n"
        "```\n-----BEGIN PRIVATE KEY-----\n<your private key here>\n-----END PRIVATE KEY-----\n```\n\n"
        "```\n-----BEGIN OPENSSH PRIVATE KEY-----\n...\n-----END OPENSSH PRIVATE KEY-----\n```\n"
    )


def _aws_examples(rng: Dice) -> str:
    del rng
    mark = "EXAMPLE"
    return (
        f"[default]\naws_access_key_id = AKIAIOSFODNN7{mark}\n"
        f"aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCY{mark}KEY\n\n"
        f"[other]\naws_access_key_id = AKIAI44QH8DHB{mark}\n"
        f"aws_secret_access_key = je7MtGbClwBF/2Zp9Utk/h3yCo8nvb{mark}KEY\n"
    )


def _placeholders(rng: Dice) -> str:
    del rng
    return (
        "# copy to .env\nGITHUB_TOKEN=ghp_"
        + "x" * 36
        + "\nGOOGLE_MAPS_API_KEY=AIza"
        + "X" * 35
        + "\nOPENAI_API_KEY=sk-your-key-here\n"
        "STRIPE_SECRET_KEY=sk_test_your_key_here\nDB_PASSWORD=changeme\nPASSWORD=<your-password>\nSECRET_KEY=replace-me-with-a-long-random-string\n"
        "SLACK_BOT_TOKEN=xoxb-your-token\nAPI_KEY=YOUR_API_KEY\nCLIENT_SECRET=********\nTOKEN=...\nAWS_SECRET_ACCESS_KEY=\nSENDGRID_API_KEY=SG.xxxxxxxx\n"
        "GITLAB_TOKEN=glpat-xxxxxxxxxxxxxxxxxxxx\nGOOGLE_CLIENT_SECRET=GOCSPX-"
        + "x" * 28
        + "\nNPM_TOKEN=npm_"
        + "0" * 36
        + "\n"
    )


def _placeholder_urls(rng: Dice) -> str:
    del rng
    return (
        "# Databases\n\n- `postgresql://user:password@localhost:5432/db`\n- `mysql://root:secret@127.0.0.1/test`\n"
        "- `mongodb://<username>:<password>@cluster.mongodb.net/`\n- `redis://:${REDIS_PASSWORD}@redis:6379/0`\n- `amqp://guest:guest@localhost:5672/`\n"
        "- `https://username:password@example.com/path`\n- `postgres://postgres:postgres@db:5432/app`\n- `ftp://user:***@files.example.org`\n"
        "- `jdbc:mysql://localhost/app?user=app&password={password}`\n- `https://x-access-token:$TOKEN@github.com/initech/app`\n"
    )


def _documentation(rng: Dice) -> str:
    del rng
    return (
        "# API\n\nSend `Authorization: Bearer <token>` with every call.\n\n| field | type | description |\n|---|---|---|\n"
        "| `password` | string | at least 12 characters |\n| `api_key` | string | the key of the project, starts with `AIza` |\n"
        "| `client_secret` | string | starts with `GOCSPX-` |\n| `secret` | string | see Secret Manager |\n\n"
        "GitHub tokens begin with `ghp_`, `gho_` or `github_pat_`; Slack's with `xoxb-`; Stripe's with `sk_live_`.\n"
        "A token looks like `glpat-<20 characters>` or `npm_<36 characters>`.\n"
    )


def _translations(rng: Dice) -> str:
    del rng
    return json.dumps(
        {
            "login.password": "Passwort",
            "login.password.forgotten": "Passwort vergessen?",
            "password": "Mot de passe",
            "passwordConfirm": "Wiederholen Sie bitte das Passwort",
            "apiKey": "Clé d'API",
            "token": "Jeton",
            "secret": "Geheimnis",
            "error.token_expired": "Ihre Sitzung ist abgelaufen, melden Sie sich bitte wieder an",
            "error.invalidPassword": "Das-Passwort-muss-mindestens-zwölf-Zeichen-haben",
            "settings.secretKey": "Geheimer Schlüssel",
            "auth.password.hint": "Contraseña de al menos 12 caracteres",
            "auth.privateKey": "Приватный ключ",
            "auth.access_token": "アクセストークン",
        },
        indent=2,
        ensure_ascii=False,
    )


def _gettext(rng: Dice) -> str:
    del rng
    return (
        'msgid "Password:"\nmsgstr "Passwort:"\n\nmsgid "password"\nmsgstr "Lösenord"\n\n#: auth/forms.py:61\nmsgid "Secret key"\nmsgstr "Hemlig nyckel"\n'
        'msgid "The token has expired"\nmsgstr "Tokenet har utgått"\n'
    )


def _android(rng: Dice) -> str:
    del rng
    return (
        '<resources>\n    <string name="password">Password</string>\n    <string name="prompt_password">Enter-your-password</string>\n'
        '    <string name="api_key_hint">Paste the API key from the console</string>\n    <string name="error_incorrect_password">This password is incorrect</string>\n'
        '    <string name="google_maps_key">YOUR_KEY_HERE</string>\n</resources>\n'
    )


def _typescript(rng: Dice) -> str:
    del rng
    return (
        "export interface Credentials {\n  password: string;\n  apiKey?: string | undefined;\n  clientSecret: SecretString;\n  accessToken: Promise<AccessToken>;\n"
        "  refreshToken: RefreshTokenCredentialProvider;\n}\n\ntype Secret = string & { readonly __brand: 'SecretValueOfTheVault' };\n"
        "declare const token: unique symbol;\nfunction login(password: PasswordCredential, secret = defaultSecretProvider): Token;\n"
    )


def _annotations(rng: Dice) -> str:
    del rng
    return (
        'class Settings(BaseSettings):\n    password: SecretStr\n    api_key: str | None = None\n    secret_key: SecretStr = Field(alias="SECRET_KEY")\n'
        "    token: Annotated[str, Depends(oauth2_scheme)]\n    private_key: RSAPrivateKeyWithSerialization\n\n\n"
        "def authenticate(user: User, password: str, token: AccessTokenModel) -> AuthenticationResult: ...\n"
        "password_validator = MinimumLengthPasswordValidator\nsecret = SecretManagerServiceClient()\n"
    )


def _structs(rng: Dice) -> str:
    del rng
    return (
        'type Config struct {\n\tPassword     string `json:"password" yaml:"password"`\n\tAPIKey       string `json:"api_key,omitempty"`\n'
        '\tClientSecret string `env:"GOOGLE_CLIENT_SECRET,required"`\n\tToken        TokenSource\n}\n\nconst passwordHeader = "X-Initech-Password-Digest"\n'
    )


def _protobuf(rng: Dice) -> str:
    del rng
    return (
        'syntax = "proto3";\n\nmessage Credential {\n  string password = 1;\n  string api_key = 2;\n  bytes private_key = 3;\n  string access_token = 4;\n'
        "  google.protobuf.Timestamp token_expiry = 5;\n}\n"
    )


def _descriptor(rng: Dice) -> str:
    escapes = "".join(
        f"\\x{byte:02x}" if byte < 32 or byte > 126 else chr(byte).replace("\\", "\\\\").replace("'", "\\'")
        for byte in b'\n\x10credential.proto\x12\x07billing"b\n\nCredential\x12\x10\n\x08password\x18\x01 \x01(\t\x12\x0f\n\x07api_key\x18\x02'
        + rng.randbytes(40)
    )
    return f"DESCRIPTOR = _descriptor_pool.Default().AddSerializedFile(b'{escapes}')\n_CREDENTIAL._serialized_start={rng.randint(100, 900)}\n"


def _grpc_descriptor(rng: Dice) -> str:
    lines = "\n".join("\t0x" + ", 0x".join(f"{byte:02x}" for byte in rng.randbytes(16)) + "," for _ in range(40))
    return f"var fileDescriptor_credentials = []byte{{\n{lines}\n}}\n"


def _minified(rng: Dice) -> str:
    names = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=2)) for _ in range(400)]
    body = ";".join(
        f"{a}.password=function({b}){{return {c}.token||{b}.apiKey&&{d}.secret}}"
        for a, b, c, d in zip(*[iter(names)] * 4, strict=True)
    )
    return f'!function(e,t){{{body};e.exports={{passwordField:"input[type=password]",tokenHeader:"X-CSRF-Token",keyCode:13}}}}();\n'


def _webpack(rng: Dice) -> str:
    chunks = ",".join(f'{rng.randint(100, 9999)}:"{fill("{hex:20}", rng)}"' for _ in range(60))
    return (
        f'(()=>{{var r={{u:e=>"static/js/"+e+"."+{{{chunks}}}[e]+".chunk.js"}};r.key="{fill("{hex:20}", rng)}"}})();\n'
    )


def _data_urls(rng: Dice) -> str:
    return "\n".join(
        [
            f".logo {{ background: url(data:image/png;base64,iVBORw0KGgoAAAANSUhEUg{_b64(rng, 900)}) }}",
            f"@font-face {{ font-family: icons; src: url(data:font/woff2;base64,d09GMgABAAAAA{_b64(rng, 1800)}) format('woff2') }}",
            f".a {{ background-image: url('data:image/jpeg;base64,/9j/4AAQSkZJRgABAQ{_b64(rng, 1200)}') }}",
            ".password-field { color: #1a2b3c }",
            "",
        ]
    )


def _inline_image(rng: Dice) -> str:
    data = _b64(rng, 2400)
    lines = "\n".join(data[start : start + 76] for start in range(0, len(data), 76))
    return f"Content-Type: image/png\nContent-Transfer-Encoding: base64\n\niVBORw0KGgo=\n{lines}\n"


def _source_map(rng: Dice) -> str:
    mappings = ";".join(",".join(fill("{b64:4-5}", rng) for _ in range(30)) for _ in range(60))
    return json.dumps(
        {
            "version": 3,
            "sources": ["password.ts", "token.ts"],
            "names": ["password", "apiKey", "secret"],
            "mappings": mappings,
            "file": "app.js",
        }
    )


def _inline_map(rng: Dice) -> str:
    del rng
    data = json.dumps(
        {
            "version": 3,
            "file": "token.js",
            "sources": ["token.ts"],
            "names": ["secret", "password"],
            "mappings": "AAAA,SAASA" * 60,
        }
    )
    return (
        f"var password;\n//# sourceMappingURL=data:application/json;base64,{base64.b64encode(data.encode()).decode()}\n"
    )


def _known_jwt(rng: Dice) -> str:
    del rng
    head = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"
    body = "eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiaWF0IjoxNTE2MjM5MDIyfQ"
    return (
        f'# the example of the documentation\nEXAMPLE = "{head}.{body}.SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c"\n'
    )


def _wrong_checksum(prefix: str, name: str) -> Callable[[Dice], str]:
    def make(rng: Dice) -> str:
        return (
            "# made up for a test of the parser\n"
            + "\n".join(f"sample_{number}: {tokens.miscounted(prefix, rng)}" for number in range(6))
            + f"\nkind: {name}\n"
        )

    return make


def _secret_refs(rng: Dice) -> str:
    del rng
    return (
        "env:\n  - name: DB_PASSWORD\n    valueFrom:\n      secretKeyRef:\n        name: billing-db\n        key: password\n  - name: API_KEY\n"
        "    valueFrom:\n      secretKeyRef: {name: maps-api-key, key: latest}\nenvFrom:\n  - secretRef:\n      name: billing-secrets\nimagePullSecrets:\n"
        "  - name: registry-credentials\nvolumes:\n  - name: token\n    secret:\n      secretName: service-account-token\n      optional: true\n"
    )


def _sealed(rng: Dice) -> str:
    return (
        "apiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nmetadata:\n  name: billing\nspec:\n  encryptedData:\n"
        f"    password: AgB{_b64(rng, 384)}\n    apiKey: AgC{_b64(rng, 384)}\n"
    )


def _sops(rng: Dice) -> str:
    return (
        f"password: ENC[AES256_GCM,data:{_b64(rng, 18)},iv:{_b64(rng, 32)},tag:{_b64(rng, 16)},type:str]\n"
        f'sops:\n  lastmodified: "2025-11-02T10:11:12Z"\n  mac: ENC[AES256_GCM,data:{_b64(rng, 60)},iv:{_b64(rng, 32)},tag:{_b64(rng, 16)},type:str]\n  version: 3.9.1\n'
    )


def _ansible_vault(rng: Dice) -> str:
    lines = "\n".join("          " + fill("{d:80}", rng) for _ in range(5))
    return f"db_password: !vault |\n          $ANSIBLE_VAULT;1.1;AES256\n{lines}\n"


def _forms(rng: Dice) -> str:
    del rng
    return (
        '<form method="post">\n  <input type="password" name="password" id="id_password" placeholder="Password" autocomplete="current-password">\n'
        '  <input type="hidden" name="csrf_token" value="{{ csrf_token() }}">\n  <input name="api_key" value="" placeholder="Paste your API key">\n'
        '  <label for="id_password">Password: at least 12 characters</label>\n</form>\n'
    )


def _hashing(rng: Dice) -> str:
    del rng
    return (
        'import hashlib\nimport hmac\nimport secrets\n\nPASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]\n\n\ndef digest(password: str, salt: bytes) -> str:\n'
        '    key = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, 600_000)\n    return key.hex()\n\n\ndef check(password, stored):\n'
        "    secret = digest(password, stored.salt)\n    return hmac.compare_digest(secret, stored.digest)\n\n\ntoken = secrets.token_hex(32)\n"
        'password = self.cleaned_data["password"]\nAUTH_PASSWORD_VALIDATORS = "django.contrib.auth.password_validation.CommonPasswordValidator"\n'
    )


def _flags(rng: Dice) -> str:
    del rng
    return json.dumps(
        {
            "flags": {
                "enable_password_reset": True,
                "rotate-api-keys": "enabled",
                "token_refresh_v2": "percentage:25",
                "secret_scanning": "on",
                "password_policy": "strict",
                "auth.token.ttl": "3600s",
                "login_key": "feature.login.enabled",
            }
        },
        indent=2,
    )


def _changelog(rng: Dice) -> str:
    rows = "\n".join(
        f"- {text} ({fill('{hex:7}', rng)}, [{fill('{hex:40}', rng)}](https://github.com/initech/app/commit/{fill('{hex:40}', rng)}))"
        for text in (
            "fix password reset token",
            "rotate API key: the secret is read from Secret Manager",
            "token=… is redacted in logs",
            "add client_secret option",
        )
    )
    return f"# Changelog\n\n## 4.2.0\n\n{rows}\n"


def _logs(rng: Dice) -> str:
    return (
        f"2026-02-11T10:04:12Z INFO request_id={tokens.uuid(rng)} trace_id={fill('{hex:32}', rng)} span={fill('{hex:16}', rng)} token=[REDACTED]\n"
        f"2026-02-11T10:04:13Z WARN password=****** user=ops key_id={fill('{hex:40}', rng)} image=sha256:{fill('{hex:64}', rng)}\n"
    )


def _snapshots(rng: Dice) -> str:
    return f'exports[`renders login 1`] = `\n<input\n  class="css-{fill("{a9:7}", rng)}"\n  data-key="{fill("{a9:12}", rng)}"\n  type="password"\n/>\n`;\n'


def _openapi(rng: Dice) -> str:
    del rng
    return (
        "components:\n  securitySchemes:\n    ApiKeyAuth:\n      type: apiKey\n      in: header\n      name: X-API-Key\n    OAuth2:\n      type: oauth2\n      flows:\n"
        "        clientCredentials:\n          tokenUrl: https://oauth2.googleapis.com/token\n  schemas:\n    Login:\n      properties:\n        password: {type: string, format: password, minLength: 12}\n"
        "        api_key: {type: string, example: string}\n"
    )


def _test_vectors(rng: Dice) -> str:
    return "\n".join(
        f"COUNT = {n}\nMSG = {fill('{hex:64}', rng)}\nMD = {fill('{HEX:64}', rng)}\nCT = {fill('{hex:128}', rng)}\n"
        for n in range(8)
    )


def _docker_compose(rng: Dice) -> str:
    return (
        "services:\n  db:\n    image: postgres@sha256:"
        + fill("{hex:64}", rng)
        + "\n    environment:\n      POSTGRES_PASSWORD_FILE: /run/secrets/db_password\n"
        "      POSTGRES_PASSWORD: ${POSTGRES_PASSWORD}\n    secrets: [db_password]\nsecrets:\n  db_password:\n    file: ./secrets/db_password.txt\n"
    )


def _resource_names(rng: Dice) -> str:
    return (
        f"kms_key: projects/{tokens.project(rng)}/locations/eu/keyRings/app/cryptoKeys/session-token/cryptoKeyVersions/3\n"
        f"service_account: ci-runner@{tokens.project(rng)}.iam.gserviceaccount.com\nclient_id: {fill('{d:12}-{a9:32}', rng)}.apps.googleusercontent.com\n"
        f"bucket: gs://billing-secrets-{fill('{a9:8}', rng)}\nkey_name: arn:aws:kms:eu-central-1:123456789012:key/{tokens.uuid(rng)}\n"
        f"private_key_id: {fill('{hex:40}', rng)}\n"
    )


def _public_tokens(rng: Dice) -> str:
    del rng
    return (
        "STRIPE_PUBLISHABLE_KEY_PREFIX=pk_live_\nRECAPTCHA_SITE_KEY=6LeIxAcTAAAAAJcZVRqyHh71UMIEGNQ_MXjiZKhI\nSENTRY_ENVIRONMENT=production\nGA_MEASUREMENT_ID=G-XXXXXXXXXX\n"
        "VAPID_SUBJECT=mailto:ops@initech.io\nTOKEN_ENDPOINT=https://oauth2.googleapis.com/token\nPASSWORD_RESET_URL=https://initech.io/account/password/reset\n"
        "SECRET_NAME=billing-db-password\nSECRET_ARN_PREFIX=arn:aws:secretsmanager\nAPI_KEY_HEADER=X-Goog-Api-Key\nPRIVATE_KEY_PATH=/etc/billing/private.pem\n"
    )


def _css_modules(rng: Dice) -> str:
    return (
        "\n".join(
            f".token-{name}_{fill('{a9:8}', rng)} {{ --key-color: #{fill('{hex:6}', rng)}; mask-image: var(--secret-{fill('{a9:6}', rng)}) }}"
            for name in ("string", "keyword", "comment")
        )
        + "\n"
    )


def _binary(rng: Dice) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + rng.randbytes(20_000)


def _regexes(rng: Dice) -> str:
    del rng
    return (
        'PATTERNS = {\n    "github": r"gh[pousr]_[A-Za-z0-9]{36}",\n    "google": r"AIza[0-9A-Za-z_-]{35}",\n    "aws": r"(?:AKIA|ASIA)[A-Z2-7]{16}",\n'
        '    "slack": r"xox[baprs]-[0-9A-Za-z-]{10,72}",\n    "pem": r"-----BEGIN [A-Z ]*PRIVATE KEY-----",\n    "password": r"password\\s*[:=]\\s*[\'\\"]([^\'\\"]{8,})[\'\\"]",\n}\n'
    )


def _words(rng: Dice) -> str:
    del rng
    return (
        'def test_password_is_required_for_every_administrator_account():\n    response = client.post("/login", {"password": ""})\n    assert response.json()["error"] == "password_required"\n\n\n'
        'def test_wrong_password(client):\n    assert client.login(username="admin", password="wrong") is False\n    assert client.login(password="password123") is False\n    assert client.login(password="secret") is False\n'
    )


def _tls_config(rng: Dice) -> str:
    del rng
    return (
        "ssl_certificate     /etc/nginx/tls/server.crt;\nssl_certificate_key /etc/nginx/tls/server.key;\nssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256;\n"
        "auth_basic_user_file /etc/nginx/htpasswd;\nproxy_set_header Authorization $http_authorization;\nsecure_link_secret $arg_secret;\n"
    )


NEGATIVES: Final = (
    Negative("npm lockfile", "npm", "package-lock.json", _package_lock),
    Negative("yarn lockfile", "npm", "yarn.lock", _yarn_lock),
    Negative("poetry lockfile", "generic", "poetry.lock", _poetry_lock),
    Negative("uv lockfile", "generic", "uv.lock", _uv_lock),
    Negative("cargo lockfile", "generic", "Cargo.lock", _cargo_lock),
    Negative("go.sum", "generic", "go.sum", _go_sum),
    Negative("hashed requirements", "generic", "requirements.txt", _requirements),
    Negative("gem lockfile", "generic", "Gemfile.lock", _gemfile),
    Negative("git object ids", "generic", "packed-refs.txt", _oids),
    Negative("digests as constants", "generic", "digests.py", _hash_constants),
    Negative("uuids", "generic", "ids.yaml", _uuids),
    Negative("migrations", "generic", "0007_reset.py", _migrations),
    Negative("subresource integrity", "generic", "index.html", _script_tags),
    Negative("content security policy", "generic", "headers.txt", _csp),
    Negative("secret manager references", "google", "secrets.yaml", _secret_manager),
    Negative("environment in python", "generic", "settings.py", _env_python),
    Negative("environment in node", "generic", "config.ts", _env_node),
    Negative("environment in shell", "generic", "run.sh", _env_shell),
    Negative("environment in CI", "generic", "deploy.yml", _env_ci),
    Negative("terraform variables", "generic", "main.tf", _env_terraform),
    Negative("spring placeholders", "generic", "application.properties", _env_others),
    Negative("environment elsewhere", "generic", "snippets.txt", _env_more),
    Negative("workload identity", "google", "wif.json", _workload_identity),
    Negative("service account template", "google", "credentials.template.json", _account_template),
    Negative("service account fields", "google", "account.py", _account_fields),
    Negative("public key", "private-key", "public.pem", _public_key),
    Negative("certificate", "private-key", "server.crt", _certificate),
    Negative("certificate in kubeconfig", "private-key", "cluster.yaml", _certificate_yaml),
    Negative("key set", "private-key", "jwks.json", _jwks),
    Negative("ssh public keys", "private-key", "authorized_keys", _ssh_public),
    Negative("known hosts", "private-key", "known_hosts", _known_hosts),
    Negative("pgp public key", "private-key", "release.asc", _pgp_public),
    Negative("pgp signature", "private-key", "app.tar.gz.asc", _signature),
    Negative("mentions of pem", "private-key", "keys.md", _pem_mentions),
    Negative("aws examples", "aws", "credentials.ini", _aws_examples),
    Negative("placeholders", "generic", "dot-env.txt", _placeholders),
    Negative("placeholder urls", "url", "databases.md", _placeholder_urls),
    Negative("documentation", "generic", "api.md", _documentation),
    Negative("translations", "generic", "de.json", _translations),
    Negative("gettext", "generic", "django.po", _gettext),
    Negative("android strings", "generic", "strings.xml", _android),
    Negative("typescript types", "generic", "types.d.ts", _typescript),
    Negative("annotations", "generic", "models.py", _annotations),
    Negative("go structs", "generic", "config.go", _structs),
    Negative("protobuf", "generic", "credential.proto", _protobuf),
    Negative("protobuf descriptor", "generic", "credential_pb2.py", _descriptor),
    Negative("byte arrays", "generic", "descriptor.go", _grpc_descriptor),
    Negative("minified code", "generic", "app.min.js", _minified),
    Negative("webpack runtime", "generic", "runtime.js", _webpack),
    Negative("data urls", "generic", "site.css", _data_urls),
    Negative("mail attachment", "generic", "mail.eml", _inline_image),
    Negative("source map", "generic", "app.js.map", _source_map),
    Negative("inline source map", "generic", "token.js", _inline_map),
    Negative("jwt of the documentation", "jwt", "jwt_example.py", _known_jwt),
    Negative("wrong github checksum", "github", "samples.yaml", _wrong_checksum("ghp_", "github")),
    Negative("wrong github app checksum", "github", "samples.yaml", _wrong_checksum("ghs_", "github")),
    Negative("wrong npm checksum", "npm", "samples.yaml", _wrong_checksum("npm_", "npm")),
    Negative("kubernetes references", "generic", "deployment.yaml", _secret_refs),
    Negative("sealed secret", "generic", "sealed.yaml", _sealed),
    Negative("sops", "generic", "secrets.enc.yaml", _sops),
    Negative("ansible vault", "generic", "vault.yml", _ansible_vault),
    Negative("html form", "generic", "login.html", _forms),
    Negative("password hashing", "generic", "hashing.py", _hashing),
    Negative("feature flags", "generic", "flags.json", _flags),
    Negative("changelog", "generic", "CHANGELOG.md", _changelog),
    Negative("redacted logs", "generic", "service.log", _logs),
    Negative("snapshots", "generic", "login.snap", _snapshots),
    Negative("openapi", "generic", "openapi.yaml", _openapi),
    Negative("test vectors", "generic", "sha256.rsp", _test_vectors),
    Negative("compose file", "generic", "compose.yaml", _docker_compose),
    Negative("resource names", "google", "resources.yaml", _resource_names),
    Negative("public names", "generic", "public.env", _public_tokens),
    Negative("css", "generic", "tokens.css", _css_modules),
    Negative("image", "generic", "logo.png", _binary),
    Negative("patterns", "generic", "patterns.py", _regexes),
    Negative("tests", "generic", "test_login.py", _words),
    Negative("nginx", "generic", "nginx.conf", _tls_config),
)
