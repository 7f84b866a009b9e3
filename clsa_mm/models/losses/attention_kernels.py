"""Kernels that return the logarithm of the softmax's denominator beside the attention's output.

torch's public attention keeps that logarithm to itself, so the kernels are called by their private names.
Each is tried once on a small example; where it is missing or answers otherwise, the next one takes over, in
the end the plain path, and the log says so.
"""

import functools
import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from mmengine.logging import print_log
from torch import Tensor
from torch.nn.attention import flex_attention as flex

Attention = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Kernel:
    """One way to compute attention with keys as values.

    Args:
        name: For the log.
        run: Takes queries (H, N, C), keys (H, R, C) and the scale of the logits; returns outputs (H, N, C)
            and log-partitions (H, N).
        rows: Bank entries of one part. Small parts keep many cores busy with few queries and stay in their
            caches, and a length that does not depend on the machine keeps its results alike.
        dtypes: What it computes in.
        multiple: Feature dimensions that it takes are multiples of this; others are filled up with zeros,
            which change no product.
    """

    name: str
    run: Callable[[Tensor, Tensor, float], Attention]
    rows: int
    dtypes: tuple[torch.dtype, ...] = (torch.float32, torch.float64)
    multiple: int = 1

    def __call__(self, queries: Tensor, bank: Tensor, scale: float) -> Attention:
        """Attention of queries (N, C) over a bank (M, C): output (N, C) and log-partition (N,)."""
        channels = queries.shape[1]
        if channels % self.multiple:
            padding = (0, -channels % self.multiple)
            queries, bank = F.pad(queries, padding), F.pad(bank, padding)
        parts = max(1, len(bank) // self.rows)
        rows = len(bank) // parts
        folded = bank[: parts * rows].reshape(parts, rows, -1)
        outputs, logs = self.run(queries.expand(parts, *queries.shape), folded, scale)
        rest = bank[parts * rows :]
        if len(rest):
            rest_outputs, rest_logs = self.run(queries[None], rest[None], scale)
            outputs, logs = torch.cat([outputs, rest_outputs]), torch.cat([logs, rest_logs])
        output, log = merge_parts(outputs, logs)
        return output[:, :channels], log


def merge_parts(outputs: Tensor, logs: Tensor) -> Attention:
    """Attention over all keys, from the attention over each of P disjoint parts of them.

    Args:
        outputs: Shape (P, ..., C).
        logs: Log-partitions, shape (P, ...).
    """
    if len(logs) == 1:
        return outputs[0], logs[0]
    # Not exp(logs - total): of large ones the total is the largest, and each that equals it had all weight.
    weights = torch.softmax(logs, dim=0)
    return (weights[..., None] * outputs).sum(dim=0), torch.logsumexp(logs, dim=0)


def _run_onednn(queries: Tensor, keys: Tensor, scale: float) -> Attention:
    """Parts divided among threads, which wait for each other once, not at every operation."""
    attend = functools.partial(_attend_to_part, queries[0], scale=scale)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # that each operation takes
    try:
        parts = _in_threads(attend, keys.unbind(), min(threads, len(keys)))
        outputs, logs = (torch.stack(tensors) for tensors in zip(*parts, strict=True))
        output, log = merge_parts(outputs, logs)
    finally:
        torch.set_num_threads(threads)
    return output[None], log[None]


def _in_threads(
    function: Callable[[Tensor], Attention], parts: Sequence[Tensor], threads: int
) -> list[Attention]:
    """What a function returns for each part, in order."""
    if threads == 1:
        return [function(part) for part in parts]
    # New ones each time: a process that forks in between would lack those of before.
    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        return list(pool.map(function, parts))


@torch.no_grad()  # whose state belongs to a thread: without it, each part's logits wait for a backward pass
def _attend_to_part(queries: Tensor, keys: Tensor, scale: float) -> Attention:
    if len(queries) < keys.shape[1]:  # either way a factor gets transposed: the smaller one
        logits = _product(keys, queries).T.contiguous()
    else:
        logits = _product(queries, keys)
    logits *= scale
    highest = logits.amax(dim=1)
    weights = torch.softmax(logits, dim=1, out=logits)
    # softmax keeps its denominator to itself; the most probable key tells it best.
    return _product(weights, keys.T), highest - torch.log(weights.amax(dim=1))


def _product(left: Tensor, right: Tensor) -> Tensor:
    """``left @ right.T`` by oneDNN: twice the speed of torch.mm, which is MKL, on AMD cores with AVX-512."""
    return torch.ops.mkldnn._linear_pointwise(left, right, None, 'none', [], '')


def _run_cpu_flash(queries: Tensor, keys: Tensor, scale: float) -> Attention:
    outputs, logs = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
        queries[None], keys[None], keys[None], scale=scale
    )
    return outputs[0], logs[0]


