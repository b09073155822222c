"""The quickstart's transcript: plants made-up credentials in a throw-away repository, finds them, then scans this project.

Every command is the installed `orchestra-creds`, run as an operator would. The tour checks what it shows: exit codes, and
that no planted value appears in any output; it ends with 1 when one of them is wrong.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from orchestra_creds.scanner.sample import render

ROOT = Path(__file__).parents[1]
COMMAND = str(Path(sys.executable).with_name("orchestra-creds"))
SAY = "\033[1m{}\033[0m" if sys.stdout.isatty() and "NO_COLOR" not in os.environ else "{}"


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

    def show(self, title: str, arguments: Sequence[str], *, folder: Path, expected: int) -> None:
        """Print and run one command of ours, and check its exit code and its silence about the planted values."""
        print(f"\n{SAY.format('# ' + title)}\n$ orchestra-creds {' '.join(arguments)}", flush=True)
        run = subprocess.run(
            [COMMAND, *arguments], cwd=folder, env=self.environment, capture_output=True, text=True, check=False
        )
        print(run.stdout + run.stderr, end="", flush=True)
        print(f"(exit code {run.returncode})")
        if run.returncode != expected:
            self.problems.append(f"'{' '.join(arguments)}' ended with {run.returncode}, not {expected}")
        if any(value in run.stdout + run.stderr for value in self.planted):
            self.problems.append(f"'{' '.join(arguments)}' showed a planted value")


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


def main() -> int:
    """Run the tour; 1 when something was not as it must be."""
    with tempfile.TemporaryDirectory(prefix="orchestra-creds-tour-") as temporary:
        home = Path(temporary)
        tour, repository = Tour(home), home / "shop"
        plant_repository(tour, repository)
        tour.show("what lies in the working tree", ["scan"], folder=repository, expected=1)
        tour.show("and in everything git still holds", ["scan", "--history"], folder=repository, expected=1)
        tour.show("this project itself is clean", ["scan"], folder=ROOT, expected=0)
    for problem in tour.problems:
        sys.stderr.write(f"error: {problem}\n")
    if not tour.problems:
        print("\nNext: orchestra-creds scan --help, and docs/tutorial.md")
    return 1 if tour.problems else 0


if __name__ == "__main__":
    sys.exit(main())
