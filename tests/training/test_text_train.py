"""Training, evaluation, checkpoints and the verb of the text encoder, on two dozen names."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file
from scipy.spatial.distance import cdist
from small_vocabulary import DIM, NAMES, small_training, small_vocabulary

from cg3d_runtime.errors import DependencyError, TrainingError
from cg3d_runtime.text.templates import TEMPLATES, fill
from cg3d_training.cli.text import text_command
from cg3d_training.data.clip_text import load_vocabulary
from cg3d_training.text import merges
from cg3d_training.text.checkpoint import TextCheckpoint, load_text_encoder, save_text_encoder
from cg3d_training.text.evaluate import bank_vectors, evaluate_text_encoder
from cg3d_training.text.merges import clip_tokenizer, read_clip_merges
from cg3d_training.text.model import TextTower
from cg3d_training.text.train import TextTrainConfig, held_out_rows, train_text_encoder


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """These networks are so small that threads cost more than they bring."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def trained() -> TextTower:
    return train_text_encoder(small_vocabulary(), clip_tokenizer(), small_training())


def test_it_learns_names_and_aliases_in_every_template(trained: TextTower) -> None:
    report = evaluate_text_encoder(trained, clip_tokenizer(), small_vocabulary())
    assert report.overall.top1 == 1
    assert report.overall.cosine > 0.995
    assert report.overall.centred_cosine > 0.98
    assert set(report.templates) == set(TEMPLATES)
    assert min(scores.centred_cosine for scores in report.templates.values()) > 0.97
    assert report.aliases is not None
    assert report.aliases.centred_cosine > 0.97
    assert report.bank.centred_cosine >= report.overall.centred_cosine


def test_lengths_are_learnt_too(trained: TextTower) -> None:
    vocabulary = small_vocabulary()
    ours = bank_vectors(trained, clip_tokenizer(), vocabulary)
    ratio = np.linalg.norm(ours, axis=1) / np.linalg.norm(vocabulary.vectors, axis=1)
    np.testing.assert_allclose(ratio, 1, atol=0.1)


def test_the_report_counts_what_scipy_counts() -> None:
    vocabulary = small_vocabulary()
    rough = train_text_encoder(vocabulary, clip_tokenizer(), small_training(epochs=25))
    report = evaluate_text_encoder(rough, clip_tokenizer(), vocabulary)
    tokens = clip_tokenizer()([fill("This is a {}", name) for name in NAMES], 24)
    with torch.no_grad():
        ours = rough(torch.from_numpy(tokens)).numpy().astype(np.float64)
    clips = vocabulary.vectors.astype(np.float64)
    raw = 1 - cdist(ours, clips, "cosine")
    mean = (clips / np.linalg.norm(clips, axis=1, keepdims=True)).mean(0)
    a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) - mean for x in (ours, clips))
    centred = 1 - cdist(a, b, "cosine")
    scores = report.templates["This is a {}"]
    assert 0.2 < scores.top1 < 1  # else this test could not tell
    assert scores.texts == len(NAMES)
    assert scores.top1 == pytest.approx((centred.argmax(1) == np.arange(len(NAMES))).mean())
    assert scores.cosine == pytest.approx(raw.diagonal().mean(), abs=1e-5)
    assert scores.worst_cosine == pytest.approx(raw.diagonal().min(), abs=1e-5)
    assert scores.centred_cosine == pytest.approx(centred.diagonal().mean(), abs=1e-5)
    assert scores.worst_centred_cosine == pytest.approx(centred.diagonal().min(), abs=1e-5)


def test_a_twin_with_the_same_vector_counts_as_right() -> None:
    vocabulary = small_vocabulary()
    vectors = vocabulary.vectors.copy()
    vectors[1] = vectors[0]
    twins = dataclasses.replace(vocabulary, vectors=vectors)
    tower = train_text_encoder(twins, clip_tokenizer(), small_training())
    assert evaluate_text_encoder(tower, clip_tokenizer(), twins, [0, 1]).bank.top1 == 1


def test_the_seed_decides_the_weights_and_nothing_else_does(tmp_path: Path) -> None:
    def weights(seed: int) -> torch.Tensor:
        torch.rand(seed + 3)  # what others draw does not matter
        config = small_training(epochs=2, seed=seed)
        tower = train_text_encoder(small_vocabulary(), clip_tokenizer(), config)
        return torch.cat([p.detach().flatten() for p in tower.parameters()])

    before = torch.get_rng_state()
    first = weights(1)
    assert torch.equal(weights(1), first)
    assert not torch.equal(weights(2), first)
    torch.rand(0)
    torch.set_rng_state(before)
    train_text_encoder(small_vocabulary(), clip_tokenizer(), small_training(epochs=1))
    assert torch.equal(torch.get_rng_state(), before)


def test_held_out_names_are_not_shown(trained: TextTower) -> None:
    vocabulary = small_vocabulary()
    config = small_training(held_out=0.25)
    rows = held_out_rows(vocabulary, config)
    assert len(rows) == 6
    tower = train_text_encoder(vocabulary, clip_tokenizer(), config)
    assert set(tower.known_tokens) < set(trained.known_tokens)
    shown = [row for row in range(len(NAMES)) if row not in rows]
    assert evaluate_text_encoder(tower, clip_tokenizer(), vocabulary, shown).overall.top1 == 1
    assert evaluate_text_encoder(tower, clip_tokenizer(), vocabulary, rows).overall.top1 < 0.5
    with pytest.raises(TrainingError, match="has not learnt all tokens"):
        bank_vectors(tower, clip_tokenizer(), vocabulary)


