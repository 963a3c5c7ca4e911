"""The example client, through the real tritonclient, against a stand-in for the server."""

from __future__ import annotations

import runpy
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from cg3d_export.triton import TritonRepository, write_triton
from cg3d_export.triton.schema import model_config_schema, parse_config
from cg3d_runtime.bundle import Bundle
from cg3d_runtime.engines.choose import open_engine
from cg3d_sdk import Recognizer
from cg3d_sdk.shipped import default_bundle

grpc = pytest.importorskip("grpc", reason="needs grpcio: pip install 'cg3d-sdk[dev]'")
pytest.importorskip("tritonclient.grpc", reason="needs tritonclient: pip install 'cg3d-sdk[dev]'")

SAMPLES = default_bundle().parents[1] / "samples"


def serve(repository: TritonRepository) -> Any:
    """Triton's gRPC service, as far as the client asks it: a config, and classifications."""
    from tritonclient.grpc import service_pb2, service_pb2_grpc

    folder = repository.folder
    schema = model_config_schema()
    assert schema is not None
    networks = {
        model: open_engine((folder / model / "1" / "model.onnx").read_bytes(), "cpu", 1)
        for model in (f"{repository.ensemble}_encoder", f"{repository.ensemble}_bank")
    }

    class Service(service_pb2_grpc.GRPCInferenceServiceServicer):
        def ModelConfig(self, request: Any, context: Any) -> Any:  # noqa: N802 - the protocol's
            text = (folder / request.name / "config.pbtxt").read_text()
            binary = parse_config(text, request.name, schema).SerializeToString()
            answer = service_pb2.ModelConfigResponse()
            answer.config.ParseFromString(binary)
            return answer

        def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802
            given = request.inputs[0]
            values = np.frombuffer(request.raw_input_contents[0], np.float32)
            tensors = {given.name: values.reshape(list(given.shape))}
            for network in networks.values():
                wanted = "points" if "embedding" not in tensors else "embedding"
                tensors |= network.run({wanted: tensors[wanted]})
            asked = request.outputs[0]
            top = asked.parameters["classification"].int64_param
            names = (folder / request.model_name / "labels.txt").read_text().splitlines()
            scores = tensors[asked.name]
            answer = service_pb2.ModelInferResponse(model_name=request.model_name)
            answer.outputs.add(name=asked.name, datatype="BYTES", shape=[len(scores), top])
            packed = b""
            for row in scores:
                for i in np.argsort(-row, kind="stable")[:top]:
                    entry = f"{row[i]:f}:{i}:{names[i]}".encode()
                    packed += len(entry).to_bytes(4, "little") + entry
            answer.raw_output_contents.append(packed)
            return answer

    server = grpc.server(futures.ThreadPoolExecutor(1))
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(Service(), server)
    return server


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("served") / "models"
    server = serve(write_triton(Bundle.open(default_bundle()), folder))
    port = server.add_insecure_port("localhost:0")
    server.start()
    yield f"localhost:{port}"
    server.stop(None)


def test_the_client_says_what_the_recognizer_says(url: str) -> None:
    example = runpy.run_path(str(Path(__file__).parents[2] / "examples" / "triton_client.py"))
    files = [str(SAMPLES / f"{name}.npz") for name in ("mug", "chair", "toilet")]
    arguments = [*files, "--url", url, "--up", "y", "--top", "3"]
    result = CliRunner().invoke(example["main"], arguments)
    assert result.exit_code == 0, result.output
    recognizer = Recognizer(engine="cpu", up="y", threads=1)
    for file, line in zip(files, result.output.splitlines(), strict=True):
        with np.load(file) as sample:
            ranking = recognizer.classify(sample["points"]).ranking[:3]
        said = ", ".join(f"{one.label} {one.score:.2f}" for one in ranking)
        assert line == f"{Path(file).name}: {said}"
