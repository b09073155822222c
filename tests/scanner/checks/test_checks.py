"""What the structure checks prove, grade and refuse."""

import base64
import json
import re
import textwrap
import urllib.parse
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestra_creds.scanner.checks import der, pem
from orchestra_creds.scanner.checks import generic as generic_checks
from orchestra_creds.scanner.checks.judge import is_password, is_secret
from orchestra_creds.scanner.checks.names import NameClass
from orchestra_creds.scanner.checks.verdict import Subject
from orchestra_creds.scanner.detection import Detection
from orchestra_creds.scanner.engine.engine import Engine
from orchestra_creds.scanner.rule import Confidence, Rule
from orchestra_creds.scanner.rulebook.catalog import all_rules
from orchestra_creds.scanner.samples.sample import render
from orchestra_creds.scanner.samples.sample_keys import service_account
from tests.scanner.engines import fast

KEY_RULE = "google-service-account-key"


@pytest.fixture(scope="module")
def engine() -> Engine:
    return fast()


def scan(engine: Engine, data: str | bytes) -> list[Detection]:
    data = data.encode() if isinstance(data, str) else data
    return engine.settle(engine.examine(data, engine.find_hits(data)))


def one(engine: Engine, data: str | bytes, rule: str) -> Detection:
    hits = [hit for hit in scan(engine, data) if hit.rule.id == rule]
    assert len(hits) == 1, [hit.rule.id for hit in scan(engine, data)]
    return hits[0]


def ids(engine: Engine, data: str | bytes) -> set[str]:
    return {hit.rule.id for hit in scan(engine, data)}


# --- service-account keys in every wrapping ---

FIELDS = service_account(1024)
PRETTY = json.dumps(FIELDS, indent=2)
COMPACT = json.dumps(FIELDS, separators=(",", ":"))
BASE64 = base64.b64encode(PRETTY.encode()).decode()
ONE_LINE_PEM = FIELDS["private_key"].replace("\n", "\\n")

WRAPPINGS: dict[str, str] = {
    "pretty": PRETTY,
    "compact": COMPACT,
    "reordered": json.dumps(dict(reversed(FIELDS.items())), indent=4),
    "windows line ends": PRETTY.replace("\n", "\r\n"),
    "json in json": json.dumps({"credentials": PRETTY, "zone": "europe-west4"}),
    "json in json in json": json.dumps({"body": json.dumps({"credentials": COMPACT})}),
    "yaml block scalar": "config:\n  key.json: |\n" + textwrap.indent(PRETTY, "    ") + "\n  other: 1\n",
    "yaml mapping": "gcp:\n"
    + "".join(f"  {name}: {value}\n" for name, value in FIELDS.items() if name != "private_key")
    + "  private_key: |\n"
    + textwrap.indent(FIELDS["private_key"], "    "),
    "tfvars heredoc": f'region = "eu"\ncredentials = <<-EOT\n{PRETTY}\nEOT\n',
    "dotenv": f"PORT=80\nGOOGLE_CREDENTIALS='{COMPACT}'\nDEBUG=1\n",
    "dotenv in parts": f"FIREBASE_PROJECT_ID={FIELDS['project_id']}\nFIREBASE_CLIENT_EMAIL={FIELDS['client_email']}\n"
    f'FIREBASE_PRIVATE_KEY="{ONE_LINE_PEM}"\n',
    "base64 in a kubernetes secret": f"apiVersion: v1\nkind: Secret\ndata:\n  key.json: {BASE64}\n",
    "wrapped base64": "cert:\n" + textwrap.indent("\n".join(textwrap.wrap(BASE64, 76)), "  ") + "\n",
    "compact base64": f"GCP_SA_KEY={base64.b64encode(COMPACT.encode()).decode()}\n",
    "python literal": f"CREDENTIALS = json.loads({COMPACT!r})\n",
    "python dict": f"CREDENTIALS = {FIELDS!r}\n",
    "javascript object": "const c = {\n"
    + "".join(f"  {name}: '{value.encode('unicode_escape').decode()}',\n" for name, value in FIELDS.items())
    + "};\n",
    "percent": "creds=" + urllib.parse.quote(COMPACT) + "&x=1",
    "form": urllib.parse.urlencode({"creds": COMPACT, "x": 1}),
    "with slashes escaped": COMPACT.replace("/", "\\/"),
    "html": "<pre>" + PRETTY.replace("&", "&amp;") + "</pre>",
}


