"""A tiny Stable Diffusion XL with random weights."""

from pathlib import Path
from typing import Any


def write_diffusion(root: Path) -> Path:
    """Write it to `sdxl` in the folder, and a LoRA for it to `lora`; the folder."""
    import torch
    from diffusers import AutoencoderKL, EulerDiscreteScheduler, StableDiffusionXLPipeline, UNet2DConditionModel
    from diffusers.utils import convert_state_dict_to_diffusers
    from peft import LoraConfig
    from peft.utils import get_peft_model_state_dict
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

    torch.manual_seed(0)
    unet: Any = UNet2DConditionModel(
        block_out_channels=(8, 16),
        layers_per_block=1,
        sample_size=8,
        in_channels=4,
        out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=(2, 4),
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        transformer_layers_per_block=(1, 1),
        projection_class_embeddings_input_dim=6 * 8 + 16,
        cross_attention_dim=32,
        norm_num_groups=4,
    )
    autoencoder = AutoencoderKL(
        block_out_channels=(8, 16),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=4,
        sample_size=16,
        norm_num_groups=4,
    )
    pieces = ["<|startoftext|>", "<|endoftext|>", *"abcdefghijklmnopqrstuvwxyz", *(f"{c}</w>" for c in "abcdefghijklmnopqrstuvwxyz")]
    words = CLIPTextConfig(
        hidden_size=16,
        projection_dim=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        vocab_size=len(pieces),
        max_position_embeddings=77,
        bos_token_id=0,
        eos_token_id=1,
    )
    tokenizer = CLIPTokenizer(vocab={piece: number for number, piece in enumerate(pieces)}, merges=[], model_max_length=77)
    parts: dict[str, Any] = {"tokenizer": tokenizer, "tokenizer_2": tokenizer}
    parts |= {"text_encoder": CLIPTextModel(words), "text_encoder_2": CLIPTextModelWithProjection(words)}
    pipeline: Any = StableDiffusionXLPipeline(vae=autoencoder, unet=unet, scheduler=EulerDiscreteScheduler(), **parts)
    pipeline.save_pretrained(root / "sdxl")
    unet.add_adapter(LoraConfig(r=2, target_modules=["to_q", "to_v"], init_lora_weights=False))
    lora = convert_state_dict_to_diffusers(get_peft_model_state_dict(unet))
    StableDiffusionXLPipeline.save_lora_weights(root / "lora", unet_lora_layers=lora)
    return root
