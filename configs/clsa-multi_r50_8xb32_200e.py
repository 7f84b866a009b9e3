"""CLSA-Multi by the paper's text, ResNet-50, 200 epochs on ImageNet: one weak view, five strong ones.

Paper (arXiv 2104.07713, section 4.2): 73.3 % linear top-1, 166 h on 8 V100: the cost of this reading.
Sizes are the text's, areas those of the official ``cmd/run_multi.sh``.

    tools/dist_train.sh configs/clsa-multi_r50_8xb32_200e.py 8
"""

_base_ = './clsa_r50_8xb32_200e.py'

train_dataloader = dict(
    dataset=dict(
        views=dict(
            strong=dict(
                num_views=5,
                size=[224, 192, 160, 128, 96],
                area=[(0.2, 1.0), (0.172, 0.86), (0.143, 0.715), (0.114, 0.571), (0.086, 0.429)],
            )
        )
    )
)
