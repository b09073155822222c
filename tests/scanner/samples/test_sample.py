import base64
import json
import subprocess
import sys

import pytest

from orchestra_creds.scanner.checks.der import pkcs12_opens
from orchestra_creds.scanner.samples.sample import MAKERS, render

SALTED = {"lockedpem", "openssh", "opensshed25519", "p12", "googlep12"}
SIZES = {
    "supabase": 1,
    "pem": 1024,
    "pemline": 1024,
    "pkcs1": 1024,
    "sajson": 1024,
    "saline": 1024,
    "saescaped": 1024,
    "sabase64": 1024,
}


def test_the_same_template_and_seed_give_the_same_text() -> None:
    assert render("{b62:20} {jwk:1}", seed=3) == render("{b62:20} {jwk:1}", seed=3)


def test_another_seed_gives_another_text() -> None:
    assert render("{b62:20}", seed=1) != render("{b62:20}", seed=2)


def test_text_outside_of_holes_is_kept() -> None:
    assert render('{"a": {"b": ${C}}, {d}}') == '{"a": {"b": ${C}}, {d}}'


def test_keys_are_the_same_in_every_process() -> None:
    code = "from orchestra_creds.scanner.samples.sample import render; print(render('{sajson:1024}'), end='')"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert other == render("{sajson:1024}")


def test_a_service_account_file_has_every_field_in_googles_order() -> None:
    fields = json.loads(render("{sajson:1024}"))
    assert list(fields)[:6] == ["type", "project_id", "private_key_id", "private_key", "client_email", "client_id"]
    assert fields["private_key"].startswith("-----BEGIN PRIVATE KEY-----\n")


@pytest.mark.parametrize(("hole", "password"), [("googlep12", "notasecret"), ("p12", "correct horse")])
def test_stores_open_with_their_password_only(hole: str, password: str) -> None:
    content = base64.b64decode(render(f"{{{hole}:1024}}"))
    assert pkcs12_opens(content, password)
    assert not pkcs12_opens(content, "another")


@pytest.mark.parametrize("name", sorted(MAKERS))
def test_every_hole_fills_and_is_kept_for_the_process(name: str) -> None:
    template = f"{{{name}:{SIZES.get(name, 1024 if name in SALTED or name in ('derbase64', 'samail') else 2)}}}"
    assert render(template) == render(template) != ""
