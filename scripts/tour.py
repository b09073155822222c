"""The quickstart's transcript: made-up credentials in a throw-away repository are found, and declared ones are rotated as time passes.

Every command is the installed `orchestra-creds`, run as an operator would. The tour checks what it shows: exit codes, and
that no planted value appears in any output; it ends with 1 when one of them is wrong.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from orchestra_creds.emulator.default_project import DEFAULT_PROJECT
from orchestra_creds.scanner.samples.sample import render

ROOT = Path(__file__).parents[1]
COMMAND = str(Path(sys.executable).with_name("orchestra-creds"))
SAY = "\033[1m{}\033[0m" if sys.stdout.isatty() and "NO_COLOR" not in os.environ else "{}"


CREDENTIALS = """schema = 1

[credentials.app-key]
kind = "service-account-key"
account = "{account}"
settle = "2s"
require_unused = "0s"

[credentials.redis-password]
kind = "generated"
every = "30d"
"""


class Tour:
    """Runs commands in a folder, prints them with what they say, and remembers what must never be seen."""

    def __init__(self, home: Path) -> None:
        self.planted: list[str] = []
        self.problems: list[str] = []
        self.environment = os.environ | {
            "ORCHESTRA_CREDS_STATE_DIR": str(home / "state"),
            "GIT_CONFIG_GLOBAL": os.devnull,
            **{
                f"GIT_{who}_{what}": f"tour{'@example.com' if what == 'EMAIL' else ''}"
                for who in ("AUTHOR", "COMMITTER")
                for what in ("NAME", "EMAIL")
            },
        }

    def plant(self, template: str) -> str:
        """A made-up credential, watched for in every output from now on."""
        value = render(template)
        self.planted.append(value)
        return value

    def git(self, folder: Path, *arguments: str) -> None:
        """Run git quietly."""
        subprocess.run(["git", *arguments], cwd=folder, env=self.environment, check=True, capture_output=True)

    def show(self, title: str, arguments: Sequence[str], *, folder: Path, expected: int = 0, pipe: str = "") -> str:
        """Print and run one command of ours, and check its exit code and its silence about the planted values.

        `pipe` is a planted value for its standard input; the transcript only says that something is piped in. Returns what the
        command printed.
        """
        feed = "… | " if pipe else ""
        heading = f"\n{SAY.format('# ' + title)}" if title else ""
        print(f"{heading}\n$ {feed}orchestra-creds {' '.join(arguments)}", flush=True)
        run = subprocess.run(
            [COMMAND, *arguments],
            cwd=folder,
            env=self.environment,
            input=pipe,
            capture_output=True,
            text=True,
            check=False,
        )
        print(run.stdout + run.stderr, end="", flush=True)
        print(f"(exit code {run.returncode})")
        if run.returncode != expected:
            self.problems.append(f"'{' '.join(arguments)}' ended with {run.returncode}, not {expected}")
        if any(value in run.stdout + run.stderr for value in self.planted):
            self.problems.append(f"'{' '.join(arguments)}' showed a planted value")
        return run.stdout

    def check_value(self, folder: Path, name: str, expected: str) -> None:
        """Read a value through a pipe and compare it; it is not printed."""
        print(f"$ orchestra-creds secret get {name} | cmp - expected", flush=True)
        run = subprocess.run(
            [COMMAND, "secret", "get", name],
            cwd=folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        same = (run.returncode, run.stdout) == (0, expected)
        print("(the same)" if same else "(something else)")
        if not same:
            self.problems.append(f"'secret get {name}' did not answer what was stored")


def plant_repository(tour: Tour, folder: Path) -> None:
    """A repository with one leak in the tree and one that was removed, but stays in the history."""
    folder.mkdir()
    tour.git(folder, "init", "--quiet", "--initial-branch=main")
    maps_key = tour.plant("AI" + "za{b64u:35}")
    (folder / "maps.py").write_text(f'URL = "https://maps.googleapis.com/maps/api/js?key={maps_key}&v=3"\n')
    (folder / "app.py").write_text('import os\n\nPASSWORD = os.environ["DB_PASSWORD"]  # a reference is no leak\n')
    tour.git(folder, "add", ".")
    tour.git(folder, "commit", "--quiet", "-m", "Show a map")
    (folder / "maps.py").write_text(
        "import os\n\nURL = f\"https://maps.googleapis.com/maps/api/js?key={os.environ['MAPS_KEY']}\"\n"
    )
    tour.git(folder, "commit", "--quiet", "-am", "Take the key out of the source")
    token = tour.plant("gh" + "p_{crc62:30}")
    (folder / "deploy.env").write_text(f"GITHUB_TOKEN={token}\nSTAGE=dev\n")
    tour.git(folder, "add", ".")
    tour.git(folder, "commit", "--quiet", "-m", "Deploy from here")


def scan_story(tour: Tour, home: Path) -> None:
    """Find a leak in the tree and one in the history; this project itself is clean."""
    repository = home / "shop"
    plant_repository(tour, repository)
    tour.show("what lies in the working tree", ["scan"], folder=repository, expected=1)
    tour.show("and in everything git still holds", ["scan", "--history"], folder=repository, expected=1)
    tour.show("this project itself is clean", ["scan"], folder=ROOT)


def secret_story(tour: Tour, home: Path) -> None:
    """Store, read and list a secret on the embedded cloud, and rotate it by hand without a moment without a value."""
    tour.environment["ORCHESTRA_CREDS_BACKEND"] = "local"
    prepare_project(Path(tour.environment["ORCHESTRA_CREDS_STATE_DIR"]))
    first, second = tour.plant("{b62:24}"), tour.plant("{b62:24}9")
    tour.show(
        "a secret, on the Google Cloud that comes along",
        ["secret", "set", "db-pass", "--env", "dev"],
        folder=home,
        pipe=first,
    )
    tour.check_value(home, "db-pass-dev", first)
    tour.show(
        "rotate it by hand: the new version first, then the old one goes",
        ["secret", "set", "db-pass-dev"],
        folder=home,
        pipe=second,
    )
    tour.check_value(home, "db-pass-dev", second)
    tour.show("", ["secret", "disable", "db-pass-dev", "1"], folder=home)
    tour.show("", ["secret", "destroy", "db-pass-dev", "1", "--confirm", "db-pass-dev"], folder=home)
    tour.show("", ["secret", "versions", "db-pass-dev"], folder=home)
    tour.show("", ["secret", "list"], folder=home)


def rotation_story(tour: Tour, home: Path) -> None:
    """Declare a service-account key and a password, and let them be rotated as the weeks pass."""
    account = make_account(Path(tour.environment["ORCHESTRA_CREDS_STATE_DIR"]))
    (home / "orchestra-creds.toml").write_text(CREDENTIALS.format(account=account))
    tour.show("two credentials are declared; issue what has no version yet", ["rotate", "--all"], folder=home)
    tour.show("three months later", ["emulator", "clock", "--advance", "91d"], folder=home)
    tour.show("", ["status", "--check"], folder=home, expected=1)
    tour.show("cron's command: proven before it is published", ["rotate", "--due"], folder=home)
    tour.show("a second run has nothing to do", ["rotate", "--due"], folder=home)
    tour.show("the grace is over: the old ones go", ["emulator", "clock", "--advance", "8d"], folder=home)
    tour.show("", ["rotate", "--due", "--quiet"], folder=home)
    tour.show("", ["key", "list", account], folder=home)
    tour.show("", ["status", "--check"], folder=home)


def prepare_project(state: Path) -> None:
    """A project on the embedded cloud, which is strict from here on, with its APIs on, as `setup` leaves one; nothing is seen late."""
    from orchestra_creds.emulator.protocol import faults, strict
    from orchestra_creds.emulator.service_usage.services import TITLES, enable
    from orchestra_creds.emulator.store.store import Store

    state.mkdir(mode=0o700, exist_ok=True)
    store = Store(state / "emulator.db")
    try:
        with store.transaction() as txn:
            strict.set_strict(txn, on=True)
            for lag in faults.Lag:
                faults.set_lag(txn, lag, 0)
            enable(txn, DEFAULT_PROJECT, *TITLES)
    finally:
        store.close()


def make_account(state: Path) -> str:
    """A service account on the embedded cloud, as a project would have it."""
    from orchestra_creds.emulator.protocol.routes import IAM_ADMIN, rpcs
    from orchestra_creds.emulator.server import control
    from orchestra_creds.emulator.server.dispatch import Emulator
    from orchestra_creds.emulator.store.store import Store

    store, method = Store(state / "emulator.db"), f"{IAM_ADMIN}/CreateServiceAccount"
    request = rpcs()[method].request(name=f"projects/{DEFAULT_PROJECT}", account_id="app-one")
    try:
        return str(Emulator(store, control.SERVICES).rpc(method, request, {}).email)
    finally:
        store.close()


def main() -> int:
    """Run the tour; 1 when something was not as it must be."""
    with tempfile.TemporaryDirectory(prefix="orchestra-creds-tour-") as temporary:
        home = Path(temporary)
        tour = Tour(home)
        scan_story(tour, home)
        secret_story(tour, home)
        rotation_story(tour, home)
    for problem in tour.problems:
        sys.stderr.write(f"error: {problem}\n")
    if not tour.problems:
        print("\nNext: orchestra-creds scan --help, orchestra-creds rotate --help, and docs/tutorial.md")
    return 1 if tour.problems else 0


if __name__ == "__main__":
    sys.exit(main())
