"""The stainer: runs models over slides. Never imports training."""
