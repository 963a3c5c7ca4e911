"""Deep prompts against equation 8 written out, on every kind of transformer of open_clip."""

from __future__ import annotations

import math

import open_clip
import pytest
import torch
from small_clip import DIM, LAYERS, VISION, WIDTH, images_for, small_teacher

from cg3d_runtime.errors import TrainingError
from cg3d_training.teachers import ClipTeacher, DeepPrompts, TokenTower, load_prompts
from cg3d_training.teachers.tokens import find_token_tower

kinds = pytest.mark.parametrize("kind", list(VISION))


def _prompts(teacher: ClipTeacher, tokens: int = 5) -> DeepPrompts:
    torch.manual_seed(2)
    return DeepPrompts.for_tower(teacher.token_tower(), tokens)


def _built(name: str) -> torch.nn.Module:
    """A model of open_clip without memory for its weights."""
    return open_clip.create_model(name, device="meta").visual


@kinds
def test_no_prompts_change_nothing(kind: str) -> None:
    teacher = small_teacher(kind)
    images = images_for(teacher)
    expected = teacher.model.encode_image(images)
    assert torch.equal(teacher.encode_image(images), expected)
    assert torch.equal(teacher.encode_image(images, _prompts(teacher, tokens=0)), expected)


@pytest.mark.parametrize("kind", ["class token", "mean of patches", "no norm before"])
def test_equation_8(kind: str) -> None:
    teacher = small_teacher(kind)
    images, prompts = images_for(teacher), _prompts(teacher)
    visual = teacher.model.visual
    x = visual._embeds(images)
    head, patches = x[:, :1], x[:, 1:]
    layers = [prompts.prompt_embeddings[0], *prompts.deep_prompt_embeddings]
    for block, own in zip(visual.transformer.resblocks, layers, strict=True):
        out = block(torch.cat([head, own.expand(len(images), -1, -1), patches], dim=1))
        head, patches = out[:, :1], out[:, 6:]
    expected = visual._pool(torch.cat([head, patches], dim=1))[0] @ visual.proj
    assert torch.equal(teacher.encode_image(images, prompts), expected)


@kinds
def test_training_moves_the_prompts_and_nothing_else(kind: str) -> None:
    teacher = small_teacher(kind)
    images, prompts = images_for(teacher), _prompts(teacher)
    teacher.train()
    before = {key: value.clone() for key, value in teacher.state_dict().items()}
    start = {key: value.clone() for key, value in prompts.state_dict().items()}
    plain = teacher.encode_image(images)
    # The teacher is offered to the optimizer too: it must have nothing that could be moved.
    optimizer = torch.optim.AdamW([*teacher.parameters(), *prompts.parameters()], lr=0.1)
    teacher.encode_image(images, prompts).square().sum().backward()
    optimizer.step()
    for key, value in teacher.state_dict().items():
        assert torch.equal(value, before[key]), key
    assert all(parameter.grad is None for parameter in teacher.parameters())
    for key, value in prompts.named_parameters():
        assert value.grad is not None
        assert value.grad.flatten(1).abs().amax(dim=1).min() > 0, f"a layer of {key} has no part"
        assert not torch.equal(value, start[key])
    # And nothing of the prompts is left behind in the teacher.
    assert torch.equal(teacher.encode_image(images), plain)
    assert not torch.equal(teacher.encode_image(images, prompts), plain)


def test_a_failure_leaves_no_prompts_behind() -> None:
    teacher = small_teacher()
    prompts = _prompts(teacher)
    with pytest.raises(ZeroDivisionError), prompts.inserted(teacher.token_tower()):
        raise ZeroDivisionError
    assert not any(b._forward_pre_hooks or b._forward_hooks for b in teacher.token_tower().blocks)


def test_prompts_follow_autocast() -> None:
    teacher = small_teacher()
    images, prompts = images_for(teacher), _prompts(teacher)
    full = teacher.encode_image(images, prompts)
    with torch.autocast("cpu", torch.bfloat16):
        half = teacher.encode_image(images, prompts)
    torch.testing.assert_close(half.float(), full, rtol=0.1, atol=0.1)


