"""K processes compute the loss and the gradients of the joined batch to 1e-6."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from world_task import CASES, compute

from cg3d_runtime.errors import TrainingError
from cg3d_training.runs.distributed import backend_for, own_device


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, torch.Tensor]]:
    """What each of two processes found."""
    folder = tmp_path_factory.mktemp("world")
    done = subprocess.run(
        [
            sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
            str(Path(__file__).with_name("world_task.py")), str(folder),
        ],
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return [load_file(folder / f"{rank}.safetensors") for rank in range(2)]


@pytest.mark.parametrize("case", CASES)
def test_the_joined_batch(found: list[dict[str, torch.Tensor]], case: str) -> None:
    batch_norm, _ = CASES[case]
    alone = compute(batch_norm, chunk=0)  # one process, the whole batch at once
    assert alone["gradient.temperature"].abs() > 1e-3
    for process in found:
        for key, value in alone.items():
            torch.testing.assert_close(process[f"{case}/{key}"], value, rtol=1e-6, atol=1e-6)


def test_all_stop_when_one_is_asked_to(found: list[dict[str, torch.Tensor]]) -> None:
    assert [process["asked"].tolist() for process in found] == [[True, False]] * 2


def test_every_process_takes_its_own_gpu() -> None:
    assert own_device("cuda", {"LOCAL_RANK": "1", "RANK": "9"}, 2) == "cuda:1"
    assert own_device("cuda", {}, 2) == "cuda"
    assert own_device("cpu", {"LOCAL_RANK": "1"}, 0) == "cpu"
    with pytest.raises(TrainingError, match="process 3 of this machine finds 2 GPUs"):
        own_device("cuda", {"LOCAL_RANK": "2"}, 2)
    assert backend_for("cpu") == "gloo"
    assert backend_for("cuda:1") == "cpu:gloo,cuda:nccl"  # states of randomness are on the CPU
