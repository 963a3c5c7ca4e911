"""What the hand-written names changed against the rule, counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from cg3d_training.data.household import HouseholdObject


@dataclass(frozen=True)
class CuratedReport:
    """Counts of objects.

    Attributes:
        objects: all of them; families: how many families they are of.
        ruled: named by the rule; labelled: given a label by the table.
        kept: both, with the rule's label among those of the table.
        changed: both, with other labels; gained: by the table only; lost: by the rule only.
        captioned: without a label, with a caption.
        uses: how many are good for what.
        fallbacks: without a row in the table, left to the rule.
    """

    objects: int
    families: int
    ruled: int
    labelled: int
    kept: int
    changed: int
    gained: int
    lost: int
    captioned: int
    uses: dict[str, int]
    fallbacks: int


def curated_report(
    ruled: Sequence[HouseholdObject], curated: Sequence[HouseholdObject]
) -> CuratedReport:
    """Compare the same objects, row by row, named by the rule and by the table."""
    pairs = list(zip(ruled, curated, strict=True))
    both = [(r.name_row, c.rows) for r, c in pairs if r.name_row is not None and c.rows]
    kept = sum(row in rows for row, rows in both)
    by_rule = sum(r.name_row is not None for r, _ in pairs)
    labelled = sum(bool(c.rows) for _, c in pairs)
    return CuratedReport(
        objects=len(pairs), families=len({c.family for _, c in pairs} - {None}),
        ruled=by_rule, labelled=labelled, kept=kept, changed=len(both) - kept,
        gained=labelled - len(both), lost=by_rule - len(both),
        captioned=sum(not c.rows and bool(c.caption) for _, c in pairs),
        uses=dict(Counter(c.use for _, c in pairs).most_common()),
        fallbacks=sum(c.family is None for _, c in pairs),
    )  # fmt: skip
