"""What the judge takes for a secret: kinds of values, each beside what only looks like it."""

import random
import string

import pytest

from orchestra_creds.scanner.checks.judge import is_password, is_reference, is_secret
from orchestra_creds.scanner.checks.names import NameClass
from tests.scanner.engines import detect, fast

DICE = random.Random(5)
HEX = "0123456789abcdef"


def drawn(letters: str, length: int) -> bytes:
    return "".join(DICE.choices(letters, k=length)).encode()


def secret(value: bytes, *, quoted: bool = True) -> bool:
    return is_secret(value, NameClass.SECRET, quoted=quoted)


VARIED = (
    b"w{{h}o)p${e]nob(ody[comes>-_$#her}}",
    b"go(t^o]the{fa%r~side&now>there*is!none",
    b"7`D'}/vYR)T;W\\\\5]EBrf;_&k>qX??]G&3CF=;@vy",
)


@pytest.mark.parametrize("value", VARIED)
def test_many_different_signs_make_a_secret_of_any_letters(value: bytes) -> None:
    assert is_password(value, quoted=True)
    assert secret(value)


@pytest.mark.parametrize(
    "value",
    [
        b"<div class='note'>[text](link)</div>",
        b"^(?=.*[a-z])(?=.*[A-Z])[^#!]{8,}$",
        b"{%user%}:[{{name}}]&(token)<x>",
        b"${prefix}[index]<name>(call)&more#end",
        b"!!! please, change: me (now) !!!",
        b"(((((!!!!!)))))[[[[$$$$]]]]",
        b"items[0].call(x)|filter{y}<z>",
    ],
)
def test_markup_patterns_and_templates_have_signs_and_are_none(value: bytes) -> None:
    assert not secret(value)


@pytest.mark.parametrize(
    "value",
    [
        b"${DB_PASSWORD}", b"${db.password:changeit}", b"${DB_PASSWORD:-none}", b"${{ secrets.DB_PASSWORD }}", b"a${b}c",
        b"{{ db_password }}", b"{{- .Values.password | quote }}", b"{{ lookup('env', 'DB_PASSWORD') }}", b"{{ {'a': 1}['a'] }}",
        b"prefix-{{ name }}-suffix", b"{name}", b"pass-{user.name!r}", b"${process.env.DB_PASSWORD}", b"${file(secrets.yml)}",
        b"${a[0]}", b"${", b"{{", b"${!Ref}", b"${DB_PASSWORD?required}",
    ],
)  # fmt: skip
def test_what_is_filled_in_is_a_reference(value: bytes) -> None:
    assert is_reference(value, quoted=True)


@pytest.mark.parametrize("value", [b"a${b]c", b"{{h}o", b"x${e]y{{z}w", b"$5{x", b"k}}{{"[:4] + b"x"])
def test_brackets_that_fill_in_nothing_are_no_reference(value: bytes) -> None:
    assert not is_reference(value, quoted=True)


def test_a_long_number_may_be_a_secret_and_a_short_one_is_an_id() -> None:
    number = b"7" + drawn(string.digits, 31)
    assert secret(number)
    assert not secret(number[:27])
    assert not secret(b"1" * 32)
    assert not secret(b"0123456789" * 4)


def test_letters_of_one_case_are_a_secret_when_they_are_drawn() -> None:
    for alphabet in (string.ascii_lowercase, string.ascii_uppercase):
        assert sum(secret(drawn(alphabet, 50)) for _ in range(100)) >= 90
    assert not secret(drawn(string.ascii_lowercase, 20))
    assert not secret(b"reallyreallyreallyreallyverysafe")
    assert not secret(b"internationalizationconfiguration")
    assert not secret(b"OVERRIDEREALLYREALLYREALLYREALLYVERYSAFE")


def test_sixteen_hexadecimal_digits_in_quotes_are_a_token() -> None:
    value = drawn(HEX, 16)
    assert secret(value)
    assert not secret(value, quoted=False)
    assert not secret(value[:15])
    assert not secret(b"0123456789abcdef")
    assert not secret(b"0000000000000000")


def test_a_sign_of_a_secret_may_be_written_as_its_code() -> None:
    value = drawn(string.ascii_letters + string.digits, 5) + b"7~" + drawn(string.ascii_letters + string.digits, 30)
    assert secret(value.replace(b"~", rb"\u007e"))
    assert secret(value.replace(b"~", rb"\\u007E"))
    assert not secret(rb"[\u00e0-\u00ff]" + drawn(string.ascii_letters + string.digits, 20))


def test_every_token_of_a_list_in_quotes_is_judged() -> None:
    value = drawn(HEX, 16).decode()
    text = f'{{"id": 7, "tokens": ["{value}", "none"], "state": "{value}"}}'.encode()
    found = [(one.rule.id, one.material.reveal().decode()) for one in detect(fast(), text)]
    assert found == [("generic-secret", value)]


@pytest.mark.parametrize("word", ["pw", "PW", "Pw"])
def test_two_letters_in_an_image_are_no_password(word: str) -> None:
    value = drawn(string.ascii_letters + string.digits, 12) + b"#9"
    text = word.encode() + b"=" + value
    assert len(detect(fast(), b"\nuser=app\n" + text + b"\n")) == 1
    assert len(detect(fast(), "\nBenutzer=jörg\n".encode() + text + "ß\n".encode())) == 1
    for before, behind in ((b"\x90\xf5\x8c", b""), (b"\x01\x02/", b""), (b"", b"\x12"), (b"", b"\xe4\x93\xc3")):
        assert not detect(fast(), b"\xff\n" + before + text + behind + b"\n")
    assert len(detect(fast(), b"\x01\x02/db_password=" + value + b"\n")) == 1


def test_an_encoded_login_may_end_with_a_line_break() -> None:
    import base64

    password = drawn(string.ascii_letters + string.digits, 14)
    for ending in (b"", b"\n", b"\r\n"):
        auth = base64.b64encode(b"deploy:" + password + ending).decode()
        found = detect(fast(), f'{{"auths": {{"registry.acme.dev": {{"auth": "{auth}"}}}}}}'.encode())
        assert [one.material.reveal() for one in found if one.rule.id != "generic-secret"] == [password]
    broken = base64.b64encode(b"deploy:" + password + b"\n\x01").decode()
    assert not detect(fast(), f'{{"auths": {{"registry.acme.dev": {{"auth": "{broken}"}}}}}}'.encode())
