"""Credits for the objects that a recipe trains on, as Markdown to ship beside the weights."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from cg3d_training.data.household import HouseholdObject

#: The collections of the household set, as they call themselves.
COLLECTIONS = {
    "apc_objects": "Amazon Picking Challenge objects, Princeton",
    "assistive_gym": "Assistive Gym, Healthcare Robotics Lab",
    "aws_bookstore": "AWS RoboMaker Bookstore World, Amazon",
    "aws_hospital": "AWS RoboMaker Hospital World, Amazon",
    "aws_small-warehouse": "AWS RoboMaker Small Warehouse World, Amazon",
    "bigym": "BiGym",
    "cob_objects": "Care-O-bot objects, Fraunhofer IPA",
    "contactdb_stl": "ContactDB",
    "husarion": "Husarion",
    "ikea_manuals": "IKEA-Manuals-at-Work",
    "kaykit": "KayKit, Kay Lousberg",
    "kenney_fbx": "Kenney game assets",
    "kenney_furniture2": "Kenney Furniture Kit",
    "libero": "LIBERO",
    "osrf_gazebo": "Gazebo models, Open Source Robotics Foundation",
    "pal_worlds": "PAL Robotics worlds",
    "pmndrs_market": "Poimandres market",
    "px4": "PX4 Gazebo models",
    "quaternius": "Quaternius packs",
    "robosuite_objs": "robosuite objects",
    "sweethome3d": "Sweet Home 3D furniture libraries",
}


def attribution(objects: Sequence[HouseholdObject]) -> str:
    """Markdown: every collection, its licences, its authors and the names of their objects."""
    tree: dict[str, dict[str, dict[str, list[str]]]] = defaultdict(
        lambda: defaultdict(lambda: defaultdict(list))
    )
    for o in objects:
        tree[o.source][o.licence][o.creator or "the collection's authors"].append(o.name)
    lines = [
        "# Attribution",
        "",
        f"The weights beside this file were trained on point clouds sampled from {len(objects)} "
        "openly licensed 3D models. Their points were normalised and augmented; no model is "
        "contained in the weights. With thanks to:",
    ]
    for source in sorted(tree, key=_title):
        lines += ["", f"## {_title(source)}"]
        for licence, creators in sorted(tree[source].items()):
            lines += ["", f"Licence: {licence}", ""]
            for creator, names in sorted(creators.items()):
                counted = sorted({n: names.count(n) for n in names}.items())
                listed = ", ".join(n if count == 1 else f"{n} ({count})" for n, count in counted)
                lines.append(f"- **{creator}**: {listed}")
    return "\n".join(lines) + "\n"


def _title(source: str) -> str:
    return COLLECTIONS.get(source, source)
