import copy
import json
from pathlib import Path

import pytest
from annotated_images import TEST, TRAIN, write_coco, write_voc
from mmengine.config import Config

import clsa_mm.integrations.mmdet  # noqa: F401
from clsa_mm.integrations.detection_data import check_detection_data

CONFIGS = Path(__file__).parents[2] / 'configs' / 'benchmarks' / 'detection'


def own_config(root: Path, style: str, classes: tuple[str, ...] = ('cat', 'dog'), **metainfo) -> Config:
    cfg = Config.fromfile(CONFIGS / f'faster-rcnn_r50-fpn_1xb8-12e_own_{style}.py')
    cfg.model.roi_head.bbox_head.num_classes = len(classes)
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.dataset.data_root = str(root)
        loader.dataset.metainfo = dict(classes=classes, **metainfo)
    return cfg


@pytest.fixture(params=['voc', 'coco'])
def style(request: pytest.FixtureRequest) -> str:
    return request.param


def write(root: Path, style: str, train: dict = TRAIN, test: dict = TEST) -> None:
    if style == 'voc':
        write_voc(root, trainval=train, test=test)
    else:
        write_coco(root, 'train', train)
        write_coco(root, 'val', test)


def test_boxes_are_counted_by_hand(tmp_path, style, monkeypatch):
    write(tmp_path, style)
    told = []
    monkeypatch.setattr(
        'clsa_mm.integrations.detection_data.print_log', lambda text, logger: told.append(text)
    )
    check_detection_data(own_config(tmp_path, style))
    assert told[0].endswith("3 boxes ('cat' 2, 'dog' 1); 1 difficult or crowd")
    assert told[1].endswith("1 boxes ('dog' 1); 0 difficult or crowd; no box of 'cat'")
    assert len(told) == 2


def test_unknown_classes_are_listed_with_both_sides(tmp_path, style):
    write(tmp_path, style)
    cfg = own_config(tmp_path, style, ('cat', 'cow'))
    message = r"train data .*does not know 'dog'.*'cat' 2, 'dog' 1.*config has 'cat', 'cow'.*metainfo"
    with pytest.raises(ValueError, match=message):
        check_detection_data(cfg)
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        loader.dataset.metainfo.ignored_classes = ('dog',)
    with pytest.raises(ValueError, match=r'val data .*not one box'):
        check_detection_data(cfg)
    check_detection_data(cfg, ['train'])


def test_nothing_annotated(tmp_path, style):
    write(tmp_path, style, train=dict(a=[]))
    with pytest.raises(
        ValueError, match=r"not one box.*no boxes \(0 difficult.*; the config has 'cat', 'dog'.*ann_file"
    ):
        check_detection_data(own_config(tmp_path, style))


def test_number_of_classes_of_the_head(tmp_path, style):
    write(tmp_path, style)
    cfg = own_config(tmp_path, style)
    cfg.model.roi_head.bbox_head.num_classes = 3
    message = r'model.roi_head.bbox_head.num_classes is 3, but the dataset has 2 classes \(cat, dog\)'
    with pytest.raises(ValueError, match=message):
        check_detection_data(cfg)


def test_missing_files(tmp_path, style):
    with pytest.raises(FileNotFoundError, match=f'{tmp_path}.*the train annotations.*data_root'):
        check_detection_data(own_config(tmp_path, style))
    write(tmp_path, style)
    for image in tmp_path.rglob('a.jpg'):
        image.unlink()
    with pytest.raises(FileNotFoundError, match=r'a.jpg, an image of the train data'):
        check_detection_data(own_config(tmp_path, style))


def test_missing_annotation_file_of_an_image(tmp_path):
    write(tmp_path, 'voc')
    (tmp_path / 'Annotations' / 'b.xml').unlink()
    with pytest.raises(FileNotFoundError, match=r'b.xml, the annotations of b'):
        check_detection_data(own_config(tmp_path, 'voc'))


