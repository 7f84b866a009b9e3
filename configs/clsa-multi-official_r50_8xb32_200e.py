"""CLSA-Multi by the authors' command, ResNet-50, 200 epochs on ImageNet: five weak and five strong views.

The official ``cmd/run_multi.sh``: DDM over all 25 pairs, the contrastive loss over the five weak views. Its
cost does not fit the paper's 166 h; docs/methods/clsa.md compares the two readings.

    tools/dist_train.sh configs/clsa-multi-official_r50_8xb32_200e.py 8
"""

_base_ = './clsa-multi_r50_8xb32_200e.py'

train_dataloader = dict(
    dataset=dict(
        views=dict(
            weak=dict(
                num_views=5,
                size=[224, 192, 160, 128, 96],
                area=[(0.2, 1.0), (0.172, 0.86), (0.143, 0.715), (0.114, 0.571), (0.086, 0.429)],
            )
        )
    )
)