@pytest.mark.parametrize(
    ("rule", "bound"), [("vpt", math.sqrt(6 / 1536)), ("official", math.sqrt(6 / 816))]
)
def test_initial_range_for_vit_b_16(rule: str, bound: float) -> None:
    tower = find_token_tower(_built("ViT-B-16"))
    assert (len(tower.blocks), tower.width, tower.prefix, tower.patch) == (12, 768, 1, (16, 16))
    torch.manual_seed(0)
    prompts = DeepPrompts.for_tower(tower, initialisation=rule)
    assert prompts.prompt_embeddings.shape == (1, 5, 768)
    assert prompts.deep_prompt_embeddings.shape == (11, 5, 768)
    for values in prompts.parameters():
        assert 0.99 * bound < values.abs().max() <= bound
        assert values.mean().abs() < 0.05 * bound
    with pytest.raises(TrainingError, match="vpt, official"):
        DeepPrompts.for_tower(tower, initialisation="xavier")


def test_mobileclip_b_takes_prompts() -> None:
    visual = _built("MobileCLIP-B")
    tower = find_token_tower(visual)
    assert (len(tower.blocks), tower.width, tower.prefix, tower.patch) == (12, 768, 1, (16, 16))
    prompts = DeepPrompts.for_tower(tower).to("meta")
    seen = []
    handle = tower.blocks[5].register_forward_hook(lambda _, __, x: seen.append(x.shape))
    with prompts.inserted(tower):
        assert visual(torch.empty(2, 3, 224, 224, device="meta")).shape == (2, 512)
    handle.remove()
    assert seen == [(2, 1 + 5 + 196, 768)]


@pytest.mark.parametrize(
    ("name", "reason"),
    [("MobileCLIP-S1", "FastVit"), ("RN50", "ModifiedResNet"), ("EVA02-B-16", "rotary")],
)
def test_a_tower_without_tokens_is_refused(name: str, reason: str) -> None:
    with pytest.raises(TrainingError, match=rf"{reason}[^.]+\. Train without prompts"):
        find_token_tower(_built(name))


def test_official_prompts_load() -> None:
    torch.manual_seed(0)
    first, deep = torch.randn(1, 5, 768), torch.randn(11, 5, 768)
    for front in ("", "visual.", "module.visual."):
        prompts = load_prompts(
            {
                f"{front}cls_token": torch.zeros(1, 1, 768),
                f"{front}prompt_embeddings": first,
                f"{front}deep_prompt_embeddings": deep,
            }
        )
        assert torch.equal(prompts.prompt_embeddings, first)
        assert torch.equal(prompts.deep_prompt_embeddings, deep)
        assert prompts.prompt_embeddings.requires_grad
    assert torch.equal(load_prompts(prompts.state_dict()).deep_prompt_embeddings, deep)


def test_what_is_not_prompts_is_refused() -> None:
    with pytest.raises(TrainingError, match="deep_prompt_embeddings missing"):
        load_prompts({"prompt_embeddings": torch.zeros(1, 5, 8)})
    with pytest.raises(TrainingError, match="should be"):
        load_prompts(
            {
                "prompt_embeddings": torch.zeros(1, 5, 8),
                "deep_prompt_embeddings": torch.zeros(11, 4, 8),
            }
        )


def test_prompts_of_another_teacher_are_refused() -> None:
    teacher = small_teacher()
    with pytest.raises(TrainingError, match=r"12 layers of width 768.* 3 of width 32"):
        teacher.encode_image(images_for(teacher), DeepPrompts(12, 768))


def test_one_prompt_a_layer_and_one_layer() -> None:
    block = torch.nn.Identity()
    prompts = DeepPrompts(1, 4, 1, bound=1.0)
    with prompts.inserted(TokenTower((block,), width=4, prefix=1, patch=(8, 8))):
        x = torch.ones(2, 3, 4)
        assert torch.equal(block(x), x)


def test_the_small_teacher_is_what_these_tests_take_it_for() -> None:
    tower = small_teacher().token_tower()
    assert (len(tower.blocks), tower.width, tower.patch) == (LAYERS, WIDTH, (8, 8))
    assert small_teacher("timm").encode_image(torch.zeros(1, 3, 160, 160)).shape == (1, DIM)
