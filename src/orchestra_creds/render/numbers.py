"""Numbers in words. Imports nothing: the first look at staged changes says its one sentence with this module alone."""


def count(number: int, noun: str) -> str:
    """`1 file`, `2,000 files`, `3 repositories`."""
    if number == 1:
        return f"1 {noun}"
    return f"{number:,} {noun[:-1]}ies" if noun.endswith("ry") else f"{number:,} {noun}s"


def size(number: float) -> str:
    """Bytes in powers of 1000: `999 B`, `1.5 MB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"


def seconds(number: float) -> str:
    """A span of time: `0.4 s`, `12 s`, `3 min 05 s`."""
    if number < 10:
        return f"{number:.1f} s"
    minutes, rest = divmod(round(number), 60)
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def scan_extent(things: str, size_: int, seconds_: float) -> str:
    """What a scan has looked at: `2 files, 52 B, 0.0 s`."""
    return f"{things}, {size(size_)}, {seconds(seconds_)}"


def nothing_scanned(noun: str) -> str:
    """The sentence on a scan that had nothing to look at: it proves nothing."""
    return f"nothing was scanned: there is no {noun} to look at"


def clean(files: int, size_: int, seconds_: float) -> str:
    """The sentence on a scan of files that found nothing, missed nothing and hid nothing."""
    if not files:
        return nothing_scanned("file")
    return f"no credentials found ({scan_extent(count(files, 'file'), size_, seconds_)})"
