"""`cg3d info`: what a bundle is, checked."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cg3d_sdk.cli.engines import engine_lines
from cg3d_sdk.cli.options import bundle_argument, json_option
from cg3d_sdk.cli.output import plain

if TYPE_CHECKING:
    from cg3d_runtime.bundle import Bundle

_CARD = "MODEL_CARD.md"
_COLUMN = 24
_TASK = 38
_RESULTS = re.compile(r"^#+ [^\n]*(?:results|how good)[^\n]*\n(.*?)(?=^#|\Z)", re.I | re.M | re.S)


@click.command("info", short_help="Show what a bundle is, after checking every file in it.")
@bundle_argument
@json_option
def info_command(bundle: Path | None, as_json: bool) -> None:
    """Show what BUNDLE is (by default the one that ships) after checking every file in it.

    The lines under "engine" tell what would run it on this machine, and why not the others.

    \b
    Examples:
      cg3d info
      cg3d info my_bundle --json
    """
    from cg3d_runtime.bundle import Bundle
    from cg3d_sdk.doctor.bundle import engine_facts
    from cg3d_sdk.shipped import bundle_folder

    opened = Bundle.open(bundle_folder(bundle))
    opened.verify()
    engines = engine_facts(opened)
    if as_json:
        click.echo(json.dumps({**_facts(opened), **engines}, indent=1))
        return
    manifest = opened.manifest
    click.echo(
        f"{click.style(plain(manifest.name), bold=True)}, exported {plain(manifest.created)}, "
        f"bundle format {manifest.format}"
    )
    for key, value in (*_lines(opened), *engine_lines(engines)):
        click.echo(_wrapped(key, value))
    results = _results(opened)
    if results:
        click.echo(f"\nResults, from its {_CARD}:\n")
        click.echo(results)


def _facts(bundle: Bundle) -> dict[str, Any]:
    text = bundle.text()
    return {
        "path": str(bundle.root),
        "verified": True,
        "bytes": _size(bundle),
        "labels": len(text.labels),
        **dataclasses.asdict(bundle.manifest),
    }


def _size(bundle: Bundle) -> int:
    return sum(file.bytes for file in bundle.manifest.files.values())


def _lines(bundle: Bundle) -> Iterator[tuple[str, str]]:
    manifest, text = bundle.manifest, bundle.text()
    encoder, prepared, words = manifest.encoder, manifest.preprocess, manifest.text.encoder
    yield "folder", plain(bundle.root)
    yield (
        "encoder",
        f"{plain(encoder.architecture)}, {encoder.parameters / 1e6:.2f} M parameters, "
        f"{encoder.precision}, {encoder.embedding_dim} numbers out, opset {encoder.opset}",
    )
    yield "looks at", f"{prepared.points} points, chosen from {prepared.candidates}"
    aliases = sum(len(names) for names in text.aliases)
    yield "labels", f"{len(text.labels):,} and {aliases:,} further names of them"
    if words is None:
        yield "text encoder", "none: it knows its labels only"
    else:
        known = "any text" if words.open_vocabulary else "its labels and simple phrasings of them"
        yield "text encoder", f"up to {words.context_length} tokens; knows {known}"
    if manifest.text.phrasing is not None:
        templates = manifest.text.phrasing.templates
        yield (
            "asked as",
            f'"{plain(templates[0])}"'
            if len(templates) == 1
            else f'the mean of {len(templates)} phrasings, such as "{plain(templates[0])}"',
        )
    if manifest.image is not None:
        prompts = f", {manifest.image.prompts} visual prompts" if manifest.image.prompts else ""
        yield "image encoder", f"pictures of {manifest.image.size} x {manifest.image.size}{prompts}"
    measured = manifest.calibration
    yield (
        "unknown",
        "scores are not calibrated, and nothing is rejected (docs/unknown.md)"
        if measured is None
        else f"calibrated for {measured.levels[0].labels} to {measured.levels[-1].labels} labels; "
        "classify --reject 0.1 refuses what it does not know",
    )
    if manifest.scenes is not None:
        yield (
            "scenes",
            (
                f"a thing counts as found from a score of {manifest.scenes.found:g} on, "
                "among 100 candidates"
            ),
        )
    yield "files", f"{len(manifest.files)}, {_size(bundle) / 1e6:.1f} MB, every hash right"
    yield "licence", plain(manifest.licence)
    yield from _nested("parity", manifest.parity)
    record = manifest.training.get("record", manifest.training)
    yield from _nested("training", record if isinstance(record, Mapping) else {"record": record})


def _wrapped(key: str, value: str) -> str:
    """A line of the listing; what is long goes on below its column."""
    return click.wrap_text(
        value,
        width=max(60, shutil.get_terminal_size((100, 24)).columns),
        initial_indent=f"  {key:<{_COLUMN}}",
        subsequent_indent=" " * (_COLUMN + 2),
    )


def _nested(title: str, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """One line for the plain values, one more for each mapping among them, or in a list there."""
    single = {
        k: v for k, v in values.items() if not (isinstance(v, Mapping) or _is_list_of_mappings(v))
    }
    if single:
        yield title, _listed(single)
    for key, value in values.items():
        if _is_list_of_mappings(value):
            for number, each in enumerate(value, 1):
                plain_values = {k: v for k, v in each.items() if not isinstance(v, Mapping)}
                yield f"{title}, {plain(key).replace('_', ' ')} {number}", _listed(plain_values)
        if isinstance(value, Mapping):
            if all(type(count) is int for count in value.values()):  # JSON lost their order
                value = dict(sorted(value.items(), key=lambda item: -item[1]))
            yield f"{title}, {plain(key).replace('_', ' ')}", _listed(value)


def _is_list_of_mappings(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(v, Mapping) for v in value)


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{plain(k).replace('_', ' ')} {_short(v)}" for k, v in values.items())


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.7g}"
    if isinstance(value, (Mapping, list)):
        return plain(json.dumps(value))
    return plain(value)


def _results(bundle: Bundle) -> str:
    """The table of results in the model card, if there is one."""
    if _CARD not in bundle.manifest.files:
        return ""
    card = bundle.bytes(_CARD).decode("utf-8", errors="replace")
    found = _RESULTS.search(card)
    lines = found[1].splitlines() if found else []
    table = [
        [plain(cell).strip() for cell in line.split("|")[1:-1]]
        for line in lines
        if line.startswith("|") and set(line) - set("|-: ")
    ]
    return "\n".join(_aligned(table))


def _aligned(table: Sequence[Sequence[str]]) -> Iterator[str]:
    """A table in columns; long cells of the first are wrapped."""
    columns = list(zip_longest(*table, fillvalue=""))
    widths = [max(map(len, column)) for column in columns]
    widths[:1] = [min(width, _TASK) for width in widths[:1]]
    for first, *others in zip(*columns, strict=True):
        *above, last = textwrap.wrap(first, widths[0]) or [""]
        yield from (f"  {line}" for line in above)
        cells = [last, *others]
        padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        yield "  " + "  ".join(padded).rstrip()
