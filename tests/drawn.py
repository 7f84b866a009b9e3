"""What property tests draw: tensors of any finite values, vectors of unit length."""

import math

import hypothesis.strategies as st
import numpy as np
import torch
from hypothesis.extra import numpy as hnp

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


@st.composite
def tensors(
    draw: st.DrawFn, shape: tuple[int, ...], dtype: torch.dtype, largest: float = math.inf
) -> torch.Tensor:
    """Any finite values of a type, up to its limits or ``largest`` in magnitude."""
    limit = min(largest, torch.finfo(dtype).max)
    values = draw(hnp.arrays(np.float64, shape, elements=st.floats(-limit, limit)))
    return torch.from_numpy(values).clamp(-limit, limit).to(dtype)


@st.composite
def unit_vectors(draw: st.DrawFn, *shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """Vectors of length 1, axes and equal ones among them."""
    values = draw(hnp.arrays(np.float64, shape, elements=st.integers(-3, 3)))
    values[..., 0] += np.where((values == 0).all(-1), 1, 0)
    return torch.nn.functional.normalize(torch.from_numpy(values), dim=-1).to(dtype)


def epsilon(dtype: torch.dtype) -> float:
    """Relative rounding of what losses compute in: float32 for half precisions."""
    return torch.finfo(torch.float64 if dtype == torch.float64 else torch.float32).eps


def largest(dtype: torch.dtype) -> float:
    """The largest number of what losses compute in."""
    return torch.finfo(torch.float64 if dtype == torch.float64 else torch.float32).max
