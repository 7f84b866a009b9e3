"""Start-up time and memory of ImageFolder with as many images as ImageNet has, in workers too.

The images are a list of generated names, which no file needs to be behind, or with ``--folder`` links to
copies of one picture, which are found as those of any folder are. Workers are forked and read every entry of
the list once, in random order. Their memory is looked at before and after: a list of Python objects would be
copied page by page as its reference counts are touched.

    python tools/benchmarks/data_list.py
    python tools/benchmarks/data_list.py --images 200000 --folder /tmp/links
"""

import argparse
import multiprocessing
import os
import resource
import tempfile
import time
from pathlib import Path

import clsa_mm  # noqa: F401  # isort: skip  checks the stack before anything of it is imported

import cv2
import numpy as np
from mmengine.registry import init_default_scope
from processes import memory
from torch.utils.data import DataLoader

from clsa_mm.datasets import ImageFolder

PER_FOLDER = 1300  # as ImageNet's classes have at most
LINKS = 30_000  # to one file: file systems have a limit


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--images', type=int, default=1_300_000)
    parser.add_argument('--workers', type=int, default=2)
    parser.add_argument('--folder', type=Path, help='make links there and scan them, instead of a list')
    return parser.parse_args()


def names(number: int) -> list[str]:
    """Names as ImageNet's: ``n00000042/n00000042_17.JPEG``."""
    return [f'n{i // PER_FOLDER:08d}/n{i // PER_FOLDER:08d}_{i % PER_FOLDER}.JPEG' for i in range(number)]


def make_links(folder: Path, number: int) -> None:
    """Hard links, which take no inodes, to copies of one picture, outside the folder that is scanned."""
    picture = cv2.imencode('.jpg', np.zeros((32, 32, 3), np.uint8))[1].tobytes()
    for index, name in enumerate(names(number)):
        source, link = folder / f'source_{index // LINKS}.jpg', folder / 'images' / name
        if index % LINKS == 0:
            source.parent.mkdir(parents=True, exist_ok=True)
            source.write_bytes(picture)
        if index % PER_FOLDER == 0:
            link.parent.mkdir(parents=True, exist_ok=True)
        os.link(source, link)


class Entries(ImageFolder):
    """The entries of the list instead of the images."""

    def __getitem__(self, index: int) -> int:
        return len(self.get_data_info(index)['img_path'])


def build(args: argparse.Namespace, folder: Path) -> ImageFolder:
    """The data set, after the time that it takes was printed."""
    init_default_scope('mmpretrain')
    settings = dict(data_root=str(folder / 'images'), pipeline=[])
    if args.folder:
        if not (folder / 'images').exists():
            make_links(folder, args.images)
    else:
        (folder / 'list.txt').write_text('\n'.join(names(args.images)))
        settings.update(ann_file=str(folder / 'list.txt'))
    start_peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    before, start = memory(os.getpid())['own'], time.perf_counter()
    dataset = Entries(**settings)
    seconds, after = time.perf_counter() - start, memory(os.getpid())['own']
    kind = 'found in folders' if args.folder else 'of a list'
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f'{len(dataset)} images {kind}: {seconds:.1f} s, {after - before:.0f} MiB more in this process, '
        f'{peak - start_peak:.0f} MiB more on the way'
    )
    return dataset


def main() -> None:
    """Print start-up time and memory."""
    args = parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        dataset = build(args, args.folder or Path(temporary))
        loader = DataLoader(
            dataset, batch_size=256, shuffle=True, num_workers=args.workers, persistent_workers=True,
            multiprocessing_context='fork',
        )  # fmt: skip
        start = time.perf_counter()
        batches = iter(loader)
        next(batches)
        print(f'first batch of {args.workers} forked workers: {time.perf_counter() - start:.1f} s')
        before = {child.pid: memory(child.pid) for child in multiprocessing.active_children()}
        for _ in batches:
            pass
        after = {pid: memory(pid) for pid in before}
        for name in ('own', 'resident'):
            old, new = (max(figures[pid][name] for pid in before) for figures in (before, after))
            print(f'worker, {name:<8} {old:8.0f} MiB at the start, {new:8.0f} MiB after all entries')


if __name__ == '__main__':
    main()
