"""Ask a Triton server that serves a model repository of `cg3d-export --triton`.

    pip install 'cg3d-sdk[triton]'
    python examples/triton_client.py mug.ply chair.pcd --url robot-server:8001 --up z

The server holds the networks; this side prepares the clouds, with the function that the Recognizer
uses, and needs numpy alone for it. How many points to prepare is asked of the server, so a new
bundle there needs no change here. See docs/triton.md.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np

from cg3d_runtime.dependencies import require
from cg3d_runtime.files.read import read_points
from cg3d_runtime.points import PreprocessSpec, Up, prepare
from cg3d_sdk import Cg3dError


class TritonRecognizer:
    """Names clouds by asking a server. Keep one; it holds a connection."""

    def __init__(self, url: str, model: str) -> None:
        self._grpc: Any = require("tritonclient.grpc", "triton", "Asking a Triton server")
        self._client = self._grpc.InferenceServerClient(url)
        self.model = model
        config = self._client.get_model_config(model).config
        points = config.input[0].dims[0]
        candidates = int(config.parameters["candidates"].string_value)
        self.spec = PreprocessSpec(points, candidates)

    def classify(
        self, clouds: list[np.ndarray], up: Up = "z", top: int = 5
    ) -> list[list[tuple[str, float]]]:
        """The best labels of each cloud (N, 3+), with their scores."""
        points = np.stack([prepare(cloud, self.spec, up).cloud for cloud in clouds])
        given = self._grpc.InferInput("points", points.shape, "FP32")
        given.set_data_from_numpy(points)
        # Triton ranks the scores itself and adds the names from its file of labels.
        wanted = self._grpc.InferRequestedOutput("scores", class_count=top)
        answer = self._client.infer(self.model, [given], outputs=[wanted])
        return [[_ranked(entry) for entry in row] for row in answer.as_numpy("scores")]


def _ranked(entry: bytes) -> tuple[str, float]:
    """b"0.83:12:mug" to ("mug", 0.83); a name may hold colons as well."""
    score, _, label = entry.decode().split(":", 2)
    return label, float(score)


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--url", default="localhost:8001", show_default=True, help="Of Triton's gRPC port.")
@click.option("--model", default="household-small", show_default=True, help="The ensemble.")
@click.option("--up", type=click.Choice(["y", "z"]), default="z", show_default=True)
@click.option("--top", default=5, show_default=True, help="How many labels to show.")
def main(files: tuple[Path, ...], url: str, model: str, up: Up, top: int) -> None:
    """Name the clouds in FILES."""
    try:
        recognizer = TritonRecognizer(url, model)
        answers = recognizer.classify([read_points(file).points for file in files], up, top)
    except Cg3dError as error:
        raise click.ClickException(str(error)) from error
    for file, ranking in zip(files, answers, strict=True):
        said = ", ".join(f"{label} {score:.2f}" for label, score in ranking)
        click.echo(f"{file.name}: {said}")


if __name__ == "__main__":
    main()
