"""A bundle of the miniature teacher, asked with any words and with pictures, against open_clip."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import save_file
from small_checkpoints import SPEC, write_clouds

from cg3d_export.cli.main import main as export_main
from cg3d_runtime.bundle import Bundle
from cg3d_runtime.errors import VocabularyError
from cg3d_runtime.text.space import TextSpace
from cg3d_sdk import Recognizer
from cg3d_sdk.cli.main import main
from cg3d_training.checkpoint import Checkpoint, save_checkpoint
from cg3d_training.encoders import EncoderSpec, build_encoder
from cg3d_training.teachers.local import find_local

Image = pytest.importorskip("PIL.Image", reason="needs Pillow")

DIM = 128


@pytest.fixture(scope="module")
def clip() -> Any:
    """The miniature's CLIP, by open_clip alone."""
    local = find_local("cg3d-mini-64")
    assert local is not None
    torch.manual_seed(6)
    return open_clip.create_model(local.name).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def folder(clip: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A 3D encoder, a teacher's folder, labels and clouds; and their bundle."""
    root = tmp_path_factory.mktemp("open")
    local = find_local("cg3d-mini-64")
    assert local is not None
    (root / "teacher").mkdir()
    config = json.dumps({"model_cfg": local.config})
    (root / "teacher" / "open_clip_config.json").write_text(config)
    save_file(clip.state_dict(), root / "teacher" / "open_clip_model.safetensors")
    torch.manual_seed(0)
    spec = EncoderSpec(SPEC.architecture, {**SPEC.sizes, "embedding_dim": DIM})
    encoder = build_encoder(spec)
    for parameter in encoder.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    mean = torch.nn.functional.normalize(encode(clip, ["cup", "lamp", "chair"]), dim=1).mean(dim=0)
    trained = Checkpoint(spec, encoder.state_dict(), mean, 14.0, {"seed": 1}, {"objects": 7})
    save_checkpoint(root / "checkpoint.safetensors", trained)
    (root / "labels.txt").write_text("cup\ncoffee table\nlamp\n")
    write_clouds(root / "clouds.npz")
    teacher = f"open_clip:{root / 'teacher'}"
    result = CliRunner().invoke(
        export_main,
        [
            str(root / "checkpoint.safetensors"), "-o", str(root / "bundle"), "--text", teacher,
            "--labels", str(root / "labels.txt"), "--phrasing", "paper", "--phrasing",
            "a photo of a {}.", "--image-encoder", teacher, "--clouds", str(root / "clouds.npz"),
        ],
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    return root


def encode(clip: Any, texts: list[str]) -> torch.Tensor:
    tokens = open_clip.tokenizer.SimpleTokenizer(context_length=24)(texts)
    with torch.no_grad():
        vectors: torch.Tensor = clip.encode_text(tokens)
    return vectors


def wanted(clip: Any, bundle: Bundle, names: list[str]) -> np.ndarray:
    """(n, d) by open_clip's own ensembling, in the space of comparison."""
    rows = open_clip.build_zero_shot_classifier(
        clip,
        open_clip.tokenizer.SimpleTokenizer(context_length=24),
        names,
        ["This is a {}", "a photo of a {}."],
    ).T.numpy()
    return TextSpace(bundle.text().mean).apply(rows)


@pytest.fixture(scope="module")
def recognizer(folder: Path) -> Recognizer:
    return Recognizer(folder / "bundle", engine="cpu", threads=1)


def cloud(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.uniform(-1, 1, (300, 3)) * rng.uniform(0.1, 1, 3)


NEW = ["red fire truck", "Cup", "glove with five fingers", "xyzzy"]


def test_any_words_are_labels(recognizer: Recognizer, clip: Any) -> None:
    recognizer.set_labels(NEW)
    assert recognizer.labels == tuple(NEW)
    vectors = wanted(clip, recognizer.bundle, [name.lower() for name in NEW])
    np.testing.assert_allclose(recognizer.bank.vectors, vectors, atol=3e-3)
    assert np.abs(vectors[0] - vectors[1]).max() > 0.03
    answer = recognizer.classify(cloud(0))
    logits = 14.0 * vectors @ answer.embedding
    odds = np.exp(logits - logits.max())
    found = {ranked.label: ranked.score for ranked in answer.ranking}
    np.testing.assert_allclose([found[n] for n in NEW], odds / odds.sum(), atol=5e-3)
    recognizer.set_labels(None)
    assert recognizer.labels == ("cup", "coffee table", "lamp")


def test_labels_of_the_constructor_too(folder: Path, clip: Any) -> None:
    other = Recognizer(folder / "bundle", labels=["xyzzy", "cup"], engine="cpu", threads=1)
    vectors = wanted(clip, other.bundle, ["xyzzy", "cup"])
    np.testing.assert_allclose(other.bank.vectors, vectors, atol=3e-3)


def test_texts_are_encoded_as_they_are(recognizer: Recognizer, clip: Any) -> None:
    texts = ["somewhere to sit", "Ein Stuhl? 椅子 🪑"]
    rows = TextSpace(recognizer.bundle.text().mean).apply(encode(clip, texts).numpy())
    np.testing.assert_allclose(recognizer.embed_text(texts), rows, atol=3e-3)


def test_words_change_while_others_classify(recognizer: Recognizer) -> None:
    """Each answer is that of one set of labels, whole."""
    sets = [["cup", "lamp"], ["a spoon", "ladder", "cup"], ["wheel", "xyzzy", "rope", "lamp"]]
    expected = {}
    for names in sets:
        recognizer.set_labels(names)
        expected[frozenset(names)] = recognizer.classify(cloud(1)).ranking

    def change(seed: int) -> None:
        for i in np.random.default_rng(seed).integers(len(sets), size=30):
            recognizer.set_labels([*sets[i]])

    with ThreadPoolExecutor(6) as pool:
        changing = [pool.submit(change, seed) for seed in range(2)]
        rankings = list(pool.map(lambda _: recognizer.classify(cloud(1)).ranking, range(60)))
        for one in changing:
            one.result()
    for ranking in rankings:
        assert ranking == expected[frozenset(r.label for r in ranking)]
    recognizer.set_labels(None)


def test_a_word_too_long_leaves_the_old_labels(recognizer: Recognizer) -> None:
    with pytest.raises(VocabularyError, match="at most 22"):
        recognizer.set_labels(["cup", "chair " * 30])
    assert recognizer.labels == ("cup", "coffee table", "lamp")


def test_a_scene_is_asked_for_any_thing(recognizer: Recognizer) -> None:
    things = [cloud(i) * 0.2 + [i, 0, 0.3] for i in range(3)]
    answer = recognizer.scene(np.concatenate(things)).query("Where is the green garden gnome?")
    assert answer.asked == ("green garden gnome",)
    assert answer.regions


def test_the_manifest_says_how_the_bank_was_made(folder: Path) -> None:
    text = Bundle.open(folder / "bundle").manifest.text
    assert text.phrasing is not None
    assert text.phrasing.templates == ("This is a {}", "a photo of a {}.")
    assert text.phrasing.average == "unit"
    assert text.encoder is not None
    assert (text.encoder.context_length, text.encoder.open_vocabulary) == (24, True)
    shown = CliRunner().invoke(main, ["info", str(folder / "bundle")])
    assert "any text" in shown.output
    assert "2 phrasings" in shown.output


def test_pictures_find_shapes_on_the_command_line(
    folder: Path, clip: Any, recognizer: Recognizer, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    for i in range(5):
        np.save(tmp_path / "in" / f"{i}.npy", cloud(i).astype(np.float32))
    bundle, index = ["--bundle", str(folder / "bundle"), "--engine", "cpu"], str(tmp_path / "index")
    built = CliRunner().invoke(main, ["index", "build", str(tmp_path / "in"), "-o", index, *bundle])
    assert built.exit_code == 0, built.output
    pixels = np.random.default_rng(0).integers(0, 256, (90, 70, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    result = CliRunner().invoke(
        main,
        ["index", "search", index, "--image", str(tmp_path / "photo.png"), "--json", *bundle],
    )
    assert result.exit_code == 0, result.output
    hits = json.loads(result.stdout)["results"][0]["hits"]
    prepare = open_clip.image_transform(64, is_train=False)
    with torch.no_grad():
        row = clip.encode_image(prepare(Image.fromarray(pixels))[None])
    picture = torch.nn.functional.normalize(row, dim=1)[0].numpy()
    scores = recognizer.embed([cloud(i).astype(np.float32) for i in range(5)]) @ picture
    assert [hit["id"] for hit in hits] == [f"{i}.npy" for i in np.argsort(-scores)]
    np.testing.assert_allclose([hit["score"] for hit in hits], np.sort(scores)[::-1], atol=3e-3)
