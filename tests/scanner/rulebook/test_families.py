import re
from re import _parser as parser  # type: ignore[attr-defined]

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestra_creds.scanner.checks import checksums
from orchestra_creds.scanner.checks import registry as check_registry
from orchestra_creds.scanner.checks.verdict import CheckVerdict, Subject
from orchestra_creds.scanner.detection import Detection
from orchestra_creds.scanner.engine.engine import Engine
from orchestra_creds.scanner.rule import Confidence, Rule
from orchestra_creds.scanner.rulebook import catalog, generic, google, keys
from orchestra_creds.scanner.samples.sample import ALPHABETS, render
from tests.scanner.engines import fast

OURS = {rule.id for family in (google, keys, generic) for rule in family.RULES}
RULES = tuple(rule for rule in catalog.all_rules() if rule.id not in OURS)
BY_ID = {rule.id: rule for rule in RULES}
ALONE = tuple(rule for rule in RULES if rule.pattern.startswith(r"(?:\b|"))
"""The rules of tokens that need no name before them."""

PROVEN = tuple(rule for rule in RULES if rule.check in {"crc62", "gitlab-routable", "nkey"})
"""The rules of tokens that a checksum proves."""

WRAPPINGS = (
    '"{}"',
    "'{}'",
    "{{'key': \"{}\"}}",
    "https://acme.test/v1?a=1&key={}&cb=2",
    "<string>{}</string>",
    "token: {}\n",
    "`{}`",
    "(see {})",
    "export TOKEN={}; run",
    "first,{},last",
    "key={}\\u0026next=1",
    "line\\n{}\\nline",
    "q%3D{}%26next",
    "[{}]",
)
FIXED = re.compile(r"\{[a-zA-Z0-9]+:[0-9]+\}$")


def blank(rule: Rule) -> str:
    """The first example with every run of random letters replaced by one letter."""

    def same(hole: re.Match[str]) -> str:
        return ALPHABETS[hole[1]][0] * int(hole[2]) if hole[1] in ALPHABETS else hole[0]

    return re.sub(r"\{([a-zA-Z0-9]+):([0-9]+)\}", same, rule.examples[0])


@pytest.fixture(scope="module")
def engine() -> Engine:
    return fast()


def found(engine: Engine, text: str, rule: str) -> list[Detection]:
    """What `rule` finds in `text`, before the choice among rules."""
    data = text.encode()
    return [hit for hit in engine.examine(data, engine.find_hits(data)) if hit.rule.id == rule]


def verdict(check: str, text: str, at: int = 0, end: int | None = None) -> CheckVerdict | None:
    """What `check` says of text[at:end]."""
    data = text.encode()
    end = len(data) if end is None else end
    return checksums.CHECKS[check](Subject(data[at:end], data, at, end, 0, len(data)))


def test_there_are_at_least_190_formats_of_vendors() -> None:
    assert len(RULES) >= 190


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
class TestEveryRule:
    def test_says_what_to_do_and_where_the_format_is_from(self, rule: Rule) -> None:
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", rule.id)
        assert rule.remedy.endswith(".")
        assert rule.remedy[0].isupper()
        assert "://" not in rule.source
        assert len(rule.source) > 8
        assert not rule.description.endswith(".")

    def test_is_bounded_and_checked(self, rule: Rule) -> None:
        assert parser.parse(rule.pattern).getwidth()[1] <= rule.longest
        assert check_registry.check_of(rule.check) is not None
        assert rule.group == 1

    def test_shows_no_more_than_a_public_prefix(self, rule: Rule) -> None:
        assert rule.prefix == "" or all(render(example).find(rule.prefix) >= 0 for example in rule.examples)

    def test_finds_its_examples(self, rule: Rule, engine: Engine) -> None:
        for example in rule.examples:
            text = render(example)
            assert not rule.keywords or any(word in text.lower() for word in rule.keywords)
            assert found(engine, text, rule.id)

    def test_refuses_its_counter_examples(self, rule: Rule, engine: Engine) -> None:
        assert rule.counter_examples
        for example in rule.counter_examples:
            assert not found(engine, render(example), rule.id)


@pytest.mark.parametrize("rule", ALONE, ids=lambda rule: rule.id)
class TestEveryTokenThatStandsAlone:
    def test_is_found_whole_in_every_wrapping(self, rule: Rule, engine: Engine) -> None:
        token = render(rule.examples[0])
        materials = {hit.material for hit in found(engine, token, rule.id)}
        for wrapping in WRAPPINGS:
            assert {hit.material for hit in found(engine, wrapping.format(token), rule.id)} == materials, wrapping

    def test_is_not_cut_out_of_a_longer_word(self, rule: Rule, engine: Engine) -> None:
        token = render(rule.examples[0])
        assert not found(engine, "q" + token, rule.id)
        whole = {hit.material.reveal() for hit in found(engine, token, rule.id)}
        if FIXED.search(rule.examples[0]):
            assert not whole & {hit.material.reveal() for hit in found(engine, token + "q", rule.id)}


