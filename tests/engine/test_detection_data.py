import copy
import json
from pathlib import Path

import pytest
from annotated_images import TEST, TRAIN, write_coco, write_voc
from mmengine.config import Config

import clsa_mm.integrations.mmdet  # noqa: F401
from clsa_mm.engine import check_detection_data

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
    monkeypatch.setattr('clsa_mm.engine.detection_data.print_log', lambda text, logger: told.append(text))
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
    with pytest.raises(ValueError, match=r"not one box.*no boxes; the config has 'cat', 'dog'.*ann_file"):
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
