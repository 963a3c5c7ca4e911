"""The text encoder's network: padding, unknown tokens, sizes, and its ONNX graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from cg3d_runtime.errors import TrainingError
from cg3d_runtime.text.tokenizer import CLIP_VOCABULARY_SIZE
from cg3d_training.text.merges import clip_tokenizer
from cg3d_training.text.model import TextTower, TextTowerConfig

TEXTS = ["chair", "a photo of an armchair", "This is a pan (metal container)", "the sofa"]


def tower(**changes: int) -> TextTower:
    sizes = {"width": 32, "layers": 2, "heads": 2, "head_width": 64, "embedding_dim": 16}
    torch.manual_seed(0)
    return TextTower(TextTowerConfig(**(sizes | changes)), tokens(24).unique().tolist()).eval()


def tokens(length: int) -> torch.Tensor:
    return torch.from_numpy(clip_tokenizer()(TEXTS, length))


def test_texts_of_a_batch_do_not_touch_each_other() -> None:
    together = tower()(tokens(24))
    alone = torch.cat([tower()(row[None]) for row in tokens(24)])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-5)
    assert together.shape == (4, 16)
    assert torch.pdist(together).min() > 0.01


def test_padding_does_not_matter() -> None:
    torch.testing.assert_close(tower()(tokens(24)), tower()(tokens(13)), rtol=1e-5, atol=1e-5)


def test_the_order_of_words_matters() -> None:
    swapped = tokens(24)
    swapped[1, [1, 4]] = swapped[1, [4, 1]]
    assert (tower()(swapped) - tower()(tokens(24)))[1].abs().max() > 1e-3


def test_unknown_tokens_at_the_end_are_like_padding() -> None:
    network = tower()
    unknown = next(i for i in range(1, 999) if i not in network.known_tokens)
    followed = tokens(24)
    followed[:, 15] = unknown
    torch.testing.assert_close(network(followed), network(tokens(24)), rtol=1e-5, atol=1e-5)


def test_known_tokens_are_those_given_but_never_the_padding() -> None:
    assert tower().known_tokens == sorted(set(tokens(24).flatten().tolist()) - {0})


def test_half_precision_weights_give_float32_near_the_full_ones() -> None:
    vectors = tower().half()(tokens(24))
    assert vectors.dtype == torch.float32
    torch.testing.assert_close(vectors, tower()(tokens(24)), rtol=0.02, atol=0.02)


@pytest.mark.parametrize("known", [[], [0], [-1, 5], [CLIP_VOCABULARY_SIZE]])
def test_tokens_that_are_not_clips_are_refused(known: list[int]) -> None:
    with pytest.raises(TrainingError, match="known tokens must be CLIP ids"):
        TextTower(TextTowerConfig(), known)


def test_a_width_that_the_heads_do_not_divide_is_refused() -> None:
    with pytest.raises(TrainingError, match="width 32 is not a multiple of heads 3"):
        tower(heads=3)


def test_the_onnx_graph_gives_what_torch_gives_for_any_batch(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript", reason="needs the extra [export]")
    onnxruntime = pytest.importorskip("onnxruntime", reason="needs an engine")
    path = tmp_path / "encoder.onnx"
    torch.onnx.export(
        tower(),
        (tokens(24)[:2],),
        path,
        input_names=["tokens"],
        # Not "embedding", which is what the exporter calls the rows of the table.
        output_names=["vectors"],
        dynamic_shapes={"tokens": {0: torch.export.Dim("batch")}},
        opset_version=18,
        dynamo=True,
        external_data=False,
        verbose=False,
    )
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for batch in (1, 2, 4):
        asked = tokens(24)[:batch]
        (vectors,) = session.run(["vectors"], {"tokens": asked.numpy()})
        with torch.no_grad():
            expected = tower()(asked).numpy()
        assert vectors.dtype == np.float32
        np.testing.assert_allclose(vectors, expected, atol=1e-5)
