"""Builds the compiled core where that is possible and wanted; everything else about the project is in pyproject.toml.

`MANOMETER_NO_EXT=1` leaves it out, `MANOMETER_REQUIRE_EXT=1` fails where it cannot be built. Without either it is tried,
and a machine without a compiler gets the pure package, in a wheel that says so.
"""

import os
import sys
import sysconfig
import tempfile

from setuptools import Distribution, Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel

OLDEST = "cp310"


def core() -> Extension:
    """The extension: one binary for 3.10 and everything later."""
    return Extension("manometer._core", ["src/manometer/_core.c"], py_limited_api=True)


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


# Only what builds needs the compiler; asking for metadata does not.
builds = any(
    command in sys.argv
    for command in ("bdist_wheel", "build_ext", "build", "editable_wheel", "install", "develop")
)
setup(ext_modules=extensions() if builds else [], cmdclass={"bdist_wheel": Wheel})