def test_the_log_has_a_line_an_epoch(tmp_path: Path) -> None:
    log = tmp_path / "runs" / "log.jsonl"
    train_text_encoder(small_vocabulary(), clip_tokenizer(), small_training(epochs=5), log)
    entries = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    assert [entry["epoch"] for entry in entries] == [0, 1, 2, 3, 4]
    assert entries[-1]["loss"] < entries[0]["loss"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "above zero, not 0"),
        ({"lr": 0.0}, "above zero"),
        ({"batch_size": 0}, "above zero"),
        ({"held_out": 1.0}, "held_out is a share"),
        ({"held_out": -0.1}, "held_out is a share"),
    ],
)
def test_configs_without_sense_are_refused(changes: dict[str, float], message: str) -> None:
    config = dataclasses.replace(TextTrainConfig(), **changes)  # type: ignore[arg-type]
    with pytest.raises(TrainingError, match=message):
        train_text_encoder(small_vocabulary(), clip_tokenizer(), config)


def test_a_checkpoint_brings_back_weights_names_and_record(
    trained: TextTower, tmp_path: Path
) -> None:
    vocabulary = small_vocabulary()
    path = tmp_path / "new" / "text_encoder.safetensors"
    saved = TextCheckpoint(trained, vocabulary.labels, vocabulary.aliases, {"seed": 0})
    save_text_encoder(path, saved)
    loaded = load_text_encoder(path)
    assert (loaded.labels, loaded.aliases) == (vocabulary.labels, vocabulary.aliases)
    assert loaded.record == {"seed": 0}
    assert loaded.tower.config == trained.config
    np.testing.assert_array_equal(
        bank_vectors(loaded.tower, clip_tokenizer(), loaded),
        bank_vectors(trained, clip_tokenizer(), vocabulary),
    )


def test_damaged_checkpoints_are_refused(trained: TextTower, tmp_path: Path) -> None:
    path = tmp_path / "text_encoder.safetensors"
    save_text_encoder(path, TextCheckpoint(trained, ("chair",), ((),), {}))
    tensors = load_file(path)
    about = json.dumps({"tower": dataclasses.asdict(trained.config), "labels": ["chair"]})
    metadata = {"format": "cg3d-text-encoder-1", "about": about}
    for tensor_changes, changes, message in (
        ({}, {"format": "other"}, "is not a text encoder of cg3d-train"),
        ({}, {"about": "{"}, "damaged text encoder"),
        ({}, {"about": "{}"}, "damaged text encoder"),
        ({}, {"about": '{"tower": {"width": 32, "depth": 2}}'}, "unknown key 'depth'"),
        ({}, {}, "damaged text encoder: KeyError.*aliases"),
        ({"positions": torch.zeros(2, 2)}, {}, "damaged text encoder.*positions"),
        ({"rows": torch.zeros(9, dtype=torch.int32)}, {}, "known tokens"),
    ):
        save_file(tensors | tensor_changes, path, metadata | changes)
        with pytest.raises(TrainingError, match=message):
            load_text_encoder(path)


def test_the_merges_are_those_of_the_installed_open_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = read_clip_merges().split("\n")
    assert (lines[0], lines[-1], len(lines)) == ("i n", "", 48895)
    read_clip_merges.cache_clear()
    monkeypatch.setattr(merges, "find_spec", lambda name: None)
    with pytest.raises(DependencyError, match=re.escape("pip install 'cg3d-sdk[train]'")):
        read_clip_merges()


def test_the_verb_trains_reports_and_saves(clip_text: Path, tmp_path: Path) -> None:
    output = tmp_path / "run" / "text.safetensors"
    options = ["--clip-text", str(clip_text), "-o", str(output)]
    options += ["--epochs", "2", "--held-out", "0.25"]
    shown = CliRunner().invoke(text_command, options)
    assert shown.exit_code == 0, shown.output
    assert "'a photo of a {}'" in shown.output
    assert "names not shown" in shown.output
    as_json = CliRunner().invoke(text_command, [*options, "--json"])
    record = json.loads(as_json.stdout)
    assert record == json.loads((output.with_name("report.json")).read_text(encoding="utf-8"))
    assert record["config"]["epochs"] == 2
    assert len(output.with_name("log.jsonl").read_text(encoding="utf-8").splitlines()) == 2
    checkpoint = load_text_encoder(output)
    assert checkpoint.record == record
    known = len(load_vocabulary(clip_text).labels)
    assert len(checkpoint.labels) == known - round(known / 4)
    assert bank_vectors(checkpoint.tower, clip_tokenizer(), checkpoint).shape[1] == 512


def test_vectors_of_another_size_than_the_towers_are_refused() -> None:
    with pytest.raises(TrainingError, match="vectors have 16 columns, the text tower 512"):
        train_text_encoder(small_vocabulary(), clip_tokenizer(), TextTrainConfig())


def test_every_name_of_the_shared_vocabulary_fits_the_context(shared: Path) -> None:
    vocabulary = load_vocabulary(shared / "data/clip-text")
    names = [*vocabulary.labels, *(alias for names in vocabulary.aliases for alias in names)]
    longest = max(len(clip_tokenizer().encode(fill(t, n))) for t in TEMPLATES for n in names)
    assert longest + 2 <= TextTrainConfig().tower.context_length
    assert vocabulary.vectors.shape[1] == TextTrainConfig().tower.embedding_dim != DIM
