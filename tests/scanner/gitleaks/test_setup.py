"""A configuration in action: the rules run in our engine, the policy decides on the sightings."""

import subprocess
import sys
from pathlib import Path

import pytest

from orchestra_creds.errors import ConfigError
from orchestra_creds.scanner.content.locate import locate_all
from orchestra_creds.scanner.detection import Sighting
from orchestra_creds.scanner.engine.engine import Engine, EngineKind
from orchestra_creds.scanner.gitleaks.policy import character_entropy
from orchestra_creds.scanner.gitleaks.setup import GitleaksSetup, setup
from orchestra_creds.scanner.rule import Rule, Severity

BUILT_IN = (
    Rule("generic-secret", "Generic", r"secret = [a-zA-Z0-9_]{8,40}", Severity.MEDIUM, "change it", "docs", ()),
    Rule("google-api-key", "Google API key", r"\bGAPI[a-z]{8}\b", Severity.HIGH, "restrict it", "docs", ()),
    Rule("jwt", "JWT", r"eyJ[a-z]{8}", Severity.MEDIUM, "expire it", "docs", ()),
)
ACME = "[[rules]]\nid = \"acme\"\ndescription = \"Acme\"\nregex = '''acme_([a-z0-9]{8})'''\n"
EXTEND = "[extend]\nuseDefault = true\n"


