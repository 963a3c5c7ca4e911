"""The network of the small text encoder: CLIP token ids to a vector of CLIP's space.

A transformer over the few tokens that a vocabulary's names consist of, read out at the start token
by a wide two-layer head. The head holds most of what is memorised, because it runs once a text and
the blocks once a token.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cg3d_runtime.errors import TrainingError
from cg3d_runtime.text.tokenizer import CLIP_VOCABULARY_SIZE

# Finite and within FP16's range, so that a padded position gets no attention in any precision.
_MASKED = -1e4


@dataclass(frozen=True)
class TextTowerConfig:
    """The shape of a `TextTower`.

    Attributes:
        context_length: tokens a text may have, start and end included.
        width: features a token.
        layers: transformer blocks.
        heads: attention heads of a block; divides width.
        head_width: hidden features of the read-out.
        embedding_dim: size of the vectors to reproduce, 512 for CLIP ViT-B.
    """

    context_length: int = 24
    width: int = 192
    layers: int = 2
    heads: int = 3
    head_width: int = 1536
    embedding_dim: int = 512


class TextTower(nn.Module):
    """CLIP token ids (B, L) int64 -> (B, embedding_dim) float32, not normalised.

    Only `known_tokens` have rows in the embedding table; `rows` maps CLIP's 49,408 ids to them. An
    unknown token and padding have row 0, which is masked, so the network ignores what it does not
    know: whoever asks decides beforehand whether it may be asked (`TextEncoder` does).

    Args:
        config: the shape.
        known_tokens: CLIP ids that get a row, the start and end of text among them; 0 never does.

    Raises:
        TrainingError: no tokens, ids that are not CLIP's, or a width the heads do not divide.
    """

    rows: Tensor

    def __init__(self, config: TextTowerConfig, known_tokens: Iterable[int]) -> None:
        super().__init__()
        # 0 pads. It is also "!" before another sign, which no name needs.
        known = sorted(set(known_tokens) - {0})
        if not known or known[0] < 0 or known[-1] >= CLIP_VOCABULARY_SIZE:
            raise TrainingError(
                f"known tokens must be CLIP ids from 0 to {CLIP_VOCABULARY_SIZE - 1}, and some"
            )
        if config.width % config.heads:
            raise TrainingError(
                f"text tower: width {config.width} is not a multiple of heads {config.heads}"
            )
        self.config = config
        rows = torch.zeros(CLIP_VOCABULARY_SIZE, dtype=torch.int32)
        rows[known] = torch.arange(1, len(known) + 1, dtype=torch.int32)
        self.register_buffer("rows", rows)
        self.table = nn.Embedding(len(known) + 1, config.width)
        self.positions = nn.Parameter(torch.empty(config.context_length, config.width))
        self.blocks = nn.ModuleList(
            _Block(config.width, config.heads) for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(config.width)
        self.hidden = nn.Linear(config.width, config.head_width)
        self.output = nn.Linear(config.head_width, config.embedding_dim)
        self.skip = nn.Linear(config.width, config.embedding_dim, bias=False)
        nn.init.normal_(self.table.weight, std=0.5)
        nn.init.normal_(self.positions, std=0.1)

    @property
    def known_tokens(self) -> list[int]:
        """The CLIP ids that have a row of their own, ascending."""
        return [int(i) for i in torch.nonzero(self.rows).flatten()]

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, L) int64 CLIP ids, start token first, 0-padded, L <= context_length -> (B, d)."""
        rows = self.rows[tokens]
        x = self.table(rows) + self.positions[: tokens.shape[1]]
        mask = torch.where(rows == 0, _MASKED, 0.0).to(x.dtype)[:, None, None, :]
        for block in self.blocks:
            x = block(x, mask)
        pooled = self.norm(x[:, 0])
        vector = self.output(nn.functional.gelu(self.hidden(pooled))) + self.skip(pooled)
        # FP32 whatever precision the weights are stored in.
        in_fp32: Tensor = vector.float()
        return in_fp32


class _Block(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.project = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.expand = nn.Linear(width, 4 * width)
        self.contract = nn.Linear(4 * width, width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, L, width) features and (B, 1, 1, L) added to the scores -> (B, L, width)."""
        batch, length, width = x.shape
        # Attention in plain operations: it exports to any opset, and texts are short.
        qkv = self.qkv(self.norm1(x)).reshape(batch, length, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        scores = q @ k.transpose(-1, -2) * (width // self.heads) ** -0.5 + mask
        mixed = (scores.softmax(-1) @ v).transpose(1, 2).reshape(batch, length, width)
        x = x + self.project(mixed)
        mlp: Tensor = self.contract(nn.functional.gelu(self.expand(self.norm2(x))))
        return x + mlp
