"""ReSSL with five student views of falling size, as in its official ``ressl_multi.py``: 74.7 % linear top-1.

tools/dist_train.sh configs/relatives/ressl-multi_r50_8xb32_200e.py 8
"""

_base_ = './ressl_r50_8xb32_200e.py'

model = dict(head=dict(beta=0.2))  # the mean over the five views
train_dataloader = dict(
    dataset=dict(
        views=dict(
            strong=dict(
                num_views=5,
                size=[224, 192, 160, 128, 96],
                area=[(0.2, 1.0), (0.172, 0.86), (0.143, 0.715), (0.114, 0.571), (0.086, 0.429)],
            ),
        ),
    ),
)
