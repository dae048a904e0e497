"""Builds the compiled core where that is possible and wanted; everything else about the project is in pyproject.toml.

`MANOMETER_NO_EXT=1` leaves it out, `MANOMETER_REQUIRE_EXT=1` fails where it cannot be built. Without either it is tried,
and a machine without a compiler gets the pure package, in a wheel that says so.
"""

import os
import shutil
import sys
import sysconfig
import tempfile
from pathlib import Path

from setuptools import Distribution, Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

OLDEST = "cp310"


def core() -> Extension:
    """The extension: one binary for 3.10 and everything later."""
    return Extension(
        "manometer._core",
        ["src/manometer/_core.c"],
        depends=["src/manometer/_tapcore.c"],  # which the other one includes
        py_limited_api=True,
    )


def is_possible() -> bool:
    """Compile it once, away from the build: a wheel has to be called pure before it is filled."""
    with tempfile.TemporaryDirectory() as folder:
        command = Distribution({"ext_modules": [core()]}).get_command_obj("build_ext")
        command.build_temp = command.build_lib = folder
        command.ensure_finalized()
        try:
            command.run()
        except Exception as error:
            print(
                f"manometer: no compiled core, the pure package is installed ({type(error).__name__})",
                file=sys.stderr,
            )
            return False
    return True


def extensions() -> list[Extension]:
    """What to build here."""
    wanted = os.environ.get("MANOMETER_REQUIRE_EXT") == "1"
    # A build without the lock of the interpreter has no stable ABI yet, and the core relies on the lock.
    impossible = sys.implementation.name != "cpython" or sysconfig.get_config_var("Py_GIL_DISABLED")
    if wanted and impossible:
        sys.exit("MANOMETER_REQUIRE_EXT=1, but this Python cannot have the compiled core")
    if impossible or os.environ.get("MANOMETER_NO_EXT") == "1":
        return []
    return [core()] if wanted or is_possible() else []


class Wheel(bdist_wheel):
    """A wheel of the stable ABI where it holds the core, a pure one where not."""

    def finalize_options(self) -> None:
        """Name the oldest Python that the binary serves."""
        if self.distribution.has_ext_modules():
            self.py_limited_api = OLDEST
        super().finalize_options()


class Package(build_py):
    """The package with the pages of the rules, which `manometer explain` prints."""

    def run(self) -> None:
        """Copy them; an editable installation reads them where they are."""
        super().run()
        if not self.editable_mode:
            pages = Path(self.build_lib, "manometer", "_pages")
            pages.mkdir(parents=True, exist_ok=True)
            for page in Path("docs/reference/findings").glob("*.md"):
                shutil.copy(page, pages)


# Only what builds needs the compiler; asking for metadata does not.
builds = any(
    command in sys.argv
    for command in ("bdist_wheel", "build_ext", "build", "editable_wheel", "install", "develop")
)
setup(ext_modules=extensions() if builds else [], cmdclass={"bdist_wheel": Wheel, "build_py": Package})
