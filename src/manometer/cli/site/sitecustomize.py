"""Switches manometer on in a process that `manometer run` started, then gives way to the site's own."""

import importlib.util
import os
import sys

_here = os.path.dirname(os.path.abspath(__file__))
sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry or os.curdir) != _here]

_spec = importlib.util.find_spec("sitecustomize")
if _spec is not None and _spec.loader is not None and _spec.origin != os.path.abspath(__file__):
    _module = importlib.util.module_from_spec(_spec)
    sys.modules["sitecustomize"] = _module
    _spec.loader.exec_module(_module)

try:
    import manometer  # noqa: F401 - obeys MANOMETER
except ImportError:
    print("manometer: the measured program uses a Python without manometer", file=sys.stderr)
