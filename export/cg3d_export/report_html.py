"""The report as one page that needs nothing else: no network, no scripts, light and dark."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape

from cg3d_export.operators import TENSORRT
from cg3d_export.report import EngineRow, ExportReport

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2024; --dim: #5c6670; --paper: #fcfcfb;
  --line: #d8dcdf; --bar: #3b6ea5; --good: #22703a; --bad: #b3261e; --soft: #eef1f3; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e7ea; --dim: #9aa4ad; --paper: #16191c;
  --line: #343a40; --bar: #6fa3dc; --good: #6cc486; --bad: #f2857d; --soft: #20252a; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 64rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2.2rem 0 .5rem; }
p { margin: .3rem 0; } .dim { color: var(--dim); }
.good { color: var(--good); } .bad { color: var(--bad); } .good, .bad { font-weight: 600; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .3rem .7rem .3rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; }
th { font-weight: 600; white-space: nowrap; } td.n, th.n { text-align: right; white-space: nowrap; }
code { font: 13px ui-monospace, monospace; }
.bar { background: var(--bar); height: .7rem; min-width: 2px; border-radius: 2px; }
.track { background: var(--soft); min-width: 12rem; }
details > summary { cursor: pointer; }
"""


def report_html(report: ExportReport) -> str:
    """The page: verdict, engines, times, worst clouds, types, operators."""
    verdict = (
        '<p class="good">Every engine holds its bar.</p>'
        if report.passed
        else '<p class="bad">An engine is below its bar.</p>'
    )
    title = f"{escape(report.bundle)}: export report"
    return "\n".join(
        (
            "<!DOCTYPE html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{title}</title><style>{_STYLE}</style></head><body>",
            f"<h1>{title}</h1>",
            f'<p class="dim">Encoder in {report.precision}, compared on {report.clouds} clouds '
            f"({escape(report.source)}). Measured on {escape(report.machine)}.</p>",
            verdict,
            *_engines(report),
            *_times(report),
            *_worst(report),
            *_types(report),
            *_operators(report),
            "</body></html>\n",
        )
    )


def _engines(report: ExportReport) -> Iterator[str]:
    yield "<h2>Engines</h2>"
    yield f'<p class="dim">Each against {escape(report.reference)}. Top-5 is the share of the '
    yield "five best labels that both name.</p>"
    heads = (
        "Engine", "Precision", "Mean cosine", "At least", "Worst", "Top-1", "At least", "Top-5", ""
    )  # fmt: skip
    yield from _table(heads, (_engine(row, report) for row in report.engines), numbers=range(2, 8))


def _engine(row: EngineRow, report: ExportReport) -> tuple[str, ...]:
    name = escape(row.engine)
    if row.parity is None:
        return (name, row.precision, *[""] * 6, '<span class="dim">reference</span>')
    mark = '<span class="good">passed</span>' if row.passed else '<span class="bad">failed</span>'
    parity = row.parity
    return (
        name,
        row.precision,
        f"{parity.mean_cosine:.7f}",
        f"{report.mean_cosine[row.precision]:g}",
        f"{parity.worst_cosine:.7f}",
        f"{100 * parity.top1_agreement:.1f} %",
        f"{100 * report.top1_agreement[row.precision]:g} %",
        f"{100 * parity.top5_agreement:.1f} %",
        mark,
    )


def _times(report: ExportReport) -> Iterator[str]:
    times = [(row.engine, stage) for row in report.engines for stage in row.stages]
    if not times:
        return
    most = max(stage.median_ms for _, stage in times) or 1.0
    yield "<h2>Time for one cloud</h2>"
    yield '<p class="dim">Milliseconds, one cloud at a time; bars show the median.</p>'
    rows = (
        (
            escape(engine),
            stage.stage,
            f"{stage.median_ms:.2f}",
            f"{stage.p95_ms:.2f}",
            '<div class="track"><div class="bar" style="width:'
            f'{100 * stage.median_ms / most:.1f}%"></div></div>',
        )
        for engine, stage in times
    )
    yield from _table(("Engine", "Stage", "Median", "95 %", ""), rows, numbers=(2, 3))


def _worst(report: ExportReport) -> Iterator[str]:
    rows = [
        (
            escape(row.engine),
            escape(cloud.cloud),
            f"{cloud.cosine:.7f}",
            escape(cloud.expected),
            escape(cloud.found),
        )
        for row in report.engines
        for cloud in row.worst
    ]
    if rows:
        yield "<h2>Clouds that differ most</h2>"
        heads = ("Engine", "Cloud", "Cosine", "Label of the reference", "Label of the engine")
        yield from _table(heads, rows, numbers=(2,))


def _types(report: ExportReport) -> Iterator[str]:
    yield "<h2>What runs in which type</h2>"
    yield "<details open><summary>By module; arithmetic with shapes is left out</summary>"
    lines: dict[tuple[str, str], list[str]] = {}
    for row in report.types:
        number = f" x{row.count}" if row.count > 1 else ""
        lines.setdefault((row.module, row.type), []).append(f"{row.operator}{number}")
    rows = (
        (f"<code>{escape(module) or '-'}</code>", escape(kind), escape(", ".join(operators)))
        for (module, kind), operators in lines.items()
    )
    yield from _table(("Module", "Type", "Operators"), rows)
    yield "</details>"


def _operators(report: ExportReport) -> Iterator[str]:
    yield "<h2>Operators and TensorRT</h2>"
    yield '<p class="dim">By the published support tables; a build is the proof.</p>'
    good, bad = '<span class="good">yes</span>', '<span class="bad">{}</span>'
    rows = (
        (
            f"<code>{escape(row.operator)}</code>",
            str(row.count),
            *(
                bad.format(escape(row.problems[version])) if version in row.problems else good
                for version in TENSORRT
            ),
        )
        for row in report.operators
    )
    heads = ("Operator", "Count", *(f"{v} ({where})" for v, where in TENSORRT.items()))
    yield from _table(heads, rows, numbers=(1,))


def _table(
    heads: Iterable[str], rows: Iterable[tuple[str, ...]], numbers: Iterable[int] = ()
) -> Iterator[str]:
    """A table of cells that are HTML already."""
    right = set(numbers)

    def cells(tag: str, row: Iterable[str]) -> str:
        return "".join(
            f'<{tag} class="n">{cell}</{tag}>' if i in right else f"<{tag}>{cell}</{tag}>"
            for i, cell in enumerate(row)
        )

    yield f'<div class="wide"><table><tr>{cells("th", heads)}</tr>'
    for row in rows:
        yield f"<tr>{cells('td', row)}</tr>"
    yield "</table></div>"
