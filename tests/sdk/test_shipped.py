"""Bundles that ship are called by their names."""

from __future__ import annotations

from pathlib import Path

import pytest

from cg3d_runtime.errors import BundleError
from cg3d_sdk import Recognizer
from cg3d_sdk.shipped import SHIPPED, bundle_folder, default_bundle


def test_the_first_is_the_default() -> None:
    assert bundle_folder(None) == default_bundle() == bundle_folder(SHIPPED[0])
    assert default_bundle().name == SHIPPED[0]


@pytest.mark.parametrize("name", SHIPPED)
def test_each_opens_by_its_name(name: str) -> None:
    assert Recognizer(name).bundle.manifest.name == name


def test_a_folder_at_hand_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert bundle_folder("other") == Path("other")
    with pytest.raises(BundleError, match=r"no folder 'household_tiny'; .* is 'household-tiny'"):
        bundle_folder("household_tiny")
    with pytest.raises(BundleError, match=r"not as \['chair'\].*labels=\[...\]"):
        Recognizer(["chair"])  # type: ignore[arg-type]
    (tmp_path / SHIPPED[1]).mkdir()
    assert bundle_folder(SHIPPED[1]) == Path(SHIPPED[1])
    with pytest.raises(BundleError, match="manifest"):
        Recognizer(SHIPPED[1])
