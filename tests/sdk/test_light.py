"""What a robot pays for the import: numpy and nothing else."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

_LOADED = """
import json, sys
before = set(sys.modules)
from cg3d_sdk import *
third = {name.partition('.')[0] for name in set(sys.modules) - before}
print(json.dumps(sorted(third - set(sys.stdlib_module_names) - {'cg3d_sdk', 'cg3d_runtime'})))
"""


def test_import_needs_numpy_alone() -> None:
    loaded = [
        name for name in json.loads(_output(_LOADED)) if not name.startswith(("_", "__editable"))
    ]
    assert loaded == ["numpy"]


def test_every_public_name_is_there() -> None:
    import cg3d_sdk

    assert set(cg3d_sdk._HOMES) < set(cg3d_sdk.__all__) <= set(dir(cg3d_sdk))
    for name in cg3d_sdk.__all__:
        assert getattr(cg3d_sdk, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Recogniser'"):
        cg3d_sdk.Recogniser  # noqa: B018


def test_a_first_answer_loads_no_torch() -> None:
    code = (
        "import sys, numpy, cg3d_sdk; r = cg3d_sdk.Recognizer();"
        "r.classify(numpy.random.default_rng(0).random((500, 3))); r.embed_text('chair');"
        "print([m for m in ('torch', 'onnx', 'polygraphy', 'open_clip') if m in sys.modules])"
    )
    assert _output(code).strip() == "[]"


def test_a_first_answer_warns_of_nothing() -> None:
    code = (
        "import numpy, cg3d_sdk; r = cg3d_sdk.Recognizer();"
        "r.classify(numpy.random.default_rng(0).random((500, 3))); r.embed_text('chair')"
    )
    arguments = [sys.executable, "-X", "dev", "-W", "error", "-c", code]
    done = subprocess.run(arguments, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def _output(code: str) -> str:
    arguments = [sys.executable, "-c", code]
    return subprocess.run(arguments, capture_output=True, check=True, text=True).stdout
