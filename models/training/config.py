"""The shape of a Florence-2 model, and the config.json that tells it in either of its two spellings."""
from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

PAD, END, BEGIN = 1, 2, 0  # ids of <pad>, </s>, <s>; an answer's decoder starts from </s>


@dataclass(frozen=True)
class VisionConfig:
    embed_dim: list[int] = field(default_factory=lambda: [128, 256, 512, 1024])
    depths: list[int] = field(default_factory=lambda: [1, 1, 9, 1])
    num_heads: list[int] = field(default_factory=lambda: [4, 8, 16, 32])
    num_groups: list[int] = field(default_factory=lambda: [4, 8, 16, 32])
    patch_size: list[int] = field(default_factory=lambda: [7, 3, 3, 3])
    patch_stride: list[int] = field(default_factory=lambda: [4, 2, 2, 2])
    patch_padding: list[int] = field(default_factory=lambda: [3, 1, 1, 1])
    patch_prenorm: list[bool] = field(default_factory=lambda: [False, True, True, True])
    window_size: int = 12
    mlp_ratio: float = 4.0
    projection_dim: int = 768
    max_position_embeddings: int = 50
    max_temporal_embeddings: int = 100


@dataclass(frozen=True)
class TextConfig:
    vocab_size: int = 51289
    d_model: int = 768
    encoder_layers: int = 6
    decoder_layers: int = 6
    encoder_attention_heads: int = 12
    decoder_attention_heads: int = 12
    encoder_ffn_dim: int = 3072
    decoder_ffn_dim: int = 3072
    max_position_embeddings: int = 1024


@dataclass(frozen=True)
class Config:
    vision: VisionConfig
    text: TextConfig
    image_size: int = 768


def read_config(spec: dict[str, Any], image_size: int, vocab_size: int) -> Config:
    """Reads a config.json of either spelling. The vocabulary's size is the tokenizer's: native checkpoints pad it."""
    vision = dict(spec["vision_config"])
    if "dim_embed" in vision:
        vision["embed_dim"] = vision["dim_embed"]
        vision["max_position_embeddings"] = vision["image_pos_embed"]["max_pos_embeddings"]
        vision["max_temporal_embeddings"] = vision["visual_temporal_embedding"]["max_temporal_embeddings"]
    text = {**spec["text_config"], "vocab_size": vocab_size}
    return Config(VisionConfig(**known(VisionConfig, vision)), TextConfig(**known(TextConfig, text)), image_size)


def known(kind: type, values: dict[str, Any]) -> dict[str, Any]:
    names = {item.name for item in fields(kind)}
    return {name: value for name, value in values.items() if name in names}


def config_json(config: Config) -> dict[str, Any]:
    """config.json in the transformers-native spelling."""
    vision = {**asdict(config.vision), "model_type": "florence_vision", "in_channels": 3, "activation_function": "gelu",
              "qkv_bias": True, "drop_path_rate": 0.0}
    text = {**asdict(config.text), "model_type": "bart", "activation_function": "gelu", "scale_embedding": False,
            "bos_token_id": BEGIN, "pad_token_id": PAD, "eos_token_id": END, "decoder_start_token_id": END,
            "is_encoder_decoder": True, "tie_word_embeddings": True}
    return {"model_type": "florence2", "architectures": ["Florence2ForConditionalGeneration"], "is_encoder_decoder": True,
            "vision_config": vision, "text_config": text, "tie_word_embeddings": True}


def preprocessor_json(image_size: int) -> dict[str, Any]:
    """preprocessor_config.json: squeezed to a square, bicubic (3), ImageNet's mean and deviation."""
    return {"image_processor_type": "CLIPImageProcessor", "processor_class": "Florence2Processor", "do_resize": True,
            "do_center_crop": False, "do_rescale": True, "do_normalize": True, "do_convert_rgb": True,
            "size": {"height": image_size, "width": image_size}, "resample": 3, "rescale_factor": 1 / 255,
            "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}


def generation_json(no_repeat_ngram_size: int, beams: int = 3, early_stopping: bool = True) -> dict[str, Any]:
    """generation_config.json. Florence-2's own: no_repeat_ngram_size 3 (0 is for answers that repeat by design), 3 beams, early stopping."""
    return {"bos_token_id": BEGIN, "pad_token_id": PAD, "eos_token_id": END, "decoder_start_token_id": END,
            "forced_bos_token_id": BEGIN, "forced_eos_token_id": END, "num_beams": beams,
            "no_repeat_ngram_size": no_repeat_ngram_size, "early_stopping": early_stopping}