@pytest.mark.parametrize("rule", PROVEN, ids=lambda rule: rule.id)
class TestEveryTokenWithAChecksum:
    def test_is_found_whole_in_every_wrapping(self, rule: Rule, engine: Engine) -> None:
        for example in rule.examples:
            token = render(example)
            for wrapping in WRAPPINGS:
                hits = found(engine, wrapping.format(token), rule.id)
                assert {hit.material.reveal().decode() for hit in hits} == {token}, wrapping

    @pytest.mark.parametrize("around", ["q{}", "Q{}Z", "7{}7Zz", "token{}", "{}{}"])
    def test_is_found_whole_between_other_letters(self, rule: Rule, engine: Engine, around: str) -> None:
        for example in rule.examples:
            token = render(example)
            hits = found(engine, around.format(token, token), rule.id)
            assert {hit.material.reveal().decode() for hit in hits} == {token}
            assert {hit.confidence for hit in hits} == {Confidence.PROVEN}

    def test_one_changed_letter_is_none_between_other_letters_either(self, rule: Rule, engine: Engine) -> None:
        for example in rule.examples:
            token = render(example)
            at = len(token) - 3
            changed = token[:at] + ("a" if token[at] != "a" else "b") + token[at + 1 :]
            assert not found(engine, f"q{changed}q", rule.id)


@pytest.mark.parametrize("rule", [rule for rule in ALONE if blank(rule) != rule.examples[0]], ids=lambda rule: rule.id)
def test_a_token_written_to_be_replaced_is_refused(rule: Rule, engine: Engine) -> None:
    assert not found(engine, render(blank(rule)), rule.id)


class TestChecksums:
    def test_a_github_token_with_a_right_checksum_is_proven(self) -> None:
        hit = verdict("crc62", render("ghp_{crc62:30}"))
        assert hit is not None
        assert hit.confidence is Confidence.PROVEN

    @settings(max_examples=50)
    @given(at=st.integers(4, 39), letter=st.sampled_from(ALPHABETS["b62"]), seed=st.integers(0, 99))
    def test_a_token_with_one_changed_letter_is_refused(self, at: int, letter: str, seed: int) -> None:
        token = render("npm_{crc62:30}", seed=seed)
        changed = token[:at] + letter + token[at + 1 :]
        assert (verdict("crc62", changed) is None) == (changed != token)

    @pytest.mark.parametrize("kind", [1, 2, 3])
    def test_a_routable_gitlab_token_is_proven_and_names_its_organization(self, kind: int) -> None:
        hit = verdict("gitlab-routable", render(f"{{glroute:{kind}}}"))
        assert hit is not None
        assert hit.confidence is Confidence.PROVEN
        assert re.fullmatch(r"organization \d+, user \d+", hit.note)

    def test_a_routable_gitlab_token_is_taken_with_the_prefix_of_its_instance(self, engine: Engine) -> None:
        token = render("{glroute:4}")
        hits = found(engine, f"token: {token}\n", "gitlab-routable-token")
        assert [hit.material.reveal().decode() for hit in hits] == [token]

    def test_a_routable_gitlab_token_with_a_wrong_checksum_is_refused(self) -> None:
        token = render("{glroute:1}")
        assert verdict("gitlab-routable", token[:-1] + ("0" if token[-1] != "0" else "1")) is None

    def test_a_whole_macaroon_proves_a_pypi_token_and_a_cut_one_does_not(self) -> None:
        whole, cut = (
            verdict("pypi-macaroon", render("pypi-{macaroon:1}")),
            verdict("pypi-macaroon", render("pypi-{macaroon:1}")[:-8]),
        )
        assert whole is not None
        assert cut is not None
        assert (whole.confidence, cut.confidence) == (Confidence.PROVEN, Confidence.LIKELY)
        assert whole.note == "pypi.org"

    @settings(max_examples=100)
    @given(
        check=st.sampled_from(sorted(checksums.CHECKS)),
        text=st.binary(max_size=200),
        cut=st.tuples(st.integers(0, 200), st.integers(0, 200)),
    )
    def test_no_check_fails_on_or_reads_outside_of_any_bytes(
        self, check: str, text: bytes, cut: tuple[int, int]
    ) -> None:
        start, end = sorted(min(at, len(text)) for at in cut)
        material = b"ghp_eyJ" + text[start:end] if check == "jwt-tail" else text[start:end]
        if check == "aws-key-id":
            material = b"AKIA" + bytes(ALPHABETS["b32"].encode()[byte % 32] for byte in (text + bytes(16))[:16])
        hit = checksums.CHECKS[check](Subject(material, text, start, end, 0, len(text)))
        assert hit is None or 0 <= hit.read_from <= hit.start <= hit.end <= hit.read_to <= len(text)


