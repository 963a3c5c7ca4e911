"""`cg3d-train text`: train the small text encoder and say how near it comes to CLIP."""

from __future__ import annotations

import dataclasses
import json
import platform
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cg3d_training.cli.options import FOLDER, json_option

if TYPE_CHECKING:
    from cg3d_training.text.evaluate import TextReport, TextScores


@click.command("text")
@click.option(
    "--clip-text",
    "folder",
    type=FOLDER,
    required=True,
    help="Folder of CLIP's text vectors: names.json and one .npz.",
)
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="Checkpoint to write (.safetensors); log.jsonl and report.json go beside it.",
)
@click.option("--epochs", type=click.IntRange(min=1), help="Passes over the names.")
@click.option("--seed", type=int, help="Same seed, same weights.")
@click.option("--threads", default=1, show_default=True, help="CPU threads to train with.")
@click.option(
    "--held-out",
    type=float,
    help="Share of the names not shown, to measure how the encoder does for unknown ones.",
)
@json_option("Print the report as JSON.")
def text_command(
    folder: Path,
    output: Path,
    epochs: int | None,
    seed: int | None,
    threads: int,
    held_out: float | None,
    as_json: bool,
) -> None:
    """Train a small text encoder to reproduce CLIP's vectors for a vocabulary of names.

    \b
    Example:
      cg3d-train text --clip-text ../shared/data/clip-text -o runs/text/text_encoder.safetensors
    """
    import torch

    from cg3d_sdk.version import __version__
    from cg3d_training.data.clip_text import load_vocabulary
    from cg3d_training.text.checkpoint import TextCheckpoint, save_text_encoder
    from cg3d_training.text.evaluate import evaluate_text_encoder
    from cg3d_training.text.merges import clip_tokenizer
    from cg3d_training.text.model import TextTowerConfig
    from cg3d_training.text.train import TextTrainConfig, held_out_rows, train_text_encoder

    torch.set_num_threads(threads)
    vocabulary = load_vocabulary(folder)
    tokenizer = clip_tokenizer()
    options: dict[str, Any] = {"epochs": epochs, "seed": seed, "held_out": held_out}
    tower_config = TextTowerConfig(embedding_dim=vocabulary.vectors.shape[1])
    config = TextTrainConfig(tower_config, **{k: v for k, v in options.items() if v is not None})
    started = time.monotonic()
    tower = train_text_encoder(vocabulary, tokenizer, config, output.with_name("log.jsonl"))
    hidden = set(held_out_rows(vocabulary, config))
    shown = [row for row in range(len(vocabulary.labels)) if row not in hidden]
    report = evaluate_text_encoder(tower, tokenizer, vocabulary, shown)
    unseen = evaluate_text_encoder(tower, tokenizer, vocabulary, sorted(hidden)) if hidden else None
    parameters = sum(parameter.numel() for parameter in tower.parameters())
    record = {
        "cg3d_sdk": __version__,
        "torch": torch.__version__,
        "machine": f"{platform.machine()}, {threads} threads",
        "seconds": round(time.monotonic() - started),
        "parameters": parameters,
        "config": dataclasses.asdict(config),
        "report": dataclasses.asdict(report),
        "held_out": dataclasses.asdict(unseen) if unseen else None,
    }
    labels = tuple(vocabulary.labels[row] for row in shown)
    aliases = tuple(vocabulary.aliases[row] for row in shown)
    save_text_encoder(output, TextCheckpoint(tower, labels, aliases, record))
    text = json.dumps(record, indent=1)
    output.with_name("report.json").write_text(text + "\n", encoding="utf-8")
    click.echo(text if as_json else _as_table(report, unseen, parameters, output))


def _as_table(report: TextReport, unseen: TextReport | None, parameters: int, output: Path) -> str:
    rows = [(repr(template), scores) for template, scores in report.templates.items()]
    rows += [("all templates", report.overall), ("bank (mean)", report.bank)]
    if report.aliases:
        rows.append(("aliases", report.aliases))
    if unseen:
        rows.append(("names not shown", unseen.overall))
    lines = [f"{'':30} {'texts':>6} {'cosine':>7} {'worst':>7} {'centred':>8} {'worst':>7} top-1"]
    lines += [_as_line(name, scores) for name, scores in rows]
    lines.append(f"{parameters:,} parameters -> {output}")
    return "\n".join(lines)


def _as_line(name: str, scores: TextScores) -> str:
    return (
        f"{name:30} {scores.texts:6} {scores.cosine:7.4f} {scores.worst_cosine:7.4f} "
        f"{scores.centred_cosine:8.4f} {scores.worst_centred_cosine:7.4f} {scores.top1:6.2%}"
    )
