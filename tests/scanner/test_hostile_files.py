"""Whatever stands in a file of accepted findings or a configuration: it is read, or it is a ConfigError; nothing else."""

import json
from contextlib import suppress

from hypothesis import example, given
from hypothesis import strategies as st

from orchestra_creds.errors import ConfigError
from orchestra_creds.scanner.baseline import file as baseline_file
from orchestra_creds.scanner.gitleaks import accepted as gitleaks_accepted
from orchestra_creds.scanner.gitleaks import config as gitleaks_config

WORDS = st.sampled_from(
    ["rules", "id", "regex", "allowlists", "allowlist", "extend", "path", "required", "keywords", "paths", "entropy",
     "secretGroup", "condition", "useDefault", "title", "regexes", "tags"]
)  # fmt: skip
SCALARS = st.one_of(st.sampled_from(['"a"', '"("', "1", "-1", "1.5", "true", "[]", '["a"]', "[1]", "{}", '"AND"']))
LINES = st.one_of(
    st.builds("[[{}]]".format, WORDS),
    st.builds("[{}.{}]".format, WORDS, WORDS),
    st.builds("[[rules.{}]]".format, WORDS),
    st.builds("{} = {}".format, WORDS, SCALARS),
)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=6,
)
FIELDS = ["fingerprint", "credential", "rule", "path", "reason", "author", "date", "expires"]


@given(st.lists(LINES, max_size=8).map("\n".join))
@example("[rules]\nid = 1")
def test_any_configuration_is_read_or_refused(text: str) -> None:
    with suppress(ConfigError):
        gitleaks_config.loads(text, "g.toml")


@given(st.lists(st.one_of(JSON, st.dictionaries(st.sampled_from(FIELDS), JSON)), max_size=3))
def test_any_list_of_entries_is_read_or_refused(findings: list[object]) -> None:
    body = {"schema": baseline_file.SCHEMA, "key": "0" * 16, "findings": findings}
    with suppress(ConfigError):
        baseline_file.loads(json.dumps(body))


@given(st.text())
def test_any_text_is_a_baseline_a_report_or_refused(text: str) -> None:
    with suppress(ConfigError):
        baseline_file.loads(text)
    with suppress(ConfigError):
        gitleaks_accepted.parse_report(text, "r.json")
    with suppress(ConfigError):
        gitleaks_accepted.parse_ignore(text)


@given(
    st.lists(st.dictionaries(st.sampled_from(["File", "RuleID", "StartLine", "Commit", "Secret"]), JSON), max_size=3)
)
def test_any_array_is_a_report_or_refused(rows: list[object]) -> None:
    with suppress(ConfigError):
        gitleaks_accepted.parse_report(json.dumps(rows), "r.json")
