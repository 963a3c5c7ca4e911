"""The published forward passes of ULIP, OpenShape and Uni3D, put together from other layers.

Written from the public definitions, with torch's own transformer layers and timm's EVA blocks,
loops over points where the encoders have batched products, and weights by their published names
alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from timm.models.eva import EvaBlock
from torch import Tensor, nn
from torch.nn import functional

State = Mapping[str, Tensor]


def part(state: State, prefix: str) -> dict[str, Tensor]:
    """The names below a prefix."""
    return {k[len(prefix) :]: v for k, v in state.items() if k.startswith(prefix)}


def load(module: Any, state: State, prefix: str) -> Any:
    """A layer with its published weights, in eval mode."""
    own = part(state, prefix)
    module.load_state_dict(own if own else None, strict=True)
    return module.eval()


def furthest(xyz: np.ndarray, m: int, skip: bool) -> list[int]:
    """Furthest point sampling from the first point, in float64 one point after the other."""
    nearest = np.full(len(xyz), 1e10)
    if skip:
        nearest[(xyz.astype(np.float64) ** 2).sum(1) <= 1e-3] = -1
    rows = [0]
    while len(rows) < m:
        nearest = np.minimum(nearest, ((xyz - xyz[rows[-1]]).astype(np.float64) ** 2).sum(1))
        rows.append(int(nearest.argmax()))
    return rows


def nearest(points: np.ndarray, m: int, k: int) -> tuple[Tensor, Tensor]:
    """Patches (G, k, C) of the k nearest points, coordinates relative; centres (G, 3)."""
    xyz = points[:, :3]
    centres = xyz[furthest(xyz, m, skip=True)]
    patches = []
    for centre in centres:
        rows = np.argsort(((xyz - centre) ** 2).sum(1), kind="stable")[:k]
        patches.append(np.concatenate([xyz[rows] - centre, points[rows, 3:]], axis=1))
    return torch.tensor(np.stack(patches)), torch.tensor(centres)


def mini_pointnet(state: State, prefix: str, patches: Tensor) -> Tensor:
    """(G, k, C) to (G, out), with torch's convolutions over the whole."""
    w = part(state, prefix)
    hidden, wide = w["first_conv.0.weight"].shape[0], w["first_conv.3.weight"].shape[0]
    first = nn.Sequential(
        nn.Conv1d(patches.shape[-1], hidden, 1), nn.BatchNorm1d(hidden), nn.ReLU(),
        nn.Conv1d(hidden, wide, 1),
    )  # fmt: skip
    second = nn.Sequential(
        nn.Conv1d(2 * wide, 2 * wide, 1), nn.BatchNorm1d(2 * wide), nn.ReLU(),
        nn.Conv1d(2 * wide, w["second_conv.3.weight"].shape[0], 1),
    )  # fmt: skip
    load(first, w, "first_conv.")
    load(second, w, "second_conv.")
    local = first(patches.transpose(1, 2))
    whole = local.max(dim=2, keepdim=True).values.expand_as(local)
    out: Tensor = second(torch.cat([whole, local], dim=1)).max(dim=2).values
    return out


def positions(state: State, prefix: str, centres: Tensor) -> Tensor:
    """The MLP on patch centres."""
    w = part(state, prefix)
    layers = nn.Sequential(nn.Linear(3, 128), nn.GELU(), nn.Linear(128, w["2.weight"].shape[0]))
    out: Tensor = load(layers, w, "")(centres)
    return out


def linear(state: State, name: str, x: Tensor) -> Tensor:
    """A linear layer by its name."""
    return functional.linear(x, state[f"{name}.weight"], state.get(f"{name}.bias"))


def pre_norm_layer(width: int, heads: int, hidden: int) -> nn.TransformerEncoderLayer:
    """torch's own block of the kind that Point-BERT uses."""
    return nn.TransformerEncoderLayer(
        width, heads, hidden, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
    )


