"""Our block in a crontab: text in, text out. Every other line stays as it is, where it is."""

from orchestra_creds.errors import ConfigError
from orchestra_creds.schedule.entry import ScheduleEntry


def block(wanted: ScheduleEntry) -> list[str]:
    """Its lines. A percent sign would end the command in a crontab, so it is escaped (man 5 crontab)."""
    begin, end = _marks(wanted.project)
    return [begin, f"{wanted.minute} {wanted.hour} * * * {wanted.line.replace('%', chr(92) + '%')}", end]


def without_block(text: str, project: str) -> str:
    """Return the crontab without our block for this project.

    Raises:
        ConfigError: the block was changed by hand, so that other lines may be in it.
    """
    lines = text.split("\n")
    for start, end in reversed(_blocks(lines, project)):
        del lines[start:end]
    return "\n".join(lines)


def with_entry(text: str, wanted: ScheduleEntry) -> str:
    """Return the crontab with our block: in its old place, or at the end.

    Only a line feed ends a line, as for cron itself. If the last line has none, it is still missing at the end of the result.

    Raises:
        ConfigError: the block was changed by hand, so that other lines may be in it.
    """
    blocks = _blocks(text.split("\n"), wanted.project)
    lines = without_block(text, wanted.project).split("\n")
    place = blocks[0][0] if blocks else len(lines) - (lines[-1] == "")
    return "\n".join([*lines[:place], *block(wanted), *lines[place:]])


def block_line(text: str, project: str) -> str:
    """The line of our block, or empty."""
    begin, end = _marks(project)
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    if begin not in lines or end not in lines:
        return ""
    return "\n".join(lines[lines.index(begin) + 1 : lines.index(end)])


def _blocks(lines: list[str], project: str) -> list[tuple[int, int]]:
    """Return where our blocks begin and end (exclusive); an editor may have added carriage returns to them."""
    begin, end = _marks(project)
    plain = [line.removesuffix("\r") for line in lines]
    blocks = []
    for start in (number for number, line in enumerate(plain) if line == begin):
        inside = plain[start + 1 : start + 3]
        if end not in inside:
            raise ConfigError(
                f"the block of orchestra-creds for {project} in the crontab was changed by hand",
                hint=f"with crontab -e, leave one line between `{begin}` and `{end}`, or remove both; nothing was changed",
            )
        blocks.append((start, start + inside.index(end) + 2))
    return blocks


def _marks(project: str) -> tuple[str, str]:
    return f"# orchestra-creds {project}: begin (orchestra-creds schedule)", f"# orchestra-creds {project}: end"
