"""gitleaks' configuration (v8) read strictly: what its file says, with `extend` followed, as data.

Keys are case-insensitive. An unknown key, a wrong type or an invalid pattern is an error with the file, the line where it
can be told, and the nearest known key; patterns and stopwords are never quoted, for people put real values there.
Patterns are read as bytes, in RE2's syntax as gitleaks reads them. docs/gitleaks.md lists every difference.
"""

import difflib
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

from orchestra_creds.core.text import visible
from orchestra_creds.errors import ConfigError
from orchestra_creds.scanner.gitleaks.allowlist import Allowlist
from orchestra_creds.scanner.libraries import Regex, re2, re2_options
from orchestra_creds.textfile import read_text, toml_error_line

DEPTH = 2
"""How many `extend.path` are followed one after another, as gitleaks does."""

SUPPORTED = (8, 30)
"""The version of gitleaks whose configuration this module knows."""


@dataclass(frozen=True, slots=True)
class RequiredRule:
    """Another rule that must have matched in the same file, at most so many lines and columns away (None: anywhere)."""

    id: str
    within_lines: int | None = None
    within_columns: int | None = None


@dataclass(frozen=True, slots=True)
class ForeignRule:
    """One `[[rules]]` entry. "" and 0 mean "not said": an extended rule then keeps its own."""

    id: str
    description: str = ""
    regex: str = ""
    path: str = ""
    secret_group: int = 0
    entropy: float = 0.0
    keywords: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    skip_report: bool = False
    allowlists: tuple[Allowlist, ...] = ()
    required: tuple[RequiredRule, ...] = ()
    where: str = ""

    def over(self, base: "ForeignRule") -> "ForeignRule":
        """This rule laid over the one that it extends."""
        return replace(
            self,
            description=self.description or base.description,
            regex=self.regex or base.regex,
            path=self.path or base.path,
            secret_group=self.secret_group or base.secret_group,
            entropy=self.entropy or base.entropy,
            keywords=(*base.keywords, *self.keywords),
            tags=(*base.tags, *self.tags),
            skip_report=self.skip_report or base.skip_report,
            allowlists=(*base.allowlists, *self.allowlists),
            required=self.required or base.required,
        )


@dataclass(frozen=True, slots=True)
class GitleaksConfig:
    """A configuration with its `extend.path` merged in; `use_default` asks for the built-in rules beside its own."""

    name: str
    rules: Mapping[str, ForeignRule] = field(default_factory=dict)
    allowlists: tuple[Allowlist, ...] = ()
    use_default: bool = False
    disabled: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()


def load(path: Path, *, follow: bool = True, depth: int = 0, most: int = 0) -> GitleaksConfig:
    """The configuration in a file of at most `most` bytes (0: any); `follow=False` leaves `extend.path` alone and says so.

    Raises:
        NotFoundError: there is no such file.
        ConfigError: it cannot be read, is larger, or is no configuration: file, line, and the nearest known key.
    """
    text = read_text(path, hint="name a gitleaks configuration file", most=most)
    return loads(text, str(path), folder=path.parent if follow else None, depth=depth)


def loads(text: str, name: str, *, folder: Path | None = None, depth: int = 0) -> GitleaksConfig:
    """The configuration in `text`; `extend.path` is relative to `folder`, and not followed without one.

    Raises:
        ConfigError: it is no configuration: file, line, and the nearest known key.
    """
    try:
        body = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise ConfigError(
            f"{name}, line {toml_error_line(text)}: not valid TOML", hint="check quotes and brackets there"
        ) from None
    except RecursionError:
        raise ConfigError(f"{name}: nested too deep", hint="a configuration of gitleaks has three levels") from None
    lines = text.splitlines()
    top = _TomlTable(body, name, lines, range(len(lines)))
    top.check_keys("title", "description", "minversion", "extend", "rules", "allowlists", "allowlist")
    top.string("title"), top.string("description")
    rules = {rule.id: rule for rule in map(_rule, top.tables("rules"))}
    config = GitleaksConfig(name, rules, _allowlists(top, everywhere=True), notes=_version_notes(top))
    return _apply_extend(config, top.table("extend"), folder, depth)


def _apply_extend(
    config: GitleaksConfig, extend: "_TomlTable | None", folder: Path | None, depth: int
) -> GitleaksConfig:
    if extend is None:
        return config
    extend.check_keys("path", "usedefault", "disabledrules", "url")
    path, use_default = extend.string("path"), extend.boolean("usedefault")
    notes = list(config.notes)
    if path and use_default:
        extend.fail("extend.path and extend.useDefault exclude each other", "usedefault", hint="keep one of them")
    if extend.string("url"):
        notes.append(f"{config.name}: extend.url is not followed")
    disabled = frozenset(extend.strings("disabledrules"))
    base = GitleaksConfig(config.name, use_default=use_default)
    if path and folder is None:
        notes.append(f"{config.name}: extend.path is followed only when the configuration is named on the command line")
    elif path and depth >= DEPTH:
        notes.append(f"{config.name}: extend.path is not followed more than {DEPTH} times")
    elif path and folder is not None:
        base = load(folder / path, depth=depth + 1)
    rules = {id_: rule for id_, rule in base.rules.items() if id_ not in disabled}
    for id_, rule in config.rules.items():
        rules[id_] = rule.over(rules[id_]) if id_ in rules else rule
    return GitleaksConfig(
        config.name,
        rules,
        (*config.allowlists, *base.allowlists),
        base.use_default,
        disabled | base.disabled,
        (*notes, *base.notes),
    )


