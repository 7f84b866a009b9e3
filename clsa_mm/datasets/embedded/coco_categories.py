"""COCO's 80 instance categories with their own ids, which leave gaps in 1 to 90."""

from typing import TypedDict


class CocoCategory(TypedDict):
    """A category as COCO's annotation files list it."""

    supercategory: str
    id: int
    name: str


# Supercategory: names from its first id on. A dash stands for an id that COCO does not use.
_TABLE = (
    ('person', 'person'),
    ('vehicle', 'bicycle, car, motorcycle, airplane, bus, train, truck, boat'),
    ('outdoor', 'traffic light, fire hydrant, -, stop sign, parking meter, bench'),
    ('animal', 'bird, cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe'),
    ('accessory', '-, backpack, umbrella, -, -, handbag, tie, suitcase'),
    ('sports', 'frisbee, skis, snowboard, sports ball, kite, baseball bat, baseball glove, '
               'skateboard, surfboard, tennis racket'),
    ('kitchen', 'bottle, -, wine glass, cup, fork, knife, spoon, bowl'),
    ('food', 'banana, apple, sandwich, orange, broccoli, carrot, hot dog, pizza, donut, cake'),
    ('furniture', 'chair, couch, potted plant, bed, -, dining table, -, -, toilet'),
    ('electronic', '-, tv, laptop, mouse, remote, keyboard, cell phone'),
    ('appliance', 'microwave, oven, toaster, sink, refrigerator'),
    ('indoor', '-, book, clock, vase, scissors, teddy bear, hair drier, toothbrush'),
)  # fmt: skip


def _categories() -> tuple[CocoCategory, ...]:
    slots = [(group, name) for group, names in _TABLE for name in names.split(', ')]
    return tuple(
        CocoCategory(supercategory=group, id=number, name=name)
        for number, (group, name) in enumerate(slots, start=1)
        if name != '-'
    )


COCO_CATEGORIES = _categories()
