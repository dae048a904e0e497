"""The types a user sees."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

API = Path(__file__).parent / "typing" / "api.py"


def check(file: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--cache-dir", str(folder), str(file)],
        cwd=folder, capture_output=True, text=True, timeout=240,
    )  # fmt: skip


@pytest.mark.timeout(300)
def test_a_user_s_program_is_clean_under_mypy_strict_and_a_wrong_one_is_not(tmp_path):
    """One cold run of the checker serves both: it costs ten seconds."""
    pytest.importorskip("mypy", reason="mypy is not installed: the lint extra brings it")
    good = check(API, tmp_path)
    assert (good.stdout, good.returncode) == ("", 0)

    (tmp_path / "wrong.py").write_text(
        "from manometer import measure\n@measure\ndef f(a: int) -> str: ...\nx: int = f('')\n"
    )
    wrong = check(tmp_path / "wrong.py", tmp_path)
    assert wrong.returncode == 1
    assert 'Argument 1 to "f" has incompatible type "str"; expected "int"' in wrong.stdout
    assert 'Incompatible types in assignment (expression has type "str"' in wrong.stdout
