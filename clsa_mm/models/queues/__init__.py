"""Tensors that live across iterations."""

from clsa_mm.models.queues.key_queue import KeyQueue

__all__ = ['KeyQueue']
