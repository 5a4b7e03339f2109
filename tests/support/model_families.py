"""One small model with random weights of each family of open_clip, built as the large ones are.

The classes are those that the published models are made of, from timm and transformers; layers and
widths are a tenth. Nothing is downloaded: Hugging Face's configurations and tokenizers are folders.
"""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import timm
from timm.models import register_model
from timm.models.convnext import ConvNeXt
from timm.models.eva import Eva
from timm.models.fastvit import FastVit, RepConditionalPosEnc
from timm.models.vision_transformer import VisionTransformer
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from torch import nn

from tests.support.small_open_clip import COCA, TEXT, VIT, save_model

IMAGE_PX = 64
WIDTH = 128
_SENTENCES = ("a dog on a beach", "two children on a swing", "un chien sur la plage", "海滩上的狗")


def _timm_only(settings: dict[str, Any]) -> dict[str, Any]:
    """Without what timm's factory adds and a class does not take."""
    extra = ("pretrained_cfg", "pretrained_cfg_overlay", "cache_dir", "img_size")
    return {key: value for key, value in settings.items() if key not in extra}


@register_model
def mmsearch_small_siglip(pretrained: bool = False, **settings: Any) -> nn.Module:
    """As `vit_base_patch32_siglip_256`: no class token, pooled by attention."""
    return VisionTransformer(
        img_size=IMAGE_PX, patch_size=16, embed_dim=WIDTH, depth=2, num_heads=4,
        class_token=False, **_timm_only(settings),
    )  # fmt: skip


@register_model
def mmsearch_small_fastvit(pretrained: bool = False, **settings: Any) -> nn.Module:
    """As `fastvit_mci0`, the picture tower of MobileCLIP2-S0."""
    return FastVit(
        layers=(1, 1, 1, 1), embed_dims=(32, 64, 128, 128), mlp_ratios=(3, 3, 3, 3),
        se_downsamples=(False, False, True, True), lkc_use_act=True,
        pos_embs=(None, None, None, partial(RepConditionalPosEnc, spatial_shape=(7, 7))),
        token_mixers=("repmixer", "repmixer", "repmixer", "attention"), **_timm_only(settings),
    )  # fmt: skip


@register_model
def mmsearch_small_convnext(pretrained: bool = False, **settings: Any) -> nn.Module:
    """As `convnext_base`."""
    model = ConvNeXt(depths=(1, 1, 2, 1), dims=(32, 48, 64, WIDTH), **_timm_only(settings))
    model.default_cfg = {"pool_size": (2, 2), "input_size": (3, IMAGE_PX, IMAGE_PX)}
    return model


@register_model
def mmsearch_small_eva02(pretrained: bool = False, **settings: Any) -> nn.Module:
    """As `eva02_base_patch16_clip_224`: rotary places, SwiGLU, a norm inside of it."""
    return Eva(
        img_size=IMAGE_PX, patch_size=16, embed_dim=WIDTH, depth=2, num_heads=4, mlp_ratio=8 / 3,
        qkv_fused=False, swiglu_mlp=True, scale_mlp=True, use_rot_pos_emb=True,
        ref_feat_shape=(4, 4), **_timm_only(settings),
    )  # fmt: skip


def save_family(family: str, folder: Path) -> Path:
    """A folder with a model of the family, as `OpenClipEncoder` takes it."""
    config = _configs(folder / "parts")[family]
    name = f"mmsearch-family-{family}"
    model = save_model(folder / "model", config, f"coca_{name}" if family == "coca" else name)
    if "hf_tokenizer_name" in config["text_cfg"]:
        # open_clip looks for it beside the weights, whatever its name.
        shutil.copytree(folder / "parts" / "tokenizer", model, dirs_exist_ok=True)
    return model


def _configs(folder: Path) -> dict[str, dict[str, Any]]:
    """A configuration for each family; what Hugging Face would be asked for is in `folder`."""
    tokenizer = _write_tokenizer(folder / "tokenizer")
    roberta = _write_roberta(folder / "roberta")
    return {
        "quickgelu": VIT | {"quick_gelu": True},
        "siglip2": {
            "embed_dim": WIDTH,
            "init_logit_bias": -10,
            "custom_text": True,
            "vision_cfg": _vision("mmsearch_small_siglip", pool="map", proj="none"),
            "text_cfg": {
                "context_length": 64, "vocab_size": 600, "width": WIDTH, "heads": 4, "layers": 2,
                "hf_tokenizer_name": str(tokenizer), "tokenizer_kwargs": {"clean": "canonicalize"},
                "no_causal_mask": True, "proj_bias": True, "pool_type": "last",
                "norm_kwargs": {"eps": 1e-6}, "act_kwargs": {"approximate": "tanh"},
            },
        },
        "mobileclip2": {
            "embed_dim": WIDTH,
            "custom_text": True,
            "vision_cfg": _vision("mmsearch_small_fastvit", pool="avg", proj=None)
            | {"timm_drop": 0.0, "timm_drop_path": 0.0},
            "text_cfg": TEXT | {"no_causal_mask": True},
        },
        "xlm-roberta": VIT
        | {
            "text_cfg": {
                "hf_model_name": str(roberta), "hf_tokenizer_name": str(tokenizer),
                "hf_pooler_type": "mean_pooler",
            }
        },
        "convnext": {
            "embed_dim": WIDTH,
            "vision_cfg": _vision("mmsearch_small_convnext", pool="", proj="linear")
            | {"timm_drop": 0.0, "timm_drop_path": 0.1},
            "text_cfg": TEXT,
        },
        "coca": COCA,
        "eva02": {
            "embed_dim": WIDTH,
            "custom_text": True,
            "vision_cfg": _vision("mmsearch_small_eva02", pool="token", proj=None),
            "text_cfg": TEXT,
        },
    }  # fmt: skip


def _vision(name: str, *, pool: str, proj: str | None) -> dict[str, Any]:
    assert timm.is_model(name)
    return {
        "timm_model_name": name, "timm_model_pretrained": False, "timm_pool": pool,
        "timm_proj": proj, "image_size": IMAGE_PX,
    }  # fmt: skip


def _write_tokenizer(folder: Path) -> Path:
    """A byte-pair tokenizer as SigLIP2 and XLM-RoBERTa bring theirs, learned from a few words."""
    folder.mkdir(parents=True)
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=600, special_tokens=special, initial_alphabet=alphabet)
    tokenizer.train_from_iterator(_SENTENCES, trainer)
    marks = [(mark, tokenizer.token_to_id(mark)) for mark in ("<s>", "</s>")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=marks
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>",
        "sep_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>",
    }  # fmt: skip
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


def _write_roberta(folder: Path) -> Path:
    folder.mkdir(parents=True)
    settings = {
        "model_type": "xlm-roberta", "vocab_size": 600, "hidden_size": WIDTH,
        "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 256,
        "max_position_embeddings": 130, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2,
        "type_vocab_size": 1, "architectures": ["XLMRobertaModel"],
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(settings))
    return folder