def test_boxes_without_area_are_filtered_or_refused(tmp_path):
    write(tmp_path, 'voc', dict(TRAIN, b=[('cat', 0, (7, 7, 7, 7))]))
    cfg = own_config(tmp_path, 'voc')
    check_detection_data(cfg)  # the config filters them
    del cfg.train_dataloader.dataset.filter_cfg['bbox_min_size']
    with pytest.raises(ValueError, match=r'1 box\(es\) without area, the first in .*b.xml.*bbox_min_size=1'):
        check_detection_data(cfg)


def test_wrapped_data_sets_are_all_read(tmp_path):
    write_voc(tmp_path / 'first', trainval=TRAIN, test=TEST)
    write_voc(tmp_path / 'second', trainval=dict(z=[('ox', 0, (1, 1, 9, 9))]))
    cfg = own_config(tmp_path / 'first', 'voc')
    inner = cfg.train_dataloader.dataset
    other = copy.deepcopy(inner)
    other.data_root = str(tmp_path / 'second')
    joined = dict(type='ConcatDataset', datasets=[inner, other])
    cfg.train_dataloader.dataset = dict(type='RepeatDataset', times=3, dataset=joined)
    with pytest.raises(ValueError, match=r"second.*does not know 'ox'"):
        check_detection_data(cfg)


def test_a_category_that_the_file_does_not_name(tmp_path):
    write(tmp_path, 'coco')
    path = tmp_path / 'annotations' / 'train.json'
    content = json.loads(path.read_text())
    content['annotations'][0]['category_id'] = 77
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="does not know 'category_id 77'"):
        check_detection_data(own_config(tmp_path, 'coco'))


def test_configs_of_other_scopes_pass():
    check_detection_data(Config(dict(default_scope='mmpretrain', train_dataloader=dict(dataset=dict()))))


def test_boxes_in_fractions_of_the_image_are_no_boxes(tmp_path, style):
    """mmdet leaves them out for their size, so a training would learn from nothing and end well."""
    fractions = dict(a=[('cat', 0, (0.1, 0.1, 0.6, 0.7)), ('dog', 0, (0.2, 0.2, 0.5, 0.5))])
    write(tmp_path, style, train=fractions)
    with pytest.raises(ValueError, match=r'not one box.*2 too small or outside of the image.*in pixels'):
        check_detection_data(own_config(tmp_path, style))


@pytest.mark.parametrize('change', [dict(image_id=99), dict(bbox=[1000, 1000, 9, 9]), dict(area=0)])
def test_coco_boxes_that_mmdet_leaves_out(tmp_path, change):
    write(tmp_path, 'coco', train=dict(a=[('cat', 0, (1, 1, 9, 9))]))
    path = tmp_path / 'annotations' / 'train.json'
    content = json.loads(path.read_text())
    content['annotations'][0].update(change)
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r'not one box.*1 too small or outside'):
        check_detection_data(own_config(tmp_path, 'coco'))


def test_only_difficult_boxes_are_named(tmp_path, style):
    write(tmp_path, style, train=dict(a=[('cat', 1, (1, 1, 9, 9))]))
    with pytest.raises(ValueError, match=r'not one box.*no boxes \(1 difficult or crowd'):
        check_detection_data(own_config(tmp_path, style))


def test_a_class_without_its_comma(tmp_path, style):
    write(tmp_path, style)
    with pytest.raises(ValueError, match=r"comma: classes=\('cat',\)"):
        check_detection_data(own_config(tmp_path, style, 'cat'))


@pytest.mark.parametrize(
    ('old', 'new', 'message'),
    [
        ('<bndbox>', '<box>', r"a.xml: the object 'cat' needs a bndbox of four numbers"),
        ('<difficult>0', '<difficult>Unspecified', r"a.xml: the object 'cat' needs .* 0 or 1 as difficult"),
        ('</annotation>', '', r'a.xml is not a whole, plain .xml file'),
        ('<xmin>10<', '<xmin>inf<', r"a.xml: the object 'cat' needs .* \(cannot convert float infinity"),
        ('<xmax>30<', '<xmax>1e300<', r"a.xml: the object 'cat' needs .* \(a corner lies at 1e\+300\)"),
        ('<width>64<', '<width>64.0<', r'a.xml: its size needs a width and a height in whole pixels'),
        ('<width>64</width>', '', r'a.xml: its size needs a width and a height in whole pixels'),
    ],
)
def test_damaged_xml_is_named(tmp_path, old, new, message):
    write(tmp_path, 'voc')
    path = tmp_path / 'Annotations' / 'a.xml'
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new).replace('</bndbox>', '</box>' if new == '<box>' else '</bndbox>'))
    with pytest.raises(ValueError, match=message):
        check_detection_data(own_config(tmp_path, 'voc'))


