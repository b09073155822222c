"""Print how the rooms of a package import one another: rooms, floors, arrows, circles.

    .venv/bin/python scripts/import_graph.py scanner

A room is a folder of the package, or a file at its top. A floor is the length of the longest way down to a room that imports
no other. Imports inside functions and those for types count.
"""

import argparse
import ast
from collections.abc import Mapping
from functools import cache
from pathlib import Path

SRC = Path(__file__).resolve().parents[1] / "src" / "orchestra_creds"
Graph = Mapping[str, frozenset[str]]
"""For each room, the rooms that it imports."""


def room_graph(package: str) -> Graph:
    """Return the rooms of `package`, such as "scanner", with what each imports."""
    folder = SRC / package
    found: dict[str, set[str]] = {}
    for path in sorted(folder.rglob("*.py")):
        within = path.relative_to(folder)
        if within.name == "__init__.py":
            continue
        room = within.parts[0].removesuffix(".py")
        found.setdefault(room, set()).update(_imported_rooms(path, package) - {room})
    return {room: frozenset(targets & set(found)) for room, targets in found.items()}


def _imported_rooms(path: Path, package: str) -> set[str]:
    prefix = f"orchestra_creds.{package}."
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = {
        f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    return {name.removeprefix(prefix).split(".")[0] for name in names if name.startswith(prefix)}


def circles(graph: Graph) -> list[list[str]]:
    """Return every group of rooms that can reach one another."""
    reach = {room: _reachable(graph, room) for room in graph}
    groups = {
        frozenset(other for other in graph if other in reach[room] and room in reach[other]) for room in sorted(graph)
    }
    return sorted(sorted(group) for group in groups if group)


def _reachable(graph: Graph, start: str) -> set[str]:
    seen: set[str] = set()
    waiting = list(graph[start])
    while waiting:
        room = waiting.pop()
        if room not in seen:
            seen.add(room)
            waiting += graph[room]
    return seen


def floors(graph: Graph) -> list[list[str]]:
    """Return the rooms by floor, lowest first.

    Raises:
        ValueError: the graph has a circle.
    """
    if found := circles(graph):
        raise ValueError(f"a circle has no floors: {', '.join(found[0])}")

    @cache
    def floor_of(room: str) -> int:
        return 1 + max((floor_of(below) for below in graph[room]), default=-1)

    storeys: dict[int, list[str]] = {}
    for room in sorted(graph):
        storeys.setdefault(floor_of(room), []).append(room)
    return [storeys[number] for number in sorted(storeys)]


def main() -> None:
    parser = argparse.ArgumentParser(description="Show how the rooms of a package import one another.")
    parser.add_argument("package", nargs="*", default=["scanner", "emulator", "rotation"])
    for package in parser.parse_args().package:
        graph = room_graph(package)
        arrows = sum(map(len, graph.values()))
        looping = circles(graph)
        print(f"{package}: {len(graph)} rooms, {arrows} arrows, {len(looping)} circles", end="")
        if looping:
            print(*(f"\n  circle: {', '.join(group)}" for group in looping), sep="")
            continue
        storeys = floors(graph)
        print(f", {len(storeys)} floors")
        for number in range(len(storeys) - 1, -1, -1):
            print(f"  {number + 1}  {', '.join(storeys[number])}")


if __name__ == "__main__":
    main()
