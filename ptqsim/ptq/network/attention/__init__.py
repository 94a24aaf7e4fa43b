"""Attention of timm beyond plain ViT and Swin: each module's own forward, with operations in place of its products.

Nothing here searches for a scale or runs a network.
"""
