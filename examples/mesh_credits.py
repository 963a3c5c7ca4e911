"""Write the credits of a list of meshes as Markdown.

    python examples/mesh_credits.py meshes.json -o docs/ATTRIBUTION-meshes.md

The list is what `cg3d-train prepare --names` takes; its meshes are grouped by their `set`, licence
and creator.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import click

from cg3d_training.attribution import COLLECTIONS
from cg3d_training.data.mesh_list import MeshItem, list_meshes

_TERMS = {
    "CC-BY": "CC-BY (https://creativecommons.org/licenses/by/4.0/ or the earlier version that the "
    "collection names)",
    "CC0": "CC0 (https://creativecommons.org/publicdomain/zero/1.0/)",
    "CC-0": "CC0 (https://creativecommons.org/publicdomain/zero/1.0/)",
    "CC0 (Quaternius packs)": "CC0 (https://creativecommons.org/publicdomain/zero/1.0/)",
    "MIT-0": "MIT-0 (https://opensource.org/license/mit-0)",
}


def credits_of(items: list[MeshItem]) -> str:
    groups: dict[str, dict[tuple[str, str], list[str]]] = defaultdict(lambda: defaultdict(list))
    for item in items:
        source = item.details.get("set", "")
        terms = _TERMS.get(item.licence, item.licence)
        maker = item.creator or "the collection's authors"
        groups[COLLECTIONS.get(source, source)][terms, maker].append(item.name)
    lines = [
        "# Attribution of the pictured meshes",
        "",
        f"`images/meshes.jpg` shows {len(items)} openly licensed 3D models, drawn by `cg3d-train "
        "prepare`: centred, scaled, lit and reduced to small pictures. With thanks to:",
    ]
    for source, makers in sorted(groups.items()):
        lines += ["", f"## {source}"]
        for (terms, maker), names in sorted(makers.items()):
            lines += ["", f"**{maker}**, {terms}: {', '.join(sorted(names))}"]
    return "\n".join(lines) + "\n"


@click.command()
@click.argument("listing", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(dir_okay=False, path_type=Path))
def main(listing: Path, output: Path) -> None:
    """Write the credits of the meshes in LISTING."""
    output.write_text(credits_of(list_meshes(listing.parent, listing)), encoding="utf-8")


if __name__ == "__main__":
    main()