class TestAmazon:
    def test_a_key_id_names_its_account(self) -> None:
        account = 123456789012
        number = (account << 7).to_bytes(6, "big")
        letters = "".join(
            ALPHABETS["b32"][int.from_bytes(number + bytes(4), "big") >> (75 - 5 * at) & 31] for at in range(16)
        )
        hit = verdict("aws-key-id", "AKIA" + letters)
        assert hit is None or hit.note == f"account {account}"

    def test_the_key_pair_of_the_manual_is_refused(self, engine: Engine) -> None:
        key, secret = "AKIAIOSFODNN7" + "EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCY" + "EXAMPLEKEY"
        manual = f"aws_access_key_id = {key}\naws_secret_access_key = {secret}\n"
        assert not found(engine, manual, "aws-access-key-id")
        assert not found(engine, manual, "aws-secret-access-key")

    def test_a_hash_beside_the_name_is_no_secret_key(self, engine: Engine) -> None:
        assert not found(engine, render("aws_secret_access_key = {hex:40}"), "aws-secret-access-key")


class TestAzure:
    def test_a_marked_key_is_taken_from_its_first_letter(self, engine: Engine) -> None:
        key = render("{b64:76}+ASt{b64:5}A==")
        hits = found(engine, f"key = '{key}'", "azure-storage-account-key")
        assert [hit.material.reveal().decode() for hit in hits] == [key]

    @pytest.mark.parametrize("start", ["Eby8vdM02xNOcqFlqUwJPLlm", "C2y6yDjf5/R+ob0N8A7Cgv30"])
    def test_the_published_keys_of_the_emulators_are_refused(self, engine: Engine, start: str) -> None:
        assert not found(engine, "AccountKey=" + start + render("{b64:62}=="), "azure-account-key")

    def test_a_signature_without_the_parameters_of_an_access_signature_is_refused(self, engine: Engine) -> None:
        assert not found(engine, render("https://acme.test/?sig={b62:43}%3D"), "azure-shared-access-signature")


class TestSharedPrefixes:
    def test_forty_hexadecimal_letters_are_a_key_of_paystack_and_not_of_stripe(self, engine: Engine) -> None:
        text = render("sk_live_{hex:40}")
        assert found(engine, text, "paystack-live-secret-key")
        assert not found(engine, text, "stripe-live-secret-key")

    def test_a_workos_key_is_not_one_of_stripe(self, engine: Engine) -> None:
        text = render("sk_live_a2V5Xz{b62:60}")
        assert found(engine, text, "workos-api-key")
        assert not found(engine, text, "stripe-live-secret-key")


class TestTokensKnownByAName:
    @pytest.mark.parametrize(
        "text",
        [
            "DATADOG_API_KEY={}",
            'datadogApiKey: "{}"',
            '{{"datadog": {{"api_key": "{}"}}}}',
            "datadog:\n  api_key: {}\n",
            ':datadog_api_key => "{}"',
            "const datadogApiKey: string = '{}'",
            'datadog_api_key := "{}"',
            "--datadog-api-key {}",
            "--datadog-api-key={}",
            'os.environ["DATADOG_API_KEY"] = "{}"',
            "ENV DATADOG_API_KEY {}",
            "- name: DATADOG_API_KEY\n  value: {}\n",
            '<add key="DatadogApiKey" value="{}"/>',
            "<datadog.api.key>{}</datadog.api.key>",
            '{{\\"datadog_api_key\\": \\"{}\\"}}',
            "initialize(datadog_api_key='{}')",
            "${{DATADOG_API_KEY:-{}}}",
        ],
    )
    def test_are_found_in_every_way_to_assign_them(self, engine: Engine, text: str) -> None:
        assert found(engine, text.format(render("{hex:32}")), "datadog-api-key")

    @pytest.mark.parametrize(
        "text",
        [
            "datadog==0.50.1 --hash=sha256:{}",
            "datadog checksum {}",
            "DATADOG_API_KEY=${{DATADOG_API_KEY}}",
            "datadog_api_key = settings.key  # {}",
            "DATADOG_COMMIT_SHA={}",
            "datadog_key_md5 = {}",
            "datadog_path: {}",
            "datadogAuthor = '{}'",
        ],
    )
    def test_are_not_taken_for_what_else_stands_near_the_vendor(self, engine: Engine, text: str) -> None:
        assert not found(engine, text.format(render("{hex:32}")), "datadog-api-key")
