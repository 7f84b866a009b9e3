"""CLSA-Single with the geometric operations alone: shear, translation, rotation (section 3.3 of the paper).

tools/dist_train.sh configs/ablations/clsa-geometric_r50_8xb32_200e.py 8
"""

_base_ = '../clsa_r50_8xb32_200e.py'

train_dataloader = dict(
    dataset=dict(
        views=dict(
            strong=dict(
                ops=dict(
                    AutoContrast=None,
                    Invert=None,
                    Equalize=None,
                    Solarize=None,
                    Posterize=None,
                    Contrast=None,
                    Color=None,
                    Brightness=None,
                    Sharpness=None,
                )
            )
        )
    )
)
