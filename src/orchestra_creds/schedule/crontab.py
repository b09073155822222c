"""Our block in a crontab: text in, text out. Every other line stays as it is, where it is."""

from orchestra_creds.schedule.entry import Entry


def block(wanted: Entry) -> list[str]:
    """Its lines. A percent sign would end the command in a crontab, so it is escaped (man 5 crontab)."""
    begin, end = _marks(wanted.project)
    return [begin, f"{wanted.minute} {wanted.hour} * * * {wanted.line.replace('%', chr(92) + '%')}", end]


def without(text: str, project: str) -> str:
    """The crontab without our block for this project."""
    begin, end = _marks(project)
    kept, inside = [], False
    for line in text.splitlines():
        inside = inside or line == begin
        if not inside:
            kept.append(line)
        inside = inside and line != end
    return "".join(line + "\n" for line in kept)


def with_entry(text: str, wanted: Entry) -> str:
    """The crontab with our block: in its old place, or at the end."""
    begin, _ = _marks(wanted.project)
    lines = text.splitlines()
    rest = without(text, wanted.project).splitlines()
    place = lines.index(begin) if begin in lines else len(rest)
    return "".join(line + "\n" for line in [*rest[:place], *block(wanted), *rest[place:]])


def found(text: str, project: str) -> str:
    """The line of our block, or empty."""
    begin, end = _marks(project)
    lines = text.splitlines()
    if begin not in lines or end not in lines:
        return ""
    return "\n".join(lines[lines.index(begin) + 1 : lines.index(end)])


def _marks(project: str) -> tuple[str, str]:
    return f"# orchestra-creds {project}: begin (orchestra-creds schedule)", f"# orchestra-creds {project}: end"