@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_a_service_account_key_is_one_credential_in_every_wrapping(engine: Engine, wrapping: str) -> None:
    hit = one(engine, WRAPPINGS[wrapping], KEY_RULE)
    assert hit.material.reveal() == FIELDS["private_key"].encode()
    assert hit.confidence is Confidence.PROVEN


@pytest.mark.parametrize("wrapping", set(WRAPPINGS) - {"dotenv in parts"})
def test_the_note_names_key_and_mail_and_nothing_else_is_reported(engine: Engine, wrapping: str) -> None:
    hits = scan(engine, WRAPPINGS[wrapping])
    assert [hit.rule.id for hit in hits] == [KEY_RULE]
    assert hits[0].note == f"key {FIELDS['private_key_id']} of {FIELDS['client_email']}"


def test_the_key_alone_is_a_private_key(engine: Engine) -> None:
    assert ids(engine, json.dumps({"private_key": FIELDS["private_key"]})) == {"private-key"}


def test_a_mail_of_another_project_takes_the_proof_away(engine: Engine) -> None:
    hit = one(engine, json.dumps(FIELDS | {"project_id": "somebody-else"}), KEY_RULE)
    assert hit.confidence is Confidence.LIKELY
    assert "another project" in hit.note


@pytest.mark.parametrize(
    ("mail", "project"),
    [
        ("a@acme-42.iam.gserviceaccount.com", "acme-42"),
        ("acme-42@appspot.gserviceaccount.com", "acme-42"),
        ("123-compute@developer.gserviceaccount.com", "acme-42"),
        ("a@acme-42.example.com.iam.gserviceaccount.com", "example.com:acme-42"),
    ],
)
def test_every_shape_of_mail_belongs_to_its_project(engine: Engine, mail: str, project: str) -> None:
    fields = FIELDS | {"client_email": mail, "project_id": project}
    assert one(engine, json.dumps(fields), KEY_RULE).confidence is Confidence.PROVEN


def test_a_key_that_does_not_load_but_is_shaped_right_is_likely(engine: Engine) -> None:
    body = render("{b64:1600}")
    armour = f"-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n"
    assert one(engine, json.dumps(FIELDS | {"private_key": armour}), KEY_RULE).confidence is Confidence.LIKELY


def test_a_damaged_key_is_no_finding(engine: Engine) -> None:
    raw = bytearray(base64.b64decode("".join(FIELDS["private_key"].split("\n")[1:-2])))
    raw[200] ^= 1
    body = base64.b64encode(raw).decode()
    armour = f"-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n"
    assert ids(engine, json.dumps(FIELDS | {"private_key": armour})) == set()


def test_a_key_cut_short_is_possible_at_most(engine: Engine) -> None:
    hits = scan(engine, PRETTY[: PRETTY.index("-----END")][:-200])
    assert all(hit.confidence is Confidence.POSSIBLE for hit in hits)


@pytest.mark.parametrize(
    "key", ["...", "REDACTED", "<private key>", "-----BEGIN PRIVATE KEY-----\\nXXXX\\n-----END PRIVATE KEY-----\\n"]
)
def test_a_template_of_a_key_file_is_no_finding(engine: Engine, key: str) -> None:
    assert ids(engine, json.dumps(FIELDS | {"private_key": key})) == set()


def test_two_keys_beside_each_other_keep_their_own_mails(engine: Engine) -> None:
    other = service_account(768)
    text = "".join(
        f'MAIL_{name}={fields["client_email"].replace("deployer", name)}\nKEY_{name}="{fields["private_key"]}"\n'
        for name, fields in (("first", FIELDS), ("second", other))
    )
    hits = [hit for hit in scan(engine, text) if hit.rule.id == KEY_RULE]
    assert ["first" in hit.note for hit in hits] == [True, False]