class Tree:
    """A folder with files and gitleaks' own files, scanned as a scan of a tree does."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, name: str, text: str) -> str:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return str(path)

    def setup(self, config: str = "", **options: str) -> GitleaksSetup:
        if config:
            options["config"] = self.write("conf/gitleaks.toml", config)
        return setup(BUILT_IN, root=self.root, **options)  # type: ignore[arg-type]

    def scan(self, prepared: GitleaksSetup, *, commit: str = "") -> list[Sighting]:
        engine = Engine.open(prepared.rules, kind=EngineKind.RE2)
        sightings = []
        for path in sorted(self.root.rglob("*")):
            if path.is_file():
                data = path.read_bytes()
                found = engine.settle(engine.examine(data, engine.find_hits(data)))
                where = {"commit": commit} if commit else {}
                sightings += locate_all(data, found, path.relative_to(self.root).as_posix(), **where)  # type: ignore[arg-type]
        return sightings if prepared.policy is None else prepared.policy.keep(sightings)

    def found(self, config: str = "", *, commit: str = "", **options: str) -> list[tuple[str, str]]:
        """(rule, secret) of all that a scan finds."""
        sightings = self.scan(self.setup(config, **options), commit=commit)
        return [(s.detection.rule.id, s.detection.material.reveal().decode()) for s in sightings]


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def test_without_gitleaks_files_nothing_changes(tree: Tree) -> None:
    assert tree.setup() == GitleaksSetup(BUILT_IN)


def test_without_gitleaks_files_no_reader_of_them_is_loaded(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from orchestra_creds.scanner.baseline import report; from orchestra_creds.scanner.gitleaks import setup;"
        f"setup.setup((), root=Path({str(tmp_path)!r}));"
        "print([m for m in ('tomllib', 'difflib', 'json', 're2') if m in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[]\n"


def test_a_named_configuration_brings_its_rules_alone(tree: Tree) -> None:
    tree.write("a", "acme_abcdefgh GAPIabcdefgh")
    assert tree.found(ACME) == [("acme", "abcdefgh")]


def test_use_default_means_our_rulebook(tree: Tree) -> None:
    tree.write("a", "acme_abcdefgh GAPIabcdefgh eyJabcdefgh")
    assert tree.found(EXTEND + 'disabledRules = ["jwt"]\n' + ACME) == [
        ("acme", "abcdefgh"),
        ("google-api-key", "GAPIabcdefgh"),
    ]


def test_gitleaks_own_names_mean_our_rules(tree: Tree) -> None:
    tree.write("a", "GAPIabcdefgh")
    assert tree.found(EXTEND + 'disabledRules = ["gcp-api-key"]\n') == []
    assert tree.found(EXTEND + '[[rules]]\nid = "gcp-api-key"\n[rules.allowlist]\nstopwords = ["ABCD"]\n') == []


def test_a_configuration_without_rules_keeps_ours(tree: Tree) -> None:
    tree.write("a", "GAPIabcdefgh")
    tree.write("vendor/a", "GAPIabcdefgh")
    assert tree.found("[allowlist]\npaths = ['^vendor/']\n") == [("google-api-key", "GAPIabcdefgh")]


@pytest.mark.parametrize(
    ("regex", "group", "secret"),
    [
        ("acme_(x)?([a-z]{4})", 0, "abcd"),
        ("acme_(x)?([a-z]{4})", 2, "abcd"),
        ("acme_([a-z]{2})([a-z]{2})", 1, "ab"),
        ("acme_[a-z]{4}", 0, "acme_abcd"),
    ],
)
def test_the_secret_is_the_chosen_group_or_the_first_that_is_not_empty(
    tree: Tree, regex: str, group: int, secret: str
) -> None:
    tree.write("a", "acme_abcd\n")
    assert tree.found(f"[[rules]]\nid = 'r'\nregex = '{regex}'\nsecretGroup = {group}\n") == [("r", secret)]


def test_entropy_must_be_above_the_threshold(tree: Tree) -> None:
    tree.write("a", "acme_abcdefgh\nacme_aaaaaaab\n")
    assert tree.found(ACME + "entropy = 3.0\n") == []
    assert tree.found(ACME + "entropy = 2.9\n") == [("acme", "abcdefgh")]


def test_entropy_counts_characters_but_divides_by_bytes() -> None:
    assert character_entropy(b"abcdefgh") == 3.0
    assert character_entropy("éé".encode()) == 0.5


def test_a_rule_with_a_path_looks_at_those_files_alone(tree: Tree) -> None:
    tree.write("a.cfg", "acme_abcdefgh")
    tree.write("a.txt", "acme_hgfedcba")
    assert tree.found(ACME + r"path = '\.cfg$'") == [("acme", "abcdefgh")]


def test_a_rule_of_a_path_alone_finds_names(tree: Tree) -> None:
    prepared = tree.setup("[[rules]]\nid = 'p12'\ndescription = 'Key store'\npath = '\\.p12$'\n" + ACME)
    assert [rule.id for rule in prepared.rules] == ["acme"]
    assert prepared.policy is not None
    (sighting,) = prepared.policy.detect_paths(["a.p12", "b.txt"])
    assert (sighting.detection.rule.id, sighting.place.path) == ("p12", "a.p12")


def test_a_keyword_must_stand_in_the_file(tree: Tree) -> None:
    tree.write("near", "key: acme_abcdefgh ACCOUNT")
    tree.write("far", "Account\n" + "\n" * 50 + "acme_bbbbbbbb")
    tree.write("none", "acme_cccccccc")
    assert tree.found(ACME + "keywords = ['account']\n") == [("acme", "bbbbbbbb"), ("acme", "abcdefgh")]


def test_where_a_file_cannot_be_read_again_a_missing_keyword_drops_nothing(tree: Tree) -> None:
    tree.write("a", "acme_cccccccc")
    assert tree.found(ACME + "keywords = ['account']\n", commit="a" * 40) == [("acme", "cccccccc")]


ALLOWED = "x acme_abcdefgh # marker\n"


@pytest.mark.parametrize(
    ("allowlist", "dropped"),
    [
        ("paths = ['^sub/']", True),
        ("paths = ['^other/']", False),
        ("regexes = ['^abc']", True),
        ("regexes = ['acme']", False),
        ("regexTarget = 'match'\nregexes = ['acme']", True),
        ("regexTarget = 'line'\nregexes = ['marker']", True),
        ("stopwords = ['CDE']", True),
        ("stopwords = ['marker']", False),
        ("commits = ['" + "A" * 40 + "']", True),
        ("commits = ['aaaaaaa']", False),
        ("condition = 'AND'\npaths = ['^sub/']\nstopwords = ['cde']", True),
        ("condition = '&&'\npaths = ['^sub/']\nstopwords = ['zzz']", False),
        ("condition = '||'\npaths = ['^other/']\nstopwords = ['cde']", True),
    ],
)
def test_an_allowlist_lets_pass_what_it_says(tree: Tree, allowlist: str, dropped: bool) -> None:
    tree.write("sub/a", ALLOWED)
    for head in ("[[rules.allowlists]]", "[[allowlists]]", "[allowlist]"):
        found = tree.found(f"{ACME}{head}\n{allowlist}\n", commit="a" * 40)
        assert found == ([] if dropped else [("acme", "abcdefgh")]), head


def test_target_rules_limit_a_global_allowlist(tree: Tree) -> None:
    tree.write("a", "acme_abcdefgh beta_abcdefgh")
    beta = ACME.replace("acme", "beta")
    allow = "[[allowlists]]\ntargetRules = ['acme']\npaths = ['.']\n"
    assert tree.found(ACME + beta + allow) == [("beta", "abcdefgh")]
    with pytest.raises(ConfigError, match="targetRules names nobody"):
        tree.setup(ACME + allow.replace("acme", "nobody"))


@pytest.mark.parametrize(
    ("limits", "met"),
    [
        ("", True),
        ("withinLines = 2", True),
        ("withinLines = 1", False),
        ("withinColumns = 4", True),
        ("withinColumns = 3", False),
    ],
)
def test_a_required_rule_must_have_matched_nearby(tree: Tree, limits: str, met: bool) -> None:
    tree.write("a", "acme_abcdefgh\n\n    id_12345678\n")
    tree.write("b", "acme_aaaaaaaa\n")
    required = f"[[rules.required]]\nid = 'ident'\n{limits}\n"
    ident = "[[rules]]\nid = 'ident'\nregex = 'id_[0-9]{8}'\nskipReport = true\n"
    assert tree.found(ACME + required + ident) == ([("acme", "abcdefgh")] if met else [])


def test_requiring_a_rule_that_is_not_there_is_an_error(tree: Tree) -> None:
    with pytest.raises(ConfigError, match=r"gitleaks\.toml, line 2: rule acme requires nobody"):
        tree.setup(ACME + "[[rules.required]]\nid = 'nobody'\n")


def test_a_generic_rule_gives_way_to_another_on_the_line(tree: Tree) -> None:
    tree.write("a", "key=acme_abcdefgh")
    generic = "[[rules]]\nid = 'generic-key'\nregex = 'key=[a-z]{4}_([a-z]{8})'\n"
    assert tree.found(ACME + generic) == [("acme", "abcdefgh")]


def test_tags_come_along(tree: Tree) -> None:
    tree.write("a", "acme_abcdefgh")
    (sighting,) = tree.scan(tree.setup(ACME + "tags = ['internal']\n"))
    assert sighting.detection.rule.tags == ("internal",)


def test_the_configuration_itself_is_not_reported(tree: Tree) -> None:
    tree.write("a", "x")
    assert tree.found(ACME + "# acme_abcdefgh\n") == []


def test_a_rule_without_pattern_and_equal_is_an_error_or_a_note(tree: Tree) -> None:
    bare = "[[rules]]\nid = 'unheard-of'\n"
    with pytest.raises(ConfigError, match="neither regex nor path"):
        tree.setup(bare)
    assert "has no equal here" in tree.setup(EXTEND + bare).notes[0]


def test_a_configuration_that_was_merely_found_adds_and_relaxes_nothing(tree: Tree) -> None:
    tree.write("a", "acme_abcdefgh GAPIabcdefgh secret = hunter2hunter2 eyJabcdefgh")
    tree.write(
        ".gitleaks.toml",
        EXTEND + "disabledRules = ['jwt']\n" + ACME + "[[rules]]\nid = 'jwt'\nregex = 'nothing'\n"
        "[[rules]]\nid = 'swallow'\nregex = 'acme.*'\n[rules.allowlist]\npaths = ['.']\n[[allowlists]]\npaths = ['.']\n",
    )
    assert [rule for rule, _ in tree.found()] == ["google-api-key", "generic-secret", "jwt"]
    assert "name it with --gitleaks-config" in tree.setup().notes[-1]


def test_found_rules_count_where_nothing_allows_them(tree: Tree) -> None:
    tree.write("a", "acme_abcdefgh")
    tree.write(".gitleaks.toml", ACME)
    assert tree.found() == [("acme", "abcdefgh")]
    assert tree.setup(look=False).rules == BUILT_IN  # type: ignore[arg-type]


def test_a_found_configuration_that_is_broken_stops_no_scan(tree: Tree) -> None:
    tree.write("a", "GAPIabcdefgh")
    tree.write(".gitleaks.toml", "rules = 1")
    assert tree.found() == [("google-api-key", "GAPIabcdefgh")]
    assert [(one.path, one.reason[:22]) for one in tree.setup().skipped] == [
        (".gitleaks.toml", "its rules are not used")
    ]


def test_a_found_configuration_that_is_a_link_is_not_read(tree: Tree) -> None:
    tree.write("elsewhere/real.toml", ACME)
    (tree.root / ".gitleaks.toml").symlink_to(tree.root / "elsewhere" / "real.toml")
    assert tree.setup().rules == BUILT_IN


def test_rules_of_an_added_file_stand_beside_ours(tree: Tree) -> None:
    tree.write("a", "acme_abcdefgh GAPIabcdefgh")
    added = tree.write("conf/mine.toml", ACME)
    prepared = setup(BUILT_IN, root=tree.root, added=[added])
    assert [s.detection.rule.id for s in tree.scan(prepared)] == ["acme", "google-api-key"]


def test_where_a_built_in_rule_found_the_same_it_stays(tree: Tree) -> None:
    tree.write("a", "GAPIabcdefgh\nsecret = acme_abcdefgh\n")
    wide = "[[rules]]\nid = 'wide'\nregex = '.?GAPI[a-z]+.?'\n"
    assert [rule for rule, _ in tree.found(EXTEND + wide + ACME)] == ["google-api-key", "acme"]


def test_patterns_match_bytes_of_utf8(tree: Tree) -> None:
    tree.write("a", "schlüssel=abcd")
    assert tree.found("[[rules]]\nid = 'de'\nregex = 'schlüssel=([a-z]{4})'\n") == [("de", "abcd")]


def test_both_engines_take_foreign_rules(tree: Tree) -> None:
    pytest.importorskip("hyperscan")
    text = b"acme_abcdefgh " * 3
    tree.write("a", "x")
    odd = "[[rules]]\nid = 'odd'\nregex = '''(?i)(?P<n>ACME)\\x5f[[:alnum:]]{4,}?\\z|\\Qacme_a\\E'''\n"
    rules = tree.setup(ACME + odd).rules
    fast, plain = (Engine.open(rules, kind=kind) for kind in (EngineKind.HYPERSCAN, EngineKind.RE2))
    found = [fast.settle(one.examine(text, one.find_hits(text))) for one in (fast, plain)]
    assert found[0] == found[1]
    assert {detection.rule.id for detection in found[0]}


def test_a_long_foreign_match_is_cut(tree: Tree) -> None:
    tree.write("a", "BEGIN" + "x" * 9000 + "END")
    assert tree.found("[[rules]]\nid = 'long'\nregex = 'BEGINx+END'\n") == []
    ((_, secret),) = tree.found("[[rules]]\nid = 'long'\nregex = 'BEGINx+'\n")
    assert len(secret) == 4096
