"""`cg3d demo`: every sample is recognised and shown on the page."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from stand_in import StandIn

from cg3d_runtime.files import read_points
from cg3d_runtime.points import as_points
from cg3d_sdk.cli.demo import sample_files
from cg3d_sdk.cli.main import main


def test_the_page_and_the_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cg3d_sdk.recognizer.Recognizer", StandIn)
    page = tmp_path / "demo.html"
    result = CliRunner().invoke(main, ["demo", "-o", str(page)])
    assert result.exit_code == 0
    lines = result.output.splitlines()
    names = [path.stem.replace("_", " ") for path in sample_files()]
    assert [line.split("  ")[0].strip() for line in lines[:-2]] == names
    # Everything is taken for a mug, then a bowl, a chair, a table.
    assert lines[-2] == (
        f"Of {len(names)} samples 1 have their own name first, 2 among the first 5."
    )
    assert lines[-1].startswith(f"Wrote {page} (")
    text = page.read_text()
    assert all(f"<span>{name}</span>" in text for name in names)
    assert len(text) < 1_000_000


def test_a_page_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cg3d_sdk.recognizer.Recognizer", StandIn)
    result = CliRunner().invoke(main, ["demo", "-o", str(tmp_path / "nowhere" / "demo.html")])
    assert result.exit_code == 2
    assert result.stdout == ""  # told before the work
    assert "there is no folder" in result.stderr


def test_samples_are_as_a_robot_would_have_them() -> None:
    samples = sample_files()
    assert len(samples) >= 12
    assert sum(path.stat().st_size for path in samples) < 500_000
    for path in samples:
        checked = as_points(read_points(path).points)
        size = np.ptp(checked.xyz, axis=0)
        assert checked.dropped == 0
        assert 0.05 < size.max() < 3.0  # metres
        assert abs(float(checked.xyz[:, 2].min())) < 0.02  # standing on z = 0
