"""A folder of images in, a backbone out: the rules that choose a recipe, and the training that follows."""

from clsa_mm.pretraining.run import pretrain

__all__ = ['pretrain']
