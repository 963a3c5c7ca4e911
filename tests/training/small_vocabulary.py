"""Two dozen names with made-up vectors around a common direction, as CLIP's are."""

from __future__ import annotations

import numpy as np

from cg3d_training.data.clip_text import Vocabulary
from cg3d_training.text.model import TextTowerConfig
from cg3d_training.text.train import TextTrainConfig

DIM = 16
NAMES = (
    "chair armchair table lamp mug bowl bottle sofa urn pan cup vase clock bench stool shelf "
    "basket bucket kettle teapot spoon fork knife plate"
).split()
ALIASES = {"sofa": ("couch", "settee"), "mug": ("coffee mug",)}


def small_vocabulary() -> Vocabulary:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(len(NAMES), DIM)) + 6 * np.eye(DIM)[2]
    return Vocabulary(
        tuple(NAMES), tuple(ALIASES.get(name, ()) for name in NAMES), vectors.astype(np.float32)
    )


def small_training(epochs: int = 150, **changes: float) -> TextTrainConfig:
    tower = TextTowerConfig(width=32, layers=1, heads=2, head_width=64, embedding_dim=DIM)
    return TextTrainConfig(tower, epochs=epochs, batch_size=27, warmup_steps=5, **changes)  # type: ignore[arg-type]
