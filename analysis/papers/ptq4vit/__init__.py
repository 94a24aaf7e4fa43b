"""Yuan et al., PTQ4ViT: post-training quantization for vision transformers by twin uniform quantization, ECCV 2022."""
