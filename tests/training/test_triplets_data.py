"""Pictures and captions as pre-training on triplets meets them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from small_triplets import KINDS

from cg3d_training.data.samples import decode_view, encode_sample
from cg3d_training.data.shards import ShardFolder, write_index, write_shard
from cg3d_training.data.triplet_set import CaptionTable, PictureForm, TripletSet, fit, picture
from cg3d_training.teachers import load_teacher
from cg3d_training.triplets.batches import Loading, TripletBatches, Wanted
from cg3d_training.triplets.config import (
    TripletConfig,
)


def test_pictures_for_the_teacher(shards: Path) -> None:
    torch.manual_seed(0)
    teacher = load_teacher("open_clip", "small-clip", None)
    view = TripletSet(shards, 64).sample(3).views[1]
    image = picture(view, PictureForm.of(teacher))
    assert image.shape == (3, 16, 16)
    pixels = torch.from_numpy(decode_view(view).copy()).permute(2, 0, 1) / 255
    mean, std = (torch.tensor(v)[:, None, None] for v in (teacher.image_mean, teacher.image_std))
    torch.testing.assert_close(image, (pixels - mean) / std)


@pytest.mark.parametrize("kind", ["fixed", "random"])
def test_pictures_are_fixed_or_change(config: TripletConfig, shards: Path, kind: str) -> None:
    """Told by their pixels: what a batch holds against what lies in the shards."""
    data = dataclasses.replace(config.data, views=kind)  # type: ignore[arg-type]
    form = PictureForm((16, 16), (0.0,) * 3, (1.0,) * 3)
    objects = TripletSet(shards, 64)
    batches = TripletBatches(
        objects, CaptionTable(objects, "photo"), dataclasses.replace(config, data=data), 64,
        form, slice(0, 4), Loading(),
    )  # fmt: skip
    seen: dict[int, set[int]] = {}
    for epoch in range(4):
        for batch in batches.epoch(epoch, 0, lambda _: Wanted(points=False, pictures=True)):
            assert batch.points is None
            assert batch.pictures is not None
            for row, pixels in zip(batch.rows.tolist(), batch.pictures, strict=True):
                views = [picture(view, form) for view in objects.sample(row).views]
                (view,) = (i for i, v in enumerate(views) if torch.equal(v, pixels))
                seen.setdefault(row, set()).add(view)
    assert len(seen) == 22
    assert set.union(*seen.values()) == {0, 1}  # both pictures occur somewhere
    assert all(len(views) == 1 for views in seen.values()) is (kind == "fixed")


def test_pictures_of_another_size_are_resized_and_cut() -> None:
    """Against pillow, whose bilinear filter is the one that torch's antialiasing follows."""
    rng = np.random.default_rng(0)
    wide = rng.integers(0, 256, (30, 60, 3), dtype=np.uint8)
    resized = np.asarray(Image.fromarray(wide).resize((32, 16), Image.Resampling.BILINEAR))
    expected = resized[:, 8:24].transpose(2, 0, 1) / 255
    np.testing.assert_allclose(fit(wide, (16, 16)).numpy(), expected, atol=2 / 255)


def test_captions(shards: Path, tmp_path: Path) -> None:
    samples = list(ShardFolder(shards))
    said = dataclasses.replace(
        samples[0], record={**samples[0].record, "captions": ["a red one", "a big one"]}
    )
    write_shard(tmp_path / "shard-000000.tar", map(encode_sample, [said, *samples[1:]]))
    write_index(tmp_path)
    objects = TripletSet(tmp_path, 64)
    assert set(objects.names) == set(KINDS)
    photo = CaptionTable(objects, "photo")
    assert set(photo.texts) == {
        "A photo of an airplane", "A photo of a bottle", "A photo of a table", "A photo of a mug",
    }  # fmt: skip
    rng = np.random.default_rng(0)
    everything = np.arange(22)
    texts = [photo.texts[i] for i in photo.draw(everything, rng)]
    assert all(name in text for name, text in zip(objects.names, texts, strict=True))
    chosen = CaptionTable(objects, "prepared")
    texts = [chosen.texts[i] for i in chosen.draw(everything, rng)]
    assert texts == [s.record["caption"] for s in ShardFolder(tmp_path)]
    table = CaptionTable(objects, "templates")
    assert {table.texts[i] for i in table.draw(np.zeros(40, int), rng)} == {
        "a red one",
        "a big one",
    }
    assert len({int(i) for i in table.draw(np.ones(200, int), rng)}) > 40
