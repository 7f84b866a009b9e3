"""CLSA-Multi on CIFAR-10 with small crops: one weak view of 32 pixels, five strong ones of 24 to 16.

The largest strong view is CLSA-Single's; the areas of the others shrink with their sizes, as in the official
``cmd/run_multi.sh``.

    python tools/train.py configs/cifar10/clsa-multi_r18_1xb256_200e_cifar10.py
"""

_base_ = './clsa_r18_1xb256_200e_cifar10.py'

train_dataloader = dict(
    dataset=dict(
        views=dict(
            strong=dict(
                num_views=5,
                size=[24, 22, 20, 18, 16],
                area=[(0.1, 0.6), (0.092, 0.55), (0.083, 0.5), (0.075, 0.45), (0.067, 0.4)],
            )
        )
    )
)