def ulip_forward(state: State, cloud: np.ndarray, groups: int, size: int, heads: int) -> Tensor:
    """(N, 3 or 6) to (d,)."""
    w = part(state, "point_encoder.")
    patches, centres = nearest(cloud, groups, size)
    tokens = linear(w, "reduce_dim", mini_pointnet(w, "encoder.", patches))
    x = torch.cat([w["cls_token"][0], tokens])[None]
    pos = torch.cat([w["cls_pos"][0], positions(w, "pos_embed.", centres)])[None]
    depth = 1 + max(int(k.split(".")[2]) for k in w if k.startswith("blocks.blocks."))
    for i in range(depth):
        b = part(w, f"blocks.blocks.{i}.")
        layer = pre_norm_layer(x.shape[-1], heads, b["mlp.fc1.weight"].shape[0])
        layer.load_state_dict({
            "self_attn.in_proj_weight": b["attn.qkv.weight"],
            "self_attn.in_proj_bias": torch.zeros(3 * x.shape[-1]),
            "self_attn.out_proj.weight": b["attn.proj.weight"],
            "self_attn.out_proj.bias": b["attn.proj.bias"],
            "linear1.weight": b["mlp.fc1.weight"], "linear1.bias": b["mlp.fc1.bias"],
            "linear2.weight": b["mlp.fc2.weight"], "linear2.bias": b["mlp.fc2.bias"],
            "norm1.weight": b["norm1.weight"], "norm1.bias": b["norm1.bias"],
            "norm2.weight": b["norm2.weight"], "norm2.bias": b["norm2.bias"],
        })  # fmt: skip
        x = layer.eval()(x + pos)
    x = functional.layer_norm(x, x.shape[-1:], w["norm.weight"], w["norm.bias"])
    feature = torch.cat([x[0, 0], x[0, 1:].max(dim=0).values])
    return feature @ state["pc_projection"]


def open_shape_forward(
    state: State, cloud: np.ndarray, groups: int, radius: float, size: int
) -> Tensor:
    """(N, 6), in the frame of the network, to (d,); names begin at `ppat.`."""
    w = part(state, "ppat.")
    xyz = cloud[:, :3]
    centres = xyz[furthest(xyz, groups, skip=False)]
    patches = []
    for centre in centres:
        rows = np.flatnonzero(((xyz - centre).astype(np.float64) ** 2).sum(1) <= radius**2)[:size]
        rows = np.concatenate([rows, np.full(size - len(rows), rows[0])])
        patches.append(np.concatenate([xyz[rows] - centre, cloud[rows]], axis=1))
    x = torch.tensor(np.stack(patches)).permute(2, 1, 0)[None]  # (1, 9, k, G)
    for i in range(3):
        convolved = functional.conv2d(x, w[f"sa.mlp_convs.{i}.weight"], w[f"sa.mlp_convs.{i}.bias"])
        bn = part(w, f"sa.mlp_bns.{i}.")
        x = functional.batch_norm(
            convolved, bn["running_mean"], bn["running_var"], bn["weight"], bn["bias"]
        ).relu()
    features = torch.cat([torch.tensor(centres).T[None], x.max(dim=2).values], dim=1)
    tokens = functional.conv1d(features, w["lift.0.weight"], w["lift.0.bias"]).transpose(1, 2)
    tokens = functional.layer_norm(tokens, tokens.shape[-1:], w["lift.2.weight"], w["lift.2.bias"])
    x = torch.cat([w["cls_token"][None, None], tokens], dim=1)
    depth = 1 + max(int(k.split(".")[2]) for k in w if k.startswith("transformer.layers."))
    width = x.shape[-1]
    for i in range(depth):
        a, b = (part(w, f"transformer.layers.{i}.{j}.") for j in (0, 1))
        attention = nn.MultiheadAttention(width, width // 64, batch_first=True).eval()
        attention.load_state_dict({
            "in_proj_weight": a["fn.to_qkv.weight"], "in_proj_bias": torch.zeros(3 * width),
            "out_proj.weight": a["fn.to_out.0.weight"], "out_proj.bias": a["fn.to_out.0.bias"],
        })  # fmt: skip
        y = functional.layer_norm(x, [width], a["norm.weight"], a["norm.bias"])
        x = x + attention(y, y, y)[0]
        y = functional.layer_norm(x, [width], b["norm.weight"], b["norm.bias"])
        x = x + linear(b, "fn.net.3", functional.gelu(linear(b, "fn.net.0", y)))
    out = x[0, 0]
    return linear(state, "proj", out) if "proj.weight" in state else out


def uni3d_forward(
    state: State, cloud: np.ndarray, groups: int, size: int, eva: dict[str, Any]
) -> Tensor:
    """(N, 6) to (d,); `eva` are the arguments of timm's block."""
    w = part(state, "point_encoder.")
    patches, centres = nearest(cloud, groups, size)
    tokens = linear(w, "encoder2trans", mini_pointnet(w, "encoder.", patches))
    x = torch.cat([w["cls_token"][0], tokens])
    x = (x + torch.cat([w["cls_pos"][0], positions(w, "pos_embed.", centres)]))[None]
    depth = 1 + max(int(k.split(".")[2]) for k in w if k.startswith("visual.blocks."))
    norm = {"norm_layer": lambda n, **kwargs: nn.LayerNorm(n, eps=1e-6, **kwargs)}
    for i in range(depth):
        x = load(EvaBlock(x.shape[-1], **eva, **norm), w, f"visual.blocks.{i}.")(x)
    first = functional.layer_norm(
        x[0, 0], x.shape[-1:], w["visual.fc_norm.weight"], w["visual.fc_norm.bias"], 1e-6
    )
    return linear(w, "trans2embed", first)
