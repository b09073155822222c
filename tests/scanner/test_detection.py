from orchestra_creds.core.material import Material
from orchestra_creds.scanner.detection import Detection
from tests.scanner.trees import RULE


def test_a_shifted_detection_reads_no_further_than_the_blob() -> None:
    found = Detection(RULE, 10, 20, 4, 30, Material(b"x"), RULE.confidence, ("base64",), "note")
    moved = found.shift(5)
    assert (moved.start, moved.end, moved.read_from, moved.read_to) == (15, 25, 9, 35)
    assert moved.shift(-5) == found
    back = found.shift(-6, 22)
    assert (back.start, back.end, back.read_from, back.read_to) == (4, 14, 0, 22)
