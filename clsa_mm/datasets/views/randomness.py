"""Where the randomness of a view comes from."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


class ViewGenerator:
    """Gives every view of every sample a stream of random numbers of its own.

    The streams are parts of a counter-based one (Philox): seed and epoch are its key, view and index the
    upper half of its counter. So no two views share numbers, nothing depends on what was drawn before, and no
    global generator is touched. Going to a stream takes a small part of the time of making a generator.
    """

    def __init__(self) -> None:
        self._generator = np.random.Generator(np.random.Philox(key=0))

    def at(self, sample_idx: int | None, view: int) -> np.random.Generator:
        """Go to the beginning of a view's stream.

        Args:
            sample_idx: The sample's index. A :class:`SeededIndex` carries (seed, epoch, index); with a plain
                int or ``None`` the stream is drawn by NumPy's global generator.
            view: Number of the view within its sample, >= 0.

        Returns:
            The generator, the same object each time.
        """
        seed_key = getattr(sample_idx, 'seed_key', None)
        seed, epoch, index = seed_key or np.random.randint(0, 2**63, size=3).tolist()
        self._generator.bit_generator.state = {
            'bit_generator': 'Philox',
            'state': {'counter': (0, 0, view, index), 'key': (seed, epoch)},
            'buffer': (0, 0, 0, 0),
            'buffer_pos': 4,  # nothing left in the buffer
            'has_uint32': 0,
            'uinteger': 0,
        }
        return self._generator


def seed_generators(entropy: tuple[int, ...]) -> None:
    """Seed Python's, NumPy's and torch's global CPU generators from one tuple of ints >= 0."""
    words = np.random.SeedSequence(entropy).generate_state(6)
    random.seed(int(words[0]) << 32 | int(words[1]))
    np.random.seed(words[2:4])
    # Not torch.manual_seed(): that also seeds every accelerator, from inside a worker.
    torch.default_generator.manual_seed(int(words[4]) << 32 | int(words[5]))


@contextmanager
def preserved_generators() -> Iterator[None]:
    """Put Python's, NumPy's and torch's global generators back, for what can draw from no other."""
    python_state, numpy_state = random.getstate(), np.random.get_state()
    # A worker process must not start CUDA, so a device counts only where it is in use.
    devices = [torch.cuda.current_device()] if torch.cuda.is_initialized() else []
    try:
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)