def test_a_federation_config_is_no_finding(engine: Engine) -> None:
    config = {
        "type": "external_account",
        "audience": "//iam.googleapis.com/projects/123/locations/global/workloadIdentityPools/pool/providers/github",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": "https://sts.googleapis.com/v1/token",
        "credential_source": {"file": "/var/run/service-account/token"},
    }
    assert ids(engine, json.dumps(config, indent=2)) == set()


def test_an_impersonation_file_is_found_by_what_it_wraps(engine: Engine) -> None:
    source = json.loads(render(next(rule for rule in all_rules() if rule.id == "google-authorized-user").examples[0]))
    outer = {"type": "impersonated_service_account", "source_credentials": source, "delegates": []}
    assert ids(engine, json.dumps(outer)) == {"google-authorized-user"}


@pytest.mark.parametrize("template", ["GOOG1E{u36:55}", "GOOG{u36:20}"])
def test_an_hmac_pair_is_the_same_in_a_kubernetes_secret(engine: Engine, template: str) -> None:
    access_id, secret = render(template), render("{b64:39}a")
    text = "".join(
        f"  {name}: {base64.b64encode(value.encode()).decode()}\n"
        for name, value in (("id", access_id), ("key", secret))
    )
    hit = one(engine, f"data:\n{text}", "google-hmac-key")
    assert (hit.material.reveal(), hit.note, hit.decoded) == (secret.encode(), f"access id {access_id}", ("base64",))


def test_an_hmac_access_id_alone_is_no_finding(engine: Engine) -> None:
    assert ids(engine, render("access id: GOOG1E{u36:55}\ncommit {hex:40}\n")) == set()


# --- PKCS#12 ---


def p12() -> bytes:
    return base64.b64decode(render("{googlep12:1024}"))


@pytest.mark.parametrize("wrap", [bytes, base64.b64encode, base64.encodebytes])
def test_googles_p12_is_proven_raw_and_in_base64(engine: Engine, wrap: Callable[[bytes], bytes]) -> None:
    hit = one(engine, wrap(p12()), "google-service-account-p12")
    assert hit.confidence is Confidence.PROVEN
    assert hit.material.reveal() == p12()


def test_a_store_with_another_password_is_possible(engine: Engine) -> None:
    assert one(engine, base64.b64decode(render("{p12:1024}")), "pkcs12-store").confidence is Confidence.POSSIBLE


def test_a_store_that_asks_for_hours_is_not_opened() -> None:
    content = p12()
    assert content.endswith(b"\x02\x02\x08\x00")
    hostile = content[:-4] + b"\x02\x04\x7f\xff\xff\xff"
    resized = b"\x30\x82" + (len(hostile) - 4).to_bytes(2, "big") + hostile[4:]
    assert der.is_sequence(resized)
    assert not der.pkcs12_opens(resized, "notasecret")


@given(st.binary(max_size=200), st.integers(0, 1000))
@settings(max_examples=200, deadline=None)
def test_der_never_fails_on_damaged_stores(noise: bytes, at: int) -> None:
    content = p12()
    at %= len(content)
    assert isinstance(der.pkcs12_opens(content[:at] + noise + content[at + len(noise) :], "notasecret"), bool)


# --- private keys ---


@pytest.mark.parametrize(
    ("hole", "rule", "kind"),
    [
        ("pem:1024", "private-key", "RSA 1024"),
        ("pkcs1:1024", "private-key", "RSA 1024"),
        ("sec1:0", "private-key", "EC secp256r1"),
        ("ed25519:0", "private-key", "Ed25519"),
        ("openssh:1024", "ssh-private-key", "RSA 1024"),
        ("opensshed25519:0", "ssh-private-key", "Ed25519"),
        ("pgp:700", "pgp-private-key", "OpenPGP, checksum fits"),
        ("derbase64:1024", "private-key-base64", "RSA 1024"),
        ("putty:2", "putty-private-key", "ssh-ed25519"),
        ("putty:3", "putty-private-key", "ssh-ed25519"),
    ],
)
def test_a_key_is_proven_and_named(engine: Engine, hole: str, rule: str, kind: str) -> None:
    hit = one(engine, f"before\n{render('{' + hole + '}')}\nafter\n", rule)
    assert (hit.confidence, hit.note) == (Confidence.PROVEN, kind)