def _run_cuda_efficient(queries: Tensor, keys: Tensor, scale: float) -> Attention:
    outputs, logs, *_ = torch.ops.aten._scaled_dot_product_efficient_attention(
        queries[None], keys[None], keys[None], None, True, scale=scale
    )
    return outputs[0], logs[0, :, : queries.shape[1]]  # filled up to whole blocks of queries


@functools.cache
def _flex_attention() -> Callable:
    return torch.compile(flex.flex_attention, dynamic=False)


def _run_flex(queries: Tensor, keys: Tensor, scale: float) -> Attention:
    arguments = queries[None], keys[None], keys[None]
    if hasattr(flex, 'AuxRequest'):
        outputs, auxiliary = _flex_attention()(*arguments, scale=scale, return_aux=flex.AuxRequest(lse=True))
        return outputs[0], auxiliary.lse[0]
    outputs, logs = _flex_attention()(*arguments, scale=scale, return_lse=True)  # until torch 2.8
    return outputs[0], logs[0]


def _run_plain(queries: Tensor, keys: Tensor, scale: float) -> Attention:
    outputs, logs = [], []
    for part_queries, part_keys in zip(queries, keys, strict=True):
        logits = part_queries @ part_keys.T * scale
        logs.append(torch.logsumexp(logits, dim=1))
        outputs.append(torch.softmax(logits, dim=1) @ part_keys)
    return torch.stack(outputs), torch.stack(logs)


PLAIN = Kernel('plain', _run_plain, rows=8192)
ONEDNN = Kernel('oneDNN', _run_onednn, 2048, (torch.float32,))
CPU_FLASH = Kernel('flash attention for CPUs', _run_cpu_flash, rows=2048)
CUDA_EFFICIENT = Kernel('memory-efficient attention', _run_cuda_efficient, 512, (torch.float32,), multiple=4)
FLEX = Kernel('flex_attention', _run_flex, 512, (torch.float32,), multiple=16)
# torch raises this in whatever the main process does when one of its data workers dies.
_OF_A_WORKER = 'DataLoader worker'
KERNELS = {'cpu': (ONEDNN, CPU_FLASH), 'cuda': (CUDA_EFFICIENT, FLEX)}


_plain_only = ContextVar('plain_only', default=False)


@contextmanager
def plain_path() -> Iterator[None]:
    """Take the plain path, whose operations are seen by what counts them."""
    token = _plain_only.set(True)
    try:
        yield
    finally:
        _plain_only.reset(token)


def kernel_for(tensor: Tensor) -> Kernel:
    """The fastest kernel that works for a tensor's device and type."""
    return PLAIN if _plain_only.get() else _fastest(tensor.device, tensor.dtype)


@functools.cache
def _fastest(device: torch.device, dtype: torch.dtype) -> Kernel:
    reasons = []
    for kernel in KERNELS.get(device.type, ()):
        if dtype not in kernel.dtypes:
            continue
        try:
            _probe(kernel, device, dtype)
            break
        except Exception as error:  # whatever a private name of another version may do
            if str(error).startswith(_OF_A_WORKER):
                raise
            reasons.append(f'{kernel.name}: {error}')
    else:
        kernel = PLAIN
    if reasons:
        print_log(
            f'Attention over the bank uses the {kernel.name} path on {device}: same results, slower '
            f'(torch {torch.__version__}: {"; ".join(reasons)})',
            logger='current',
            level=logging.WARNING,
        )
    return kernel


@torch.no_grad()
def _probe(kernel: Kernel, device: torch.device, dtype: torch.dtype) -> None:
    """Raise if a kernel is missing or does not return what the plain path does."""
    generator = torch.Generator().manual_seed(0)
    queries = torch.randn(33, 128, generator=generator).to(device, dtype)
    bank = torch.randn(2 * kernel.rows + 3, 128, generator=generator).to(device, dtype)
    for ours, expected in zip(kernel(queries, bank, 0.1), PLAIN(queries, bank, 0.1), strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-3, atol=1e-3)
