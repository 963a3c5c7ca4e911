"""Pictures as open_clip prepares them, to the bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cg3d_runtime.errors import InputError
from cg3d_runtime.images import prepare_image, read_image, resized

Image = pytest.importorskip("PIL.Image", reason="needs Pillow")
transform = pytest.importorskip("open_clip.transform", reason="needs open_clip_torch")

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Noise beside plain areas and hard edges, where the bicubic filter overshoots."""
    draw = np.random.default_rng(seed)
    pixels = draw.integers(0, 256, (height, width, 3), dtype=np.uint8)
    pixels[: height // 3] = 255
    pixels[:, : width // 4] = 0
    return pixels


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 70), st.booleans())
def test_a_pass_is_pillows(height: int, width: int, size: int, across: bool) -> None:
    pixels = picture(height, width)
    new = (height, size) if across else (size, width)
    theirs = Image.fromarray(pixels).resize(new[::-1], Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(resized(pixels, *new), np.asarray(theirs))


@pytest.mark.parametrize(
    ("height", "width"), [(480, 640), (641, 479), (224, 224), (224, 500), (100, 131), (31, 225)]
)
def test_preparing_is_open_clips(height: int, width: int) -> None:
    pixels = picture(height, width)
    theirs = transform.image_transform(224, is_train=False, mean=MEAN, std=STD)
    ours = prepare_image(pixels, 224, MEAN, STD)
    assert ours.dtype == np.float32
    np.testing.assert_array_equal(ours, theirs(Image.fromarray(pixels)).numpy())


def test_grey_and_alpha() -> None:
    pixels = picture(40, 50)
    grey = prepare_image(pixels[:, :, 0], 32, MEAN, STD)
    three = np.repeat(pixels[:, :, :1], 3, axis=2)
    np.testing.assert_array_equal(grey, prepare_image(three, 32, MEAN, STD))
    four = np.dstack([pixels, pixels[:, :, 0]])
    np.testing.assert_array_equal(
        prepare_image(four, 32, MEAN, STD), prepare_image(pixels, 32, MEAN, STD)
    )


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((4, 4, 3)),
        np.zeros((3, 4, 5), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((1, 500, 3), np.uint8),
        [[1], [2, 3]],
    ],
)
def test_what_is_no_picture(wrong: object) -> None:
    with pytest.raises(InputError, match="picture"):
        prepare_image(wrong, 32, MEAN, STD)  # type: ignore[arg-type]


def test_files(tmp_path: Path) -> None:
    pixels = picture(30, 20)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), pixels)
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    Image.fromarray(pixels).save(tmp_path / "b.jpg", exif=exif, quality=100)
    assert read_image(tmp_path / "b.jpg").shape == (20, 30, 3)
    clear = np.dstack([pixels, np.zeros((30, 20), np.uint8)])
    Image.fromarray(clear).save(tmp_path / "c.png")
    assert (read_image(tmp_path / "c.png") == 255).all()
    data = (tmp_path / "a.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(data[: len(data) // 2])
    (tmp_path / "no.png").write_text("no picture")
    for name in ("cut.png", "no.png", "missing.png"):
        with pytest.raises(InputError, match=name):
            read_image(tmp_path / name)