def _version_notes(top: "_TomlTable") -> tuple[str, ...]:
    wanted = re.match(r"v?(\d+)\.(\d+)", top.string("minversion"))
    if wanted and (int(wanted[1]), int(wanted[2])) > SUPPORTED:
        return (f"{top.name}: written for gitleaks {wanted[0]}, read as {SUPPORTED[0]}.{SUPPORTED[1]}",)
    return ()


def _rule(table: "_TomlTable") -> ForeignRule:
    table.check_keys(
        "id", "description", "regex", "path", "secretgroup", "entropy", "keywords", "tags", "skipreport", "allowlists",
        "allowlist", "required",
    )  # fmt: skip
    id_ = table.string("id").strip()
    if not id_:
        table.fail("a rule needs an id", "id", hint='add a line `id = "my-rule"`')
    regex, group = table.string("regex"), table.integer("secretgroup")
    groups = table.pattern("regex", regex) if regex else None
    if group < 0 or (groups is not None and group > groups):
        table.fail(f"rule {visible(id_)}: secretGroup is {group}, but regex has {groups} groups", "secretgroup")
    if path := table.string("path"):
        table.pattern("path", path)
    return ForeignRule(
        id=id_,
        description=table.string("description"),
        regex=regex,
        path=path,
        secret_group=group,
        entropy=table.number("entropy"),
        keywords=tuple(word.lower() for word in table.strings("keywords")),
        tags=table.strings("tags"),
        skip_report=table.boolean("skipreport"),
        allowlists=_allowlists(table, everywhere=False),
        required=tuple(map(_required_rule, table.tables("required"))),
        where=table.where("id"),
    )


def _required_rule(table: "_TomlTable") -> RequiredRule:
    table.check_keys("id", "withinlines", "withincolumns")
    id_ = table.string("id").strip()
    if not id_:
        table.fail("a required rule needs an id", "id")

    def within(key: str) -> int | None:
        return table.integer(key) if key in table.values else None

    return RequiredRule(id_, within("withinlines"), within("withincolumns"))


def _allowlists(table: "_TomlTable", *, everywhere: bool) -> tuple[Allowlist, ...]:
    old = table.values.get("allowlist")
    if old is not None and "allowlists" in table.values:
        table.fail("[allowlist] and [[allowlists]] exclude each other", "allowlist", hint="keep [[allowlists]]")
    tables = table.tables("allowlists" if old is None else "allowlist")
    return tuple(_allowlist(item, everywhere=everywhere) for item in tables)


def _allowlist(table: "_TomlTable", *, everywhere: bool) -> Allowlist:
    keys = ("description", "condition", "commits", "paths", "regextarget", "regexes", "stopwords")
    table.check_keys(*keys, *(("targetrules",) if everywhere else ()))
    table.string("description")
    condition = table.string("condition").upper()
    if condition not in {"", "OR", "||", "AND", "&&"}:
        table.fail("condition must be OR or AND", "condition")
    target = table.string("regextarget").lower() or "secret"
    if target not in {"secret", "match", "line"}:
        table.fail("regexTarget must be secret, match or line", "regextarget")
    allowlist = Allowlist(
        all_of=condition in {"AND", "&&"},
        commits=frozenset(commit.lower() for commit in table.strings("commits")),
        paths=table.patterns("paths"),
        target=target,
        regexes=table.patterns("regexes"),
        stopwords=tuple(word.lower().encode() for word in table.strings("stopwords") if word),
        rules=frozenset(table.strings("targetrules")) if everywhere else frozenset(),
    )
    if not (allowlist.commits or allowlist.paths or allowlist.regexes or allowlist.stopwords):
        table.fail("an allowlist needs commits, paths, regexes or stopwords", "description")
    return allowlist


def bytewise(pattern: str) -> str:
    """The pattern as our engines take it: one character for each byte of its UTF-8 text."""
    return pattern.encode("utf-8", "surrogatepass").decode("latin-1")


