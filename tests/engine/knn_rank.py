"""One rank of a distributed kNN: python knn_rank.py RANK WORLD_SIZE PORT IMAGES OUTPUT."""

import sys
from pathlib import Path

import torch
from labelled_images import TinyModel, knn_config
from mmengine.registry import init_default_scope
from torch import distributed

import clsa_mm  # noqa: F401
from clsa_mm.engine import KNNHook
from clsa_mm.evaluation import extract_features


def main(rank: int, world_size: int, port: int, images: Path, output: str) -> None:
    """Save the features, labels and scores that this rank sees."""
    init_default_scope('mmpretrain')
    distributed.init_process_group(
        'gloo', init_method=f'tcp://127.0.0.1:{port}', rank=rank, world_size=world_size
    )
    torch.manual_seed(0)
    model = torch.nn.parallel.DistributedDataParallel(TinyModel()).module
    for buffer in model.backbone.buffers():  # as if each rank had trained on images of its own
        buffer += rank
    state = {name: value.clone() for name, value in model.state_dict().items()}
    hook = KNNHook(**knn_config(images, batch_size=3))
    scores = hook.score(model)
    features, labels = extract_features(model, hook._loaders['test'])
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    torch.save(dict(scores=scores, features=features, labels=labels), output)
    distributed.barrier()  # neither leaves while the other still talks to it
    distributed.destroy_process_group()


if __name__ == '__main__':
    main(
        int(sys.argv[1]),
        int(sys.argv[2]),
        int(sys.argv[3]),
        Path(sys.argv[4]),
        sys.argv[5],
    )
