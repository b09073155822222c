"""Builds the optional C extensions with the wheel; where they cannot be built, the wheel is pure Python.

Hatchling runs this for `pip install .`, `pip install -e .` and wheels. They use CPython's stable ABI, so one build
serves every later version. ORCHESTRA_CREDS_PURE=1 leaves them out, ORCHESTRA_CREDS_NATIVE=1 lets the build fail without them.
"""

import os
import shlex
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FOLDER = Path("src/orchestra_creds/scanner")
SOURCES = (FOLDER / "_native.c", FOLDER / "_files.c")


class CustomBuildHook(BuildHookInterface):  # type: ignore[type-arg,unused-ignore]
    """Compiles the sources in place before the files of a wheel are gathered."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Builds, or says in one line why not."""
        del version  # the same for editable and standard wheels
        if self.target_name != "wheel":
            return
        reason = build(Path(self.root))
        if reason and os.environ.get("ORCHESTRA_CREDS_NATIVE"):
            raise RuntimeError(f"the C extensions cannot be built: {reason}")
        if reason:
            self.app.display_warning(f"building without the C extensions: {reason}; scans take longer")
            return
        build_data["artifacts"] += [str(_result(source)) for source in SOURCES]
        build_data["pure_python"] = False
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["tag"] = f"cp311-abi3-{platform}"


def _result(source: Path) -> Path:
    return source.with_suffix(".abi3.so")


def build(root: Path) -> str:
    """Compiles the extensions; the reason why it could not, or an empty text."""
    for source in SOURCES:
        (root / _result(source)).unlink(missing_ok=True)  # never one of an older source
    if os.environ.get("ORCHESTRA_CREDS_PURE"):
        return "ORCHESTRA_CREDS_PURE is set"
    if sys.implementation.name != "cpython" or sys.platform == "win32":
        return "not CPython on a POSIX system"
    include = sysconfig.get_path("include")
    if not (Path(include) / "Python.h").is_file():
        return "the headers of Python are not installed"
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
    shared = ["-bundle", "-undefined", "dynamic_lookup"] if sys.platform == "darwin" else ["-shared"]
    common = [*compiler, "-O3", "-fPIC", "-fvisibility=hidden", *shared, f"-I{include}"]
    for source in SOURCES:
        if reason := _compile(common, root / source, root / _result(source)):
            return reason
    return ""


def _compile(common: list[str], source: Path, result: Path) -> str:
    part = result.with_suffix(f".{os.getpid()}")
    command = [
        *common,
        str(source),
        "-o",
        str(part),
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return f"no C compiler ({common[0]})"
    if done.returncode:
        part.unlink(missing_ok=True)
        return "the C compiler failed"
    part.replace(result)
    return ""
