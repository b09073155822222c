import io

from orchestra_creds.core.progress import NoProgress
from orchestra_creds.render.progress import LineProgress, progress_on


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def progress(clock: Clock, width: int = 80) -> tuple[LineProgress, io.StringIO]:
    stream = io.StringIO()
    return LineProgress(stream, "file", clock=clock, width=lambda: width), stream


def test_nothing_is_drawn_off_a_terminal() -> None:
    assert isinstance(progress_on(io.StringIO(), "file"), NoProgress)
    assert isinstance(progress_on(None, "file"), NoProgress)


def test_a_short_job_draws_nothing() -> None:
    clock = Clock()
    one, stream = progress(clock)
    one.start(items=100, size=1000)
    clock.now = 0.4
    one.advance(items=100, size=1000)
    one.finish()
    assert stream.getvalue() == ""


def test_the_line_tells_items_bytes_findings_and_the_time_left() -> None:
    clock = Clock()
    one, stream = progress(clock)
    one.start(items=1000, size=4_000_000)
    one.add_findings(2)
    clock.now = 3.0
    one.advance(items=300, size=1_000_000)
    assert stream.getvalue() == "\r300 of 1,000 files, 1.0 MB, 2 findings, 9.0 s left\x1b[K"


def test_what_comes_first_is_told_at_once_and_gone_when_the_job_is_over() -> None:
    one, stream = progress(Clock())
    one.announce("compiling 540 rules")
    assert stream.getvalue() == "\rcompiling 540 rules\x1b[K"
    one.start(items=1, size=1)
    one.finish()
    assert stream.getvalue().endswith("\r\x1b[K\r")


def test_where_the_end_is_unknown_no_time_is_promised() -> None:
    clock = Clock()
    one, stream = progress(clock)
    one.start(items=None, size=None)
    clock.now = 1.0
    one.advance(items=1, size=10)
    assert stream.getvalue() == "\r1 file, 10 B, 0 findings\x1b[K"


def test_pictures_are_at_most_ten_a_second_and_gone_at_the_end() -> None:
    clock = Clock()
    one, stream = progress(clock)
    one.start(items=None, size=None)
    for tick in range(100):
        clock.now = 1.0 + tick / 100
        one.advance(items=1)
    assert 9 <= stream.getvalue().count("file") <= 11
    one.finish()
    assert stream.getvalue().endswith("\r\x1b[K\r")


def test_the_line_is_cut_to_the_terminal() -> None:
    clock = Clock()
    one, stream = progress(clock, width=10)
    one.start(items=None, size=None)
    clock.now = 1.0
    one.advance(items=1)
    assert stream.getvalue() == "\r1 file, 0\x1b[K"


def test_a_terminal_that_went_away_ends_no_scan() -> None:
    clock = Clock()
    one, stream = progress(clock)
    one.start(items=None, size=None)
    stream.close()
    clock.now = 1.0
    one.advance(items=1)
    clock.now = 2.0
    one.advance(items=1)
    one.finish()
