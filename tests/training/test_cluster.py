"""Work over Ray, against a stand-in with its interface: what is done, in which order, how often."""

from __future__ import annotations

import json
import random
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from small_meshes import write_glb, write_ply

from cg3d_runtime.errors import DependencyError
from cg3d_training.cli.main import main
from cg3d_training.data.cluster import run_on_ray
from cg3d_training.data.mesh_list import list_meshes
from cg3d_training.data.triplets import TripletSettings
from cg3d_training.prepare import prepare


class LostError(Exception):
    """A process ended."""


class StandIn(types.ModuleType):
    """Runs tasks when they are waited for, in an order that is nobody's."""

    def __init__(self) -> None:
        super().__init__("ray")
        self.exceptions = types.SimpleNamespace(
            WorkerCrashedError=LostError, NodeDiedError=LostError, OutOfMemoryError=MemoryError
        )
        self.running, self.most, self.order = False, 0, random.Random(3)
        self.pending: dict[object, tuple[Callable[[Any], Any], Any]] = {}

    def is_initialized(self) -> bool:
        return self.running

    def init(self, **options: Any) -> None:
        assert options == {"log_to_driver": False}
        self.running = True

    def shutdown(self) -> None:
        self.running = False

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 2.0}

    def remote(self, **options: Any) -> Any:
        assert options["num_cpus"] == 1

        def handle(function: Callable[[Any], Any]) -> Any:
            def submit(task: Any) -> object:
                reference = object()
                self.pending[reference] = function, task
                self.most = max(self.most, len(self.pending))
                return reference

            return types.SimpleNamespace(remote=submit)

        return handle

    def wait(self, references: list[Any], num_returns: int) -> tuple[list[Any], list[Any]]:
        assert num_returns == 1
        chosen = self.order.choice(references)
        return [chosen], [r for r in references if r is not chosen]

    def get(self, reference: Any) -> Any:
        function, task = self.pending.pop(reference)
        return function(task)


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    module = StandIn()
    monkeypatch.setitem(sys.modules, "ray", module)
    return module


def test_every_task_is_done_and_few_are_handed_out_at_a_time(ray: StandIn) -> None:
    def work(task: int) -> int:
        if task == 7:
            raise LostError
        return task * task

    results = list(run_on_ray(work, iter(range(40)), died=lambda task: -task))
    assert dict(results) == {i: -7 if i == 7 else i * i for i in range(40)}
    assert [task for task, _ in results] != list(range(40))
    assert ray.most == 8  # four for each of two cores
    assert not ray.running


def test_what_a_task_raises_is_raised_here(ray: StandIn) -> None:
    def work(task: int) -> int:
        raise DependencyError("no trimesh")

    with pytest.raises(DependencyError, match="no trimesh"):
        list(run_on_ray(work, range(3), died=lambda task: task))
    assert not ray.running


def test_the_same_shards_as_processes_make(ray: StandIn, tmp_path: Path) -> None:
    meshes = tmp_path / "meshes"
    meshes.mkdir()
    for i in range(4):
        write_ply(meshes / f"ball_{i}.ply")
    write_glb(meshes / "red_box.glb", (1.0, 0.0, 0.0))
    (meshes / "broken.obj").write_text("nothing")
    settings = TripletSettings(64, 1, 32)
    prepare(meshes, list_meshes(meshes), tmp_path / "here", settings, shard_objects=2)
    arguments = ["prepare", str(meshes), "-o", str(tmp_path / "there"), "--points", "64"]
    arguments += ["--views", "1", "--size", "32", "--shard-objects", "2", "--ray", "--json"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout[result.stdout.index("{") :])
    assert (report["written"], report["broken"], report["ray"]) == (5, 1, True)
    here, there = (
        {p.name: p.read_bytes() for p in (tmp_path / name).iterdir()} for name in ("here", "there")
    )
    assert here == there


def test_without_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(DependencyError, match=r"cg3d-sdk\[ray\]"):
        list(run_on_ray(str, range(3), died=str))