def test_a_damaged_key_of_openssh_is_likely_and_a_made_up_one_is_none(engine: Engine) -> None:
    lines = render("{openssh:1024}").splitlines()
    damaged = "\n".join([*lines[:5], lines[5].swapcase(), *lines[6:]])
    assert one(engine, f"{damaged}\n", "ssh-private-key").confidence is Confidence.LIKELY
    made_up = "\n".join([*lines[:3], *("x" * 70 for _ in lines[3:-1]), lines[-1]])
    assert "ssh-private-key" not in ids(engine, made_up)


@pytest.mark.parametrize("label", ["RSA", "DSA", "EC"])
def test_a_key_of_openssh_is_proven_under_the_label_of_an_older_format(engine: Engine, label: str) -> None:
    text = render("{opensshed25519:0}").replace(" OPENSSH ", f" {label} ")
    hit = one(engine, f"before\n{text}\nafter\n", "private-key")
    assert (hit.confidence, hit.note) == (Confidence.PROVEN, "Ed25519")
    lines = text.splitlines()
    cut = "\n".join([*lines[:2], lines[2][::-1], *lines[3:]])
    assert not [hit for hit in scan(engine, cut) if hit.confidence is Confidence.PROVEN]


@pytest.mark.parametrize(
    "escape",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: textwrap.indent(text, "    # "),
        lambda text: textwrap.indent(text, "\t"),
        lambda text: text.replace("\n", "\\n"),
        lambda text: text.replace("\n", "\\\\n"),
        lambda text: text.replace("\n", "\\r\\n"),
        lambda text: text.replace("\n", " "),
        lambda text: text.replace("\n", "&#10;"),
        lambda text: " +\n".join(f'    "{line}\\n"' for line in text.split("\n")),
        lambda text: ",\n".join(f"  '{line}'" for line in text.split("\n")),
        lambda text: text.replace("+", "\\u002b").replace("=", "\\u003d").replace("\n", "\\n"),
    ],
)
def test_a_key_is_the_same_however_it_is_escaped(engine: Engine, escape: Callable[[str], str]) -> None:
    plain = render("{pkcs1:1024}")
    assert one(engine, f"key:\n{escape(plain)}\n", "private-key").material.reveal() == plain.encode() + b"\n"


def test_a_locked_key_is_graded_lower(engine: Engine) -> None:
    hit = one(engine, render("{lockedpem:1024}"), "private-key-locked")
    assert hit.confidence is Confidence.LIKELY
    assert ids(engine, render("{lockedpem:1024}")) == {"private-key-locked"}


def test_a_traditional_locked_key_is_seen_by_its_header(engine: Engine) -> None:
    head = "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00112233445566778899AABBCCDDEEFF\n\n"
    text = render("{pkcs1:1024}").replace("KEY-----\n", f"KEY-----\n{head}", 1)
    assert ids(engine, text) == {"private-key-locked"}


@pytest.mark.parametrize(
    "label", ["CERTIFICATE", "PUBLIC KEY", "RSA PUBLIC KEY", "CERTIFICATE REQUEST", "PGP PUBLIC KEY BLOCK"]
)
def test_what_is_public_is_no_finding(engine: Engine, label: str) -> None:
    assert ids(engine, f"-----BEGIN {label}-----\n{render('{b64:640}')}\n-----END {label}-----\n") == set()


def test_rsa_numbers_that_do_not_fit_together_prove_nothing() -> None:
    raw = bytearray(base64.b64decode(render("{derbase64:1024}")))
    raw[80] ^= 1
    proof = pem.load_der(bytes(raw))
    assert proof is None or proof[0] is Confidence.POSSIBLE


def test_a_putty_key_whose_checksum_fails_is_only_likely(engine: Engine) -> None:
    text = re.sub(r"Comment: laptop", "Comment: office", render("{putty:3}"))
    assert one(engine, text, "putty-private-key").confidence is Confidence.LIKELY


