"""`schedule` for runners that are not on this machine: a Cloud Run job, and a workflow of GitHub Actions."""

import os
from dataclasses import dataclass
from pathlib import Path

from orchestra_creds import outfile
from orchestra_creds.bootstrap import setup as making
from orchestra_creds.bootstrap.cloud import Cloud
from orchestra_creds.bootstrap.declarations import only_in_file
from orchestra_creds.cli.session import confirm, write_stdout
from orchestra_creds.core.resources import Resource, ResourceKind
from orchestra_creds.core.result import Result
from orchestra_creds.core.text import os_error_text
from orchestra_creds.errors import ConfigError
from orchestra_creds.render import setup as show
from orchestra_creds.schedule import workflow as workflows
from orchestra_creds.schedule.entry import ScheduleEntry
from orchestra_creds.schedule.install import UNIT_MODE, Installation
from orchestra_creds.setup.runner import cloud_run_job as runner
from orchestra_creds.setup.runner import existing_resources, remove


@dataclass(frozen=True, slots=True)
class RemoteOptions:
    """What the two runners are told beside the time."""

    identity: str = ""
    image: str = ""
    region: str = ""
    provider: str = ""
    environment: str = ""
    output: str = ""
    ping_url: str = ""
    yes: bool = False
    lock: str = workflows.LOCK
    config: str = ""
    from_labels: bool = False


def file_in_checkout(path: str) -> str:
    """Return the path of a file relative to the working folder, the repository's top, with slashes; "" if it lies elsewhere."""
    if not path:
        return ""
    relative = os.path.relpath(os.path.realpath(path), os.path.realpath("."))
    return "" if relative.startswith(os.pardir) or os.path.isabs(relative) else Path(relative).as_posix()


def require_labels(cloud: Cloud, runner: str) -> None:
    """Refuse a runner that will not have the file if it would leave credentials of the file unrotated.

    Raises:
        ConfigError: credentials are declared only in the file.
    """
    names = only_in_file(cloud)
    if names:
        raise ConfigError(
            f"{runner} will not have {cloud.settings.path}, and only that declares {', '.join(names)}",
            hint="label their secrets with the same (docs/rotation.md), or use a machine with the file: --runner crontab",
        )


def cloud_run_job(cloud: Cloud, wanted: ScheduleEntry, remote: RemoteOptions) -> Result:
    """Look, ask, make the job and its schedule, and prove them; a second time changes nothing."""
    options = ("--jitter", "5m", *(("--ping-url", remote.ping_url) if remote.ping_url else ()))
    desired = runner(
        cloud.project,
        image=remote.image,
        identity=remote.identity,
        region=remote.region,
        cron=f"{wanted.minute} {wanted.hour} * * *",
        arguments=("rotate", "--due", "--from-labels", "--backend", "gcp", "--project", cloud.project, *options),
    )
    found = making.make_run_plan(cloud, desired, remote.identity)
    if not found.work:
        return show.plan(found)
    confirm(f"make {len(found.work)} changes in project {found.project}?", yes=remote.yes)
    endings = making.apply_plan(cloud, found, lambda: making.make_run_plan(cloud, desired, remote.identity))
    return show.apply_result(found.project, list(endings))


def print_workflow(wanted: ScheduleEntry, remote: RemoteOptions) -> None:
    """Print the workflow, and write no file."""
    write_stdout(_workflow_text(wanted, remote))


def _workflow_text(wanted: ScheduleEntry, remote: RemoteOptions) -> str:
    return workflows.workflow(
        wanted,
        provider=remote.provider,
        identity=remote.identity,
        environment=remote.environment,
        lock=remote.lock,
        requirements=_lock_text(remote.lock),
        config=remote.config,
        from_labels=remote.from_labels or not remote.config,
    )


def _lock_text(lock: str) -> str:
    text = _text(Path(lock))
    if text is None:
        raise ConfigError(
            f"there is no {lock}",
            hint="the workflow installs what it names by hash, orchestra-creds included; docs/cron.md shows how to make it",
        )
    return text


def workflow(wanted: ScheduleEntry, remote: RemoteOptions) -> Installation:
    """Write the workflow, whole or not at all; one that a person changed is replaced only with `--yes`."""
    text = _workflow_text(wanted, remote)
    path = Path(remote.output or workflows.FILE)
    there = _text(path)
    if there is not None and there != text and not remote.yes:
        raise ConfigError(f"{path} holds something else", hint="compare them, then replace it with --yes")
    if there != text:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"cannot make {path.parent}: {os_error_text(error)}") from None
        outfile.write(str(path), text, mode=UNIT_MODE)
    when = f"daily at {wanted.hour:02}:{wanted.minute:02} UTC as {remote.identity}"
    return Installation("github-actions", str(path), when, changed=there != text)


def find_job(cloud: Cloud, region: str) -> list[Installation]:
    """The job in the project, or nothing."""
    return _installations(existing_resources(making.run_stores(cloud), region))


def remove_job(cloud: Cloud, region: str, *, yes: bool) -> list[Installation]:
    """Delete the schedule, then the job, when both are ours; what was there."""
    stores = making.run_stores(cloud)
    found = existing_resources(stores, region)
    if found:
        confirm(f"delete {' and '.join(str(one.ref) for one in found)} in project {cloud.project}?", yes=yes)
        remove(stores, found)
    return _installations(found)


def _installations(found: list[Resource]) -> list[Installation]:
    description = {
        ResourceKind.SCHEDULE: lambda f: (
            f"{f['cron']} {f['zone']} as {f['identity']}" + (", paused" if f["paused"] else "")
        ),
        ResourceKind.JOB: lambda f: f"{f['image']} {' '.join(f['arguments'])}",
    }
    return [Installation("cloud-run-job", str(one.ref), description[one.ref.kind](one.fields)) for one in found]


def find_workflow(project: str, output: str) -> list[Installation]:
    """The workflow for a project, in the working folder or where `--output` says, or nothing."""
    path = Path(output or workflows.FILE)
    text = _text(path)
    if text is None or not workflows.is_ours(text, project):
        return []
    return [Installation("github-actions", str(path), workflows.schedule_of(text))]


def remove_workflow(project: str, output: str, *, yes: bool) -> list[Installation]:
    """Remove that file; git has it still, when it was ever committed."""
    found = find_workflow(project, output)
    if found:
        confirm(f"remove {found[0].where}?", yes=yes)
        Path(found[0].where).unlink(missing_ok=True)
    return found


def _text(path: Path) -> str | None:
    """What a file holds; None when there is none. What cannot be read as text is something else than our workflow."""
    try:
        return path.read_bytes().decode("utf-8", "replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {os_error_text(error)}") from None
