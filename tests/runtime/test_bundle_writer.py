"""Writing bundles: deterministic, and all or nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from made_bundles import content, make_bundle

from cg3d_runtime.bundle import Bundle, ScenesInfo, folders
from cg3d_runtime.bundle.writer import rewrite_bundle
from cg3d_runtime.errors import BundleError


def snapshot(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_same_content_same_bytes(tmp_path: Path) -> None:
    make_bundle(tmp_path / "a")
    make_bundle(tmp_path / "b", dict(reversed(content().items())))
    assert snapshot(tmp_path / "a") == snapshot(tmp_path / "b")
    assert set(snapshot(tmp_path / "a")) == {*content(), "manifest.json"}


def test_makes_missing_parents(tmp_path: Path) -> None:
    make_bundle(tmp_path / "some" / "where").verify()


def test_is_as_readable_as_any_new_folder(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    bundle = make_bundle(tmp_path / "bundle")
    assert bundle.root.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_replaces_a_bundle_and_drops_its_old_files(tmp_path: Path) -> None:
    make_bundle(tmp_path / "b", {**content(), "ATTRIBUTION.md": b"old"})
    make_bundle(tmp_path / "b", name="new")
    assert Bundle.open(tmp_path / "b").manifest.name == "new"
    assert not (tmp_path / "b" / "ATTRIBUTION.md").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_a_bundle_with_one_thing_changed(tmp_path: Path) -> None:
    old = make_bundle(tmp_path / "a")
    new = rewrite_bundle(old, tmp_path / "b", {"NOTES.md": b"x"}, scenes=ScenesInfo(0.1, 0.5, {}))
    assert new.manifest.scenes == ScenesInfo(0.1, 0.5, {})
    before, after = snapshot(old.root), snapshot(new.root)
    assert {n for n in after if after[n] != before.get(n)} == {"NOTES.md", "manifest.json"}
    assert rewrite_bundle(new, new.root, {}, scenes=None).manifest.scenes is None


def test_engines_of_the_old_bundle_go_with_it(tmp_path: Path) -> None:
    make_bundle(tmp_path / "b")
    folder = tmp_path / "b" / "engines" / "sm87-trt10.3.0-fp16"
    folder.mkdir(parents=True)
    (folder / "encoder.plan").write_bytes(b"plan")
    (folder / "encoder.plan.json").write_bytes(b"{}")
    make_bundle(tmp_path / "b", name="new")
    assert not (tmp_path / "b" / "engines").exists()
    folder.mkdir(parents=True)
    (folder / "notes.txt").write_bytes(b"mine")
    with pytest.raises(BundleError, match=r"notes\.txt' is no part of it"):
        make_bundle(tmp_path / "b")


def test_fills_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    make_bundle(tmp_path / "b").verify()


@pytest.mark.parametrize("stranger", ["notes.txt", "sub/notes.txt"])
def test_leaves_other_folders_alone(tmp_path: Path, stranger: str) -> None:
    path = tmp_path / "home" / stranger
    path.parent.mkdir(parents=True)
    path.write_bytes(b"mine")
    with pytest.raises(BundleError, match="not a bundle that may be replaced"):
        make_bundle(tmp_path / "home")
    assert snapshot(tmp_path) == {f"home/{stranger}": b"mine"}


def test_leaves_a_file_alone(tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(b"mine")
    with pytest.raises(BundleError, match="not a bundle that may be replaced"):
        make_bundle(tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == b"mine"


def test_leaves_a_bundle_with_foreign_files_alone(tmp_path: Path) -> None:
    make_bundle(tmp_path / "b")
    (tmp_path / "b" / "notes.txt").write_bytes(b"mine")
    before = snapshot(tmp_path)
    with pytest.raises(BundleError, match=r"'notes\.txt' is no part of it"):
        make_bundle(tmp_path / "b", name="new")
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x", "manifest.json", ".x"])
def test_refuses_names_that_leave_the_bundle(tmp_path: Path, name: str) -> None:
    with pytest.raises(BundleError, match="not a file name that a bundle may hold"):
        make_bundle(tmp_path / "b", {**content(), name: b"x"})
    assert snapshot(tmp_path) == {}


def test_refuses_content_that_would_not_open(tmp_path: Path) -> None:
    files = content()
    files["text/labels.json"] = b"[]"
    with pytest.raises(BundleError, match="holds no labels"):
        make_bundle(tmp_path / "b", files)
    assert list(tmp_path.iterdir()) == []


def failing_at(function: object, call: int) -> object:
    """The function, failing at the n-th call."""
    calls = 0

    def wrapped(*args: object, **kwargs: object) -> object:
        nonlocal calls
        calls += 1
        if calls == call:
            raise OSError(28, "No space left on device")
        return function(*args, **kwargs)  # type: ignore[operator]

    return wrapped


@pytest.mark.parametrize("call", [1, 4, 8])
@pytest.mark.parametrize("old", [True, False])
def test_failure_while_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int, old: bool
) -> None:
    if old:
        make_bundle(tmp_path / "b")
    before = snapshot(tmp_path)
    monkeypatch.setattr(folders, "_write", failing_at(folders._write, call))
    with pytest.raises(BundleError, match="No space left on device"):
        make_bundle(tmp_path / "b", name="new")
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("call", [1, 2])
def test_failure_while_swapping(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int) -> None:
    """Whichever of the two renames fails, the old bundle stands where it stood."""
    make_bundle(tmp_path / "b")
    before = snapshot(tmp_path)
    monkeypatch.setattr(Path, "rename", failing_at(Path.rename, call))
    with pytest.raises(BundleError, match="unchanged"):
        make_bundle(tmp_path / "b", name="new")
    monkeypatch.undo()
    assert snapshot(tmp_path) == before
    Bundle.open(tmp_path / "b").verify()


def test_a_killed_writer_leaves_the_old_bundle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even without clean-up (a power cut) the bundle is the old one, whole."""
    make_bundle(tmp_path / "b")
    monkeypatch.setattr(folders.shutil, "rmtree", lambda *_, **__: None)
    monkeypatch.setattr(folders, "_swap", failing_at(folders._swap, 1))
    with pytest.raises(BundleError):
        make_bundle(tmp_path / "b", name="new")
    Bundle.open(tmp_path / "b").verify()
    assert Bundle.open(tmp_path / "b").manifest.name == "test bundle"


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_folder_without_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(BundleError, match="permissions"):
            make_bundle(tmp_path / "b")
    finally:
        tmp_path.chmod(0o700)
