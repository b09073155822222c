"""The rooms of the scanner build on one another without a circle."""

import pytest

import import_graph


def test_the_scanner_has_no_circle_and_at_most_nine_floors() -> None:
    graph = import_graph.room_graph("scanner")
    assert len(graph) >= 15
    assert import_graph.circles(graph) == []
    assert len(import_graph.floors(graph)) <= 9


def test_git_knows_no_gitleaks_and_no_baseline() -> None:
    assert not import_graph.room_graph("scanner")["git"] & {"gitleaks", "baseline"}


def test_a_circle_is_found_however_long() -> None:
    graph = {"a": frozenset({"b"}), "b": frozenset({"c"}), "c": frozenset({"a"}), "d": frozenset({"a"})}
    assert import_graph.circles(graph) == [["a", "b", "c"]]
    with pytest.raises(ValueError, match="a circle"):
        import_graph.floors(graph)


def test_a_floor_is_the_longest_way_down() -> None:
    graph = {"top": frozenset({"low", "middle"}), "middle": frozenset({"low"}), "low": frozenset[str]()}
    assert import_graph.floors(graph) == [["low"], ["middle"], ["top"]]


def test_the_emulator_has_no_circle_and_its_rooms_know_no_server() -> None:
    graph = import_graph.room_graph("emulator")
    assert len(graph) >= 15
    assert import_graph.circles(graph) == []
    assert [room for room in graph if "server" in graph[room]] == []
    assert [room for room in graph if "services" in graph[room]] == ["server"]
    assert graph["protocol"] == {"store"}