def test_an_age_key_with_a_wrong_letter_is_no_finding(engine: Engine) -> None:
    key = render("{age:1}")
    assert ids(engine, key[:-1] + ("Q" if key[-1] != "Q" else "P")) == set()


def test_a_wireguard_key_must_be_clamped(engine: Engine) -> None:
    key = bytearray(base64.b64decode(render("{wireguard:1}")))
    key[0] |= 1
    assert "wireguard-private-key" not in ids(engine, f"PrivateKey = {base64.b64encode(key).decode()}\n")


@pytest.mark.parametrize(
    ("hole", "confidence"), [("signify:0", "PROVEN"), ("minisign:0", "PROVEN"), ("signify:42", "LIKELY")]
)
def test_a_signing_key_is_proven_when_it_is_not_locked(engine: Engine, hole: str, confidence: str) -> None:
    assert one(engine, render("{" + hole + "}"), "signify-secret-key").confidence.name == confidence


# --- tokens ---


def test_a_token_says_how_it_is_signed_and_when_it_ends(engine: Engine) -> None:
    assert one(engine, render("{gtoken:1}"), "google-signed-token").note == "RS256, until 2030-01-01T00:00:00Z"


def test_a_token_that_nobody_signed_is_no_finding(engine: Engine) -> None:
    parts = (b'{"alg":"none","typ":"JWT"}', b'{"iss":"acme","sub":"a"}', b"")
    assert ids(engine, ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)) == set()


def test_the_token_of_the_tutorials_is_no_finding(engine: Engine) -> None:
    parts = [b'{"alg":"HS256","typ":"JWT"}', b'{"sub":"1234567890","name":"John Doe","iat":1516239022}']
    token = ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts) + "." + render("{b64u:43}")
    assert ids(engine, f"Authorization: {token}\n") == set()


@pytest.mark.parametrize(
    "frame",
    [
        "key={}",
        "?key={}&cb=init",
        "<string>{}</string>",
        "{},",
        "({})",
        "key={}\\u0026x=1",
        '"\\n{}\\n"',
        "key%3D{}%26x",
        "`{}`",
    ],
)
def test_an_api_key_is_found_whatever_touches_it(engine: Engine, frame: str) -> None:
    key = render("AIzaSy{b64u:32}A")
    assert one(engine, frame.format(key), "google-api-key").material.reveal() == key.encode()


# --- secrets without a format ---


@pytest.mark.parametrize("alphabet", ["b62", "b64", "b64u", "l36", "hex"])
@pytest.mark.parametrize("length", [32, 40, 64])
def test_nearly_all_random_values_pass_as_random(alphabet: str, length: int) -> None:
    values = [render(f"{{{alphabet}:{length}}}", seed=seed).encode() for seed in range(100)]
    assert sum(is_secret(value, NameClass.SECRET, quoted=False) for value in values) >= 97


@pytest.mark.parametrize("length", [12, 16, 20])
def test_nearly_all_random_passwords_pass_as_passwords(length: int) -> None:
    values = [render(f"{{b62:{length - 2}}}!{{digit:1}}", seed=seed).encode() for seed in range(100)]
    assert sum(is_password(value, quoted=False) for value in values) >= 97


@pytest.mark.parametrize(
    "value",
    ["${TOKEN}", "{{ token }}", "os.environ['A']", "process.env.A1", "get_token(1)", "user-login-token-2", "my_secret_key_number_1",
     "projects/p/secrets/s/versions/1", "/etc/keys/api_key_1.json", "v1.2.3-rc.4+build5678", "123456789012345678901234",
     "x25519.X25519PrivateKey", "AppConfigurationTokenProvider2", "changeme-changeme-1"],
)  # fmt: skip
def test_words_references_and_names_are_not_random(value: str) -> None:
    assert not is_secret(value.encode(), NameClass.STRONG_SECRET, quoted=False)


