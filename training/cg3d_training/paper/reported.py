"""The numbers that the paper reports, to print beside one's own; percent."""

from __future__ import annotations

from collections.abc import Sequence

#: Table 1, zero-shot top-1: method -> set -> percent.
TABLE_1 = {
    "PointCLIP": {"modelnet10": 30.2, "modelnet40": 20.2, "scanobjectnn": 15.4},
    "PointTransformer + CG3D": {"modelnet10": 67.3, "modelnet40": 50.6, "scanobjectnn": 25.6},
    "PointMLP + CG3D": {"modelnet10": 64.1, "modelnet40": 50.4, "scanobjectnn": 25.0},
}

#: Table 2, overall accuracy after fine-tuning, mean and deviation of three runs:
#: (encoder, start) -> set -> (mean, deviation).
TABLE_2 = {
    ("point_transformer", "scratch"): {"modelnet40": (91.62, 0.29), "scanobjectnn": (75.56, 0.24)},
    ("point_transformer", "cg3d"): {"modelnet40": (92.93, 0.06), "scanobjectnn": (80.95, 0.54)},
    ("point_mlp", "scratch"): {"modelnet40": (92.61, 0.13), "scanobjectnn": (84.08, 0.55)},
    ("point_mlp", "cg3d"): {"modelnet40": (93.35, 0.18), "scanobjectnn": (85.78, 0.75)},
}

#: Table 3, zero-shot on ScanObjectNN (PB_T50_RS) by losses: (points-image, points-text, prompts).
TABLE_3 = {
    (True, False, False): 19.1,
    (False, True, False): 19.7,
    (True, True, False): 23.9,
    (True, True, True): 25.6,
}

#: Tables 4 and 5: method -> (ShapeNet, ModelNet40), classification by words and by linear probe.
TABLE_4 = {
    "PointCLIP": (33.6, 10.1),
    "CG3D-render": (77.8, 24.8),
    "CG3D-depth": (37.0, 34.4),
}
TABLE_5 = {
    "PointCLIP": (70.31, 43.31),
    "CG3D-render": (82.47, 46.15),
    "CG3D-depth": (70.38, 68.80),
}


def reported_table_1(titles: Sequence[str]) -> str:
    """Table 1 as the paper has it, for the sets among these that are in it; "" for none."""
    shown = [t for t in titles if t in next(iter(TABLE_1.values()))]
    if not shown:
        return ""
    lines = ["| the paper's Table 1 | " + " | ".join(shown) + " |", "|---|" + "---|" * len(shown)]
    lines += [
        f"| {method} | " + " | ".join(str(row[t]) for t in shown) + " |"
        for method, row in TABLE_1.items()
    ]
    return "\n".join(lines)


def reported_pictures(table: int) -> str:
    """Table 4 or 5 as the paper has it."""
    rows = TABLE_4 if table == 4 else TABLE_5
    lines = [f"| the paper's Table {table} | ShapeNet | ModelNet40 |", "|---|---|---|"]
    return "\n".join(lines + [f"| {name} | {a} | {b} |" for name, (a, b) in rows.items()])
