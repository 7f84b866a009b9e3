"""CLSA-Single without the geometric operations: the nine that change values and move nothing.

tools/dist_train.sh configs/ablations/clsa-photometric_r50_8xb32_200e.py 8
"""

_base_ = '../clsa_r50_8xb32_200e.py'

train_dataloader = dict(
    dataset=dict(
        views=dict(
            strong=dict(ops=dict(ShearX=None, ShearY=None, TranslateX=None, TranslateY=None, Rotate=None))
        )
    )
)