@pytest.mark.parametrize(
    "value",
    [
        "password1",
        "test1234",
        "Passwort",
        "admin123!",
        "string1",
        "********1",
        "<your-password1>",
        "%(password1)s",
        "user_password_2",
    ],
)
def test_words_and_stand_ins_are_no_passwords(value: str) -> None:
    assert not is_password(value.encode(), quoted=False)
    assert not is_password(value.encode(), quoted=True)


def test_the_name_in_a_list_decides_and_not_the_word_value(engine: Engine) -> None:
    listed = "- name: {}\n  value: " + render("{b62:30}42") + "\n"
    assert ids(engine, listed.format("APP_SECRET_KEY")) == {"generic-secret"}
    assert ids(engine, listed.format("APP_SECRET_KEY_ID")) == set()


@pytest.mark.parametrize("line_break", ["", "\\n", "\\r\\nNEXT=1"])
@pytest.mark.parametrize(
    ("before", "after"),
    [('"API_TOKEN=', '"'), ("'X-Api-Key: ", "'"), ('\\"token=', '\\"'), ('"https://a.dev/?b=c&api_key=', '"')],
)
def test_the_value_ends_where_its_quotes_or_its_line_do(
    engine: Engine, before: str, after: str, line_break: str
) -> None:
    for seed in range(20):
        value = render("{b62:30}42", seed=seed)
        hit = one(engine, f"a = {before}{value}{line_break}{after}, 7\n", "generic-secret")
        assert hit.material.reveal() == value.encode()


@given(st.binary(max_size=200), st.binary(max_size=80))
def test_a_verdict_on_a_login_reads_what_it_says(before: bytes, after: bytes) -> None:
    data = before + b"curl -u admin:" + after
    start = len(before) + len(b"curl -u admin:")
    subject = Subject(data[start : start + 3], data, start, min(start + 3, len(data)), 0, len(data))
    verdict = generic_checks.user_and_password(subject)
    if verdict is not None:
        part = data[verdict.read_from : verdict.read_to]
        at = start - verdict.read_from
        again = generic_checks.user_and_password(Subject(part[at : at + 3], part, at, at + 3, 0, len(part)))
        assert again is not None
        assert again.material == verdict.material == data[verdict.start : verdict.end]


def test_a_uuid_and_hex_are_secrets_under_a_name_that_says_so(engine: Engine) -> None:
    for value in (render("{uuid:4}"), render("{hex:32}"), render("{hex:22}")):
        assert ids(engine, f"DB_PASSWORD={value}\n") == {"generic-password"}
    assert ids(engine, render("SHIPPING_API_KEY={uuid:4}\n")) == {"generic-secret"}
    assert ids(engine, render("request_token={uuid:4}\n")) == set()


# --- all checks ---

LOADERS: dict[str, Callable[[bytes], object]] = {
    "der": pem.load_der,
    "der in base64": der.from_base64,
    "pkcs12": lambda noise: der.pkcs12_opens(noise, "notasecret"),
    "pem": lambda noise: pem.parse_pem(Subject(b"", b"-----BEGIN PRIVATE KEY-----" + noise, 0, 27, 0, 27 + len(noise))),
}


@given(st.sampled_from(all_rules()), st.binary(max_size=60), st.binary(max_size=60), st.data())
@settings(max_examples=400, deadline=None)
def test_no_check_fails_on_damaged_examples_or_claims_bytes_that_are_not_there(
    engine: Engine, rule: Rule, before: bytes, behind: bytes, data: st.DataObject
) -> None:
    text = bytearray(render(data.draw(st.sampled_from(rule.examples))).encode())
    for _ in range(data.draw(st.integers(0, 4))):
        text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(len(text) // 2, len(text)))
    buffer = before + bytes(text[:cut]) + behind
    for hit in scan(engine, buffer):
        assert 0 <= hit.read_from <= hit.start < hit.end <= hit.read_to <= len(buffer)


@given(st.sampled_from(sorted(LOADERS)), st.binary(max_size=3000))
@settings(max_examples=300, deadline=None)
def test_no_loader_fails_on_noise(name: str, noise: bytes) -> None:
    LOADERS[name](noise)
