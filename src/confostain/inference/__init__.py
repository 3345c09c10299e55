"""Inference: models applied tile by tile to arrays and slides. Never imports training."""
