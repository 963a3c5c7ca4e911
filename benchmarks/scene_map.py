"""`SceneMap` over a thousand frames of a simulated depth camera that walks through rooms.

    python benchmarks/scene_map.py --frames 1000 --json benchmarks/scene_map.json

The rooms stand in a row, and the camera goes round in one after the other, so that what lies behind
is forgotten. Told: memory and voxels over frames, CPU seconds of `add` by stage, of a query, and of
each room's furniture what is found within 10 cm, under how many ids, and whether its name is the
best of the room's; beside it how much of a piece's surface was seen at all, and how far the middle
of that alone is from the piece's. CPU seconds are of the one thread that everything runs in; where
other work shares the machine they say more than the clock.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import click
import numpy as np

from cg3d_runtime.scene.boxes import fitted_box, oriented_box
from cg3d_sdk import MapSettings, Recognizer, SceneMap
from cg3d_training.render.depth_camera import DepthCamera, tour
from cg3d_training.render.seen import SeenSurface
from cg3d_training.shapes.rooms import Room, furnished_room

SEEDS = (3, 4, 5, 6, 7)
APART = 8.0  # metres from the middle of a room to the next one's
QUESTIONS = ("mug", "sofa", "where can I sit?")
NEAR = 0.1


def main() -> None:
    """Walk, measure, print, and write the numbers where they were asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=1000)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--most-voxels", type=int, default=400_000)
    parser.add_argument("--reach", type=float, default=10.0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    recognizer = Recognizer(options.bundle, engine="cpu", threads=1)
    recognizer.warmup()
    settings = MapSettings(most_voxels=options.most_voxels, reach=options.reach)
    scene, camera = SceneMap(recognizer, settings), DepthCamera()
    rng = np.random.default_rng(0)
    each = max(1, options.frames // len(SEEDS))
    frames: list[dict[str, float]] = []
    queries: list[dict[str, float]] = []
    rooms: list[dict[str, Any]] = []
    with click.progressbar(length=each * len(SEEDS)) as bar:
        for place, seed in enumerate(SEEDS):
            room = furnished_room(seed)
            offset = np.eye(4)
            offset[0, 3] = place * APART
            ids: dict[int, set[int]] = defaultdict(set)
            surface = SeenSurface(room, settings.range)
            for pose in tour(room, each):
                frame = camera.look(room, pose, rng)
                surface.add(frame)
                points = frame.points
                start, wall = time.process_time(), time.perf_counter()
                spent = scene.add(points, offset @ pose)
                cpu, wall = time.process_time() - start, time.perf_counter() - wall
                frames.append(
                    {
                        "fuse": spent.fuse, "cut": spent.cut, "embed": spent.embed,
                        "views": spent.views, "cpu": cpu, "wall": wall,
                        "voxels": scene.voxels, "bytes": scene.memory,
                    }
                )  # fmt: skip
                bar.update(1)
                if len(frames) % 10 == 0:
                    queries += [asked(scene, question) for question in QUESTIONS]
                    for number, thing in matches(scene, room, offset).items():
                        ids[number].add(thing)
            rooms.append(judged(scene, recognizer, room, offset, ids, surface))
    result = summary(frames, queries, rooms, settings, recognizer)
    click.echo(json.dumps(result, indent=1))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def asked(scene: SceneMap, question: str) -> dict[str, float]:
    """CPU and wall seconds of one query, and the things that it chose from."""
    start = time.process_time()
    answer = scene.query(question)
    return {"cpu": time.process_time() - start, "wall": answer.seconds}


def matches(scene: SceneMap, room: Room, offset: np.ndarray) -> dict[int, int]:
    """The id of the thing within 10 cm of each piece of furniture that has one."""
    objects = scene.objects
    found = {}
    for number in room.furniture:
        centre = oriented_box(room.things[number].mesh.vertices).centre + offset[:3, 3]
        near = [o.id for o in objects if np.linalg.norm(o.oriented_box.centre - centre) < NEAR]
        if near:
            found[number] = near[0]
    return found


def judged(
    scene: SceneMap, recognizer: Recognizer, room: Room, offset: np.ndarray,
    ids: dict[int, set[int]], surface: SeenSurface,
) -> dict[str, Any]:  # fmt: skip
    """What was found of a room at its end, and what it was called among the room's names."""
    found = matches(scene, room, offset)
    shares = surface.shares(scene.settings.sure)
    recognizer.set_labels(sorted({room.names[i] for i in room.furniture}))
    labels = {thing.id: thing.label for thing in scene.objects}
    recognizer.set_labels(None)
    named = [labels[id] == room.names[number] for number, id in found.items()]
    return {
        "things": len(room.furniture),
        "found": len(found),
        "missed": sorted(room.names[i] for i in set(room.furniture) - set(found)),
        "ids_each": [len(own) for own in ids.values()],
        "named_right": sum(named),
        "pieces": [
            {
                "name": room.names[number],
                "seen": round(float(shares[number]), 3),
                "seen_middle_off_cm": middle_off(surface, room, number, scene.settings),
                "found": number in found,
            }
            for number in room.furniture
        ],
    }


def middle_off(
    surface: SeenSurface, room: Room, number: int, settings: MapSettings
) -> float | None:
    """Centimetres from the middle of what was seen of a piece to its own; None if nothing was."""
    seen = surface.seen_of(number, settings.sure)
    if not len(seen):
        return None
    own = oriented_box(room.things[number].mesh.vertices).centre
    off = np.linalg.norm(fitted_box(seen, settings.voxel).centre - own)
    return round(100 * float(off), 1)


def summary(
    frames: list[dict[str, float]], queries: list[dict[str, float]], rooms: list[dict[str, Any]],
    settings: MapSettings, recognizer: Recognizer,
) -> dict[str, Any]:  # fmt: skip
    """Percentiles and totals."""
    cuts = [f for f in frames if f["cut"] > 0]
    pieces = [piece for room in rooms for piece in room["pieces"]]
    ids = [count for room in rooms for count in room["ids_each"]]
    return {
        "bundle": recognizer.bundle.manifest.name,
        "frames": len(frames),
        "most_voxels": settings.most_voxels,
        "reach": settings.reach,
        "voxels_over_frames": [int(f["voxels"]) for f in frames[:: max(1, len(frames) // 20)]],
        "megabytes_over_frames": [
            round(f["bytes"] / 1e6, 1) for f in frames[:: max(1, len(frames) // 20)]
        ],
        "megabytes_most": round(max(f["bytes"] for f in frames) / 1e6, 1),
        "add_cpu_ms": percentiles([f["cpu"] for f in frames]),
        "add_cpu_ms_without_cut": percentiles([f["cpu"] for f in frames if f["cut"] == 0]),
        "add_wall_ms": percentiles([f["wall"] for f in frames]),
        "fuse_wall_ms": percentiles([f["fuse"] for f in frames]),
        "cut_wall_ms": percentiles([f["cut"] for f in cuts]),
        "embed_wall_ms": percentiles([f["embed"] for f in frames]),
        "views_per_frame": float(np.mean([f["views"] for f in frames])),
        "query_cpu_ms": percentiles([q["cpu"] for q in queries]),
        "query_wall_ms": percentiles([q["wall"] for q in queries]),
        "things": sum(room["things"] for room in rooms),
        "found_within_10_cm": sum(room["found"] for room in rooms),
        "found_by_share_seen": {
            f"{least:.2f}": [sum(p["found"] for p in own), len(own)]
            for least in (0.0, 0.25, 0.33, 0.5)
            for own in [[p for p in pieces if p["seen"] >= least]]
        },
        "middle_of_seen_within_10_cm": sum(
            p["seen_middle_off_cm"] is not None and p["seen_middle_off_cm"] < 100 * NEAR
            for p in pieces
        ),
        "with_one_id": sum(count == 1 for count in ids),
        "with_any_id": len(ids),
        "named_right_of_found": sum(room["named_right"] for room in rooms),
        "rooms": rooms,
    }


def percentiles(seconds: list[float]) -> dict[str, float]:
    """Milliseconds."""
    if not seconds:
        return {}
    values = np.array(seconds) * 1e3
    told = {f"p{p}": round(float(np.percentile(values, p)), 2) for p in (50, 90, 99)}
    return {**told, "max": round(float(values.max()), 2)}


if __name__ == "__main__":
    main()