class _TomlTable:
    """A TOML table with case-insensitive keys, which knows where it stands in the file."""

    def __init__(
        self,
        values: Mapping[str, Any],
        name: str,
        lines: list[str],
        block: range,
        found: dict[tuple[str, range], int | None] | None = None,
    ) -> None:
        self._found = {} if found is None else found  # lines of keys that were looked for, for all tables of the file
        self.values = {key.lower(): value for key, value in values.items()}
        self._written = {key.lower(): key for key in values}
        self.name, self._lines, self._block = name, lines, block

    def check_keys(self, *keys: str) -> None:
        for key in sorted(set(self.values) - set(keys)):
            near = difflib.get_close_matches(key, keys, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(keys))}"
            self.fail(f"unknown key {visible(self._written[key])!r}", key, hint=hint)

    def string(self, key: str) -> str:
        return str(self._get(key, str, "", "text in quotes"))

    def boolean(self, key: str) -> bool:
        return bool(self._get(key, bool, False, "true or false"))

    def integer(self, key: str) -> int:
        return int(self._get(key, int, 0, "a whole number"))

    def number(self, key: str) -> float:
        return float(self._get(key, int | float, 0.0, "a number"))

    def strings(self, key: str) -> tuple[str, ...]:
        values = self._get(key, list, [], "a list of texts")
        if not all(isinstance(value, str) for value in values):
            self.fail(f"{key} must be a list of texts", key)
        return tuple(values)

    def table(self, key: str) -> "_TomlTable | None":
        value = self._get(key, dict, None, "a table")
        return None if value is None else self._children([value], key)[0]

    def tables(self, key: str) -> list["_TomlTable"]:
        """The tables of an array, or the single table that older files write."""
        value = self._get(key, list | dict, [], "an array of tables")
        items = [value] if isinstance(value, dict) else value
        if not all(isinstance(item, dict) for item in items):
            self.fail(f"{key} must be an array of tables", key)
        return self._children(items, key)

    def pattern(self, key: str, text: str) -> int:
        """Check a pattern; returns the number of its groups."""
        compiled = re2().RE2(bytewise(text).encode("latin-1"), re2_options())
        if not compiled.ok():
            self.fail(
                f"{key} is not a pattern that RE2 reads", key, hint="RE2 has no look-around and no back-references"
            )
        if key == "regex" and Regex(bytewise(text)).search(b"", 0, 0) is not None:
            self.fail("regex matches the empty text", key, hint="it would match everywhere: demand one character")
        return int(compiled.NumberOfCapturingGroups())

    def patterns(self, key: str) -> tuple[Regex, ...]:
        texts = self.strings(key)
        for text in texts:
            self.pattern(key, text)
        return tuple(Regex(bytewise(text)) for text in texts)

    def where(self, key: str) -> str:
        """File and line of a key, of the table's head where the key cannot be found, or the file alone."""
        if (key, self._block) not in self._found:
            self._found[key, self._block] = self._find_line(key)
        line = self._found[key, self._block]
        if line is None and self._block and self._block.start > 0:
            line = self._block.start - 1
        return self.name if line is None else f"{self.name}, line {line + 1}"

    def _find_line(self, key: str) -> int | None:
        """Return the first line that sets a key, or opens a table of its name; None if there is none."""
        pattern = re.compile(
            rf"\s*[\"']?{re.escape(key)}[\"']?\s*=|\s*\[+\s*([\w.]+\.)?{re.escape(key)}\s*\]", re.IGNORECASE
        )
        return next((at for at in self._block if pattern.match(self._lines[at])), None)

    def fail(self, problem: str, key: str, *, hint: str = "docs/gitleaks.md lists all keys") -> NoReturn:
        raise ConfigError(f"{self.where(key)}: {problem}", hint=hint)

    def _get(self, key: str, kind: Any, default: Any, wanted: str) -> Any:
        value = self.values.get(key, default)
        wrong_bool = isinstance(value, bool) and kind is not bool
        if value is not default and (wrong_bool or not isinstance(value, kind)):
            self.fail(f"{self._written[key]} must be {wanted}", key)
        return value

    def _children(self, items: Sequence[Mapping[str, Any]], key: str) -> list["_TomlTable"]:
        """The tables below `key`; the lines of each are those behind the head that names it for the n-th time."""
        head = re.compile(rf"\s*\[+\s*([\w.]+\.)?{key}\s*\]", re.IGNORECASE)
        heads = [at for at in self._block if head.match(self._lines[at])] if items else []
        blocks = [self._block_after(at) for at in heads[: len(items)]]
        blocks += [self._block] * (len(items) - len(blocks))  # written inline
        return [
            _TomlTable(values, self.name, self._lines, block, self._found)
            for values, block in zip(items, blocks, strict=True)
        ]

    def _block_after(self, head: int) -> range:
        """Return the lines of the table that a line opens."""
        depth, inside = _depth(self._lines[head]), range(head + 1, self._block.stop)
        return range(head + 1, next((at for at in inside if 0 < _depth(self._lines[at]) <= depth), inside.stop))


def _depth(line: str) -> int:
    """How deep the table is that this line opens: 1 for [a] and [[a]], 2 for [[a.b]], 0 for any other line."""
    head = re.match(r"\s*\[{1,2}\s*([\w.]+)\s*\]{1,2}\s*(#.*)?$", line)
    return head[1].count(".") + 1 if head else 0
