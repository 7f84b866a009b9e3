"""Un-Mix on MoCo v2, ResNet-50, 200 epochs on ImageNet: mixtures of a batch with its reverse.

Paper: arXiv 2003.05438. ``global_prob`` is the default of the official ``main_moco_unmix.py``, rectangles
alone; its ``run.sh`` says 0.5. A step costs two passes of the query encoder where MoCo v2's costs one.

    tools/dist_train.sh configs/moco/unmix_r50_8xb32_200e.py 8
"""

_base_ = '../mocov2_r50_8xb32_200e.py'

model = dict(type='UnMix', global_prob=0.0, mix_alpha=1.0)
