"""Figure 5 as a picture: accuracy against the share of the training split."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cg3d_runtime.dependencies import require
from cg3d_training.paper.finetuned import Tuned, spread

#: As in the paper: dashed from scratch, solid from CG3D weights. Told apart by colour blind people.
_STYLES = {"scratch": ("--", "#D55E00"), "cg3d": ("-", "#0072B2")}


def draw_figure_5(runs: Sequence[Tuned], file: Path, voted: bool = False) -> None:
    """One panel an encoder and set; bars are deviations over seeds.

    Raises:
        DependencyError: matplotlib is not installed.
    """
    require("matplotlib", "plots", "Drawing Figure 5").use("Agg")
    plots = require("matplotlib.pyplot", "plots", "Drawing Figure 5")
    panels = sorted({(run.encoder, run.title) for run in runs})
    figure, axes = plots.subplots(
        1, len(panels), figsize=(4 * len(panels), 3), squeeze=False, layout="constrained"
    )
    for axis, (encoder, title) in zip(axes[0], panels, strict=True):
        for start, (line, colour) in _STYLES.items():
            own = [r for r in runs if (r.encoder, r.title, r.start) == (encoder, title, start)]
            shares = sorted({run.share for run in own})
            found = [spread([r for r in own if r.share == share], voted) for share in shares]
            if found:
                axis.errorbar(
                    [100 * share for share in shares], [100 * s.mean for s in found],
                    [100 * (s.std or 0.0) for s in found], label=start, linestyle=line,
                    color=colour, marker="o", markersize=3, capsize=2,
                )  # fmt: skip
        axis.set(title=f"{encoder}, {title}", xlabel="% of the training split", ylabel="% right")
        axis.legend(frameon=False)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=120)
    plots.close(figure)