def test_an_image_that_is_to_be_measured_is_there(tmp_path):
    """mmdet reads the images whose size is not in the XML, each before the training begins."""
    write(tmp_path, 'voc')
    path = tmp_path / 'Annotations' / 'b.xml'
    path.write_text(path.read_text().replace('size>', 'measure>'))
    check_detection_data(own_config(tmp_path, 'voc'))
    image = tmp_path / 'JPEGImages' / 'b.jpg'
    image.write_bytes(image.read_bytes()[:200])
    with pytest.raises(ValueError, match=r'b.xml has no size, and its image cannot be read: .*b.jpg'):
        check_detection_data(own_config(tmp_path, 'voc'))


@pytest.mark.parametrize(
    ('names', 'message'),
    [
        (b'a\n\xff\n', r'trainval.txt is no list of names in UTF-8'),
        (b'a\n\nb\n', r'There is no .*Annotations/.xml, the annotations of  in'),
        (b'a\n\x1b[31m\n', r'There is no .*Annotations/\\x1b\[31m.xml, the annotations of .*x1b'),
    ],
)
def test_names_that_are_none_are_told(tmp_path, names, message):
    write(tmp_path, 'voc')
    (tmp_path / 'ImageSets/Main/trainval.txt').write_bytes(names)
    with pytest.raises((ValueError, FileNotFoundError), match=message) as error:
        check_detection_data(own_config(tmp_path, 'voc'))
    assert str(error.value).isprintable()


@pytest.mark.parametrize(
    'change',
    [
        dict(annotations=[dict(image_id=0, category_id=10, area=9, iscrowd=0)]),
        *(
            dict(annotations=[dict(image_id=0, category_id=10, area=9, bbox=bbox)])
            for bbox in (None, [1, 2, 3], 'abcd', [1, 1, 10**400, 5])
        ),
        dict(annotations=[dict(image_id=[0], category_id=10, area=9, bbox=[1, 1, 9, 9])]),
        dict(annotations=[dict(image_id=0, category_id=[1], area=9, bbox=[1, 1, 9, 9])]),
        dict(annotations=3),
        dict(images=[dict(id=0, file_name='a.jpg')]),
        dict(images=[dict(id=0, width=None, height=48, file_name='a.jpg')]),
        dict(images=None),
    ],
)
def test_a_json_of_another_format_is_named(tmp_path, change):
    write(tmp_path, 'coco')
    path = tmp_path / 'annotations' / 'train.json'
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ValueError, match=r"train.json is not a whole .json file in COCO's format"):
        check_detection_data(own_config(tmp_path, 'coco'))


@pytest.mark.parametrize('text', ['[1, 2]', '3', '[' * 100_000, f'{{"a": {"9" * 5000}}}'])
def test_json_of_other_things_is_named(tmp_path, text):
    write(tmp_path, 'coco')
    path = tmp_path / 'annotations' / 'train.json'
    path.write_text(text)
    with pytest.raises(ValueError, match=r'train.json is not a whole .json file'):
        check_detection_data(own_config(tmp_path, 'coco'))


def test_truncated_json_is_named(tmp_path):
    write(tmp_path, 'coco')
    path = tmp_path / 'annotations' / 'train.json'
    path.write_text(path.read_text()[:-9])
    with pytest.raises(ValueError, match=r'train.json is not a whole .json file'):
        check_detection_data(own_config(tmp_path, 'coco'))
