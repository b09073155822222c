"""What a plan of `setup` costs over many secrets: time, calls by kind, memory.

The project is brought about first, in one process with the embedded cloud's handlers over loopback; then `setup --check` is timed as an
operator runs it. Each secret stands in three environments.
"""

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from benchmarks import page
from benchmarks.clouds import cloud

HEAD = """
[environments.dev]
[environments.staging]
[environments.prod]
[service_accounts.reader-one]
[rotation.monthly]
kind = "generated"
every = "30d"
"""
ONE = '[secrets.s{number:05}]\nenvironments = ["dev", "staging", "prod"]\nrotation = "monthly"\nconsumers = ["reader-one"]\n'


def main() -> None:
    """Measure and print (or write into a page) one table."""
    parser = argparse.ArgumentParser(prog="scripts/bench setup", description=__doc__)
    parser.add_argument("--sizes", default="10,100,1000", help="secrets, each in three environments")
    parser.add_argument("--write", type=Path, help="a page with marks for `setup`; the table goes there")
    options = parser.parse_args()
    text = measured([int(size) for size in options.sizes.split(",")])
    if options.write:
        page.replace(options.write, "setup", text)
    else:
        print(text)


def measured(sizes: Sequence[int]) -> str:
    """One row a size."""
    rows: list[Sequence[object]] = [
        (
            "secrets x environments",
            "apply (s)",
            "check (s)",
            "list calls",
            "policy reads",
            "other reads",
            "changing calls",
            "memory (MiB)",
        )
    ]
    for size in sizes:
        text = HEAD + "".join(ONE.format(number=number) for number in range(size))
        with cloud(text) as here:
            applied, answer, _ = here.run("setup", "--yes", "--allow-widening")
            assert {change["ending"] for change in answer["changes"]} == {"done"}
            before = len(here.audit())
            seconds, answer, peak = here.run("setup", "--check")
            assert answer["drifted"] is False
            entries = here.audit()[before:]
            names = Counter(entry.method.rpartition("/")[2] for entry in entries)
            lists = sum(count for name, count in names.items() if name.startswith("List"))
            policies = names["GetIamPolicy"]
            changing = sum(entry.mutating for entry in entries)
            others = len(entries) - lists - policies - changing
            rows.append(
                (
                    f"{size} x 3",
                    f"{applied:.1f}",
                    f"{seconds:.1f}",
                    lists,
                    policies,
                    others,
                    changing,
                    f"{peak / 2**20:.0f}",
                )
            )
    return page.table(rows)


if __name__ == "__main__":
    main()
