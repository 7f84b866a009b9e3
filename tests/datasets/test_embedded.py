import hashlib
import json
import os
import runpy
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from matplotlib.path import Path as MplPath
from PIL import Image

from clsa_mm.datasets.embedded import (
    COCO_NAMES,
    GENERATORS,
    KINDS,
    VOC_NAMES,
    EmbeddedDataError,
    generate_coco,
    generate_imagenet,
    generate_voc,
    scene,
)
from clsa_mm.datasets.embedded.kinds import SHAPES, TEXTURES
from clsa_mm.datasets.embedded.scene import image_rng, render_scene
from clsa_mm.datasets.embedded.shapes import (
    clip_to_image,
    coverage,
    outline,
    place,
    polygon_area,
)
from clsa_mm.datasets.embedded.textures import pattern

REPOSITORY = Path(__file__).parents[2]
VOC_COUNTS = {'num_train': 24, 'num_val': 22, 'num_test': 21}
COCO_COUNTS = {'num_train': 24, 'num_val': 20}


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp('data')
    options = {
        'imagenet': {'num_train': 40, 'num_val': 20, 'image_size': 48},
        'voc': {**VOC_COUNTS, 'image_size': 128},
        'coco': {**COCO_COUNTS, 'image_size': 128},
    }
    return {name: GENERATORS[name](root, seed=3, progress=False, **options[name]) for name in options}


def digest(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob('*') if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def read_list(path: Path) -> list[str]:
    return path.read_text().splitlines()


# ---- shapes and textures -----------------------------------------------------------------------


def exact_coverage(polygon: np.ndarray, height: int, width: int, scale: int = 8) -> np.ndarray:
    """Matplotlib's point-in-polygon test at ``scale`` x ``scale`` points in each pixel."""
    y, x = (np.mgrid[: height * scale, : width * scale] + 0.5) / scale
    closed = MplPath(np.concatenate([polygon, polygon[:1]]))
    inside = closed.contains_points(np.stack([x.ravel(), y.ravel()], axis=1))
    return inside.reshape(height, scale, width, scale).mean(axis=(1, 3))


@pytest.mark.parametrize('shape', SHAPES)
def test_outline_has_unit_area_and_rasterises_exactly(shape: str) -> None:
    polygon = place(outline(shape), 45.0, 0.4, 1.2, (44.0, 42.0))
    area = cv2.contourArea(polygon.astype(np.float32).reshape(-1, 1, 2))
    assert area == pytest.approx(45.0**2, rel=1e-4)
    assert polygon_area(polygon) == pytest.approx(area, rel=1e-4)
    error = coverage(polygon, 84, 90) - exact_coverage(polygon, 84, 90)
    # cv2 also fills the outline itself: up to a subpixel more, a quarter of a pixel.
    assert -0.1 < error.min() and error.max() < 0.4
    assert np.abs(error).mean() < 0.01


@pytest.mark.parametrize('shape', SHAPES)
@pytest.mark.parametrize('centre', [(20, 20), (2, 30), (58, 3), (35, 49), (0, 0), (60, 50)])
def test_clipping_keeps_just_the_part_inside(shape: str, centre: tuple[int, int]) -> None:
    height, width = 50, 60
    whole = place(outline(shape), 30.0, 0.3, 1.0, centre)
    clipped = clip_to_image(whole, height, width)
    assert clipped.min() >= 0 and (clipped <= [width, height]).all()
    area = exact_coverage(whole, height, width).sum()
    assert polygon_area(clipped) == pytest.approx(area, rel=0.01)
    # The cut polygon covers the same pixels, whatever edges run along the border.
    same = exact_coverage(clipped, height, width) - exact_coverage(whole, height, width)
    assert np.abs(same).max() < 0.05


def test_clipping_outside_leaves_nothing() -> None:
    polygon = place(outline('star'), 10.0, 0.0, 1.0, (-50.0, 20.0))
    assert clip_to_image(polygon, 40, 40).shape == (0, 2)


@pytest.mark.parametrize('texture', TEXTURES)
def test_textures_show_both_colours_equally(texture: str) -> None:
    for seed in range(5):
        mask = pattern(texture, np.random.default_rng(seed), 120, 130, 12.0)
        assert mask.shape == (120, 130)
        assert 0 <= mask.min() < 0.01 and 0.99 < mask.max() <= 1
        assert mask.mean() == pytest.approx(0.5, abs=0.05)


def test_shapes_and_textures_are_balanced_over_the_kinds() -> None:
    assert len(set(KINDS)) == len(KINDS) == 20
    for count in (10, 20):
        assert set(Counter(kind.shape for kind in KINDS[:count]).values()) == {count // 5}
        assert set(Counter(kind.texture for kind in KINDS[:count]).values()) == {count // 5}


# ---- scenes ------------------------------------------------------------------------------------


def test_masks_agree_with_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two pictures that differ in the objects' surfaces alone differ just where the masks are."""

    def draw(index: int, value: float) -> tuple[np.ndarray, list[scene.SceneObject]]:
        def surface(rng: np.random.Generator, height: int, width: int, *_: float) -> np.ndarray:
            return np.full((height, width, 3), value, np.float32)

        monkeypatch.setattr(scene, '_surface', surface)
        return render_scene(image_rng(0, 0, index), 110, 130, [index, 3, 7, 12], (0.2, 0.45))

    for index in range(8):
        black, objects = draw(index, -1e6)
        white, again = draw(index, 1e6)
        assert len(objects) == len(again) >= 1
        touched = (black != white).any(axis=2).astype(np.uint8)
        total = np.sum([instance.mask for instance in objects], axis=0)
        assert total.max() == 1  # no two objects overlap
        assert touched[total == 1].all()
        # Pixels covered by less than half touch the masks' borders.
        assert cv2.dilate(total.astype(np.uint8), np.ones((3, 3)), iterations=2)[touched == 1].all()
        for instance in objects:
            rows, columns = np.nonzero(instance.mask)
            assert instance.box() == (columns.min(), rows.min(), columns.max(), rows.max())
            low, high = instance.polygon.min(axis=0), instance.polygon.max(axis=0)
            box = np.array(instance.box()) + [0, 0, 1, 1]
            assert np.abs(box - [*low, *high]).max() < 4  # thin tips cover less than half a pixel


def test_first_object_is_always_there_and_mostly_visible() -> None:
    for index in range(60):
        _, objects = render_scene(image_rng(1, 0, index), 64, 90, [index % 20], (0.4, 0.6))
        assert [instance.kind for instance in objects] == [index % 20]
        assert objects[0].visible >= 0.75


def test_scenes_depend_on_seed_stream_and_index_alone() -> None:
    def draw(*key: int) -> bytes:
        return render_scene(image_rng(*key), 48, 48, [2], (0.4, 0.6))[0].tobytes()

    pictures = {key: draw(*key) for key in [(0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0)]}
    assert len(set(pictures.values())) == 4
    np.random.seed(5)  # the global generator plays no part
    assert draw(0, 1, 0) == pictures[0, 1, 0]


# ---- what tells the classes apart --------------------------------------------------------------


@pytest.fixture(scope='module')
def pictures() -> tuple[np.ndarray, list[np.ndarray], np.ndarray]:
    images, masks, labels = [], [], []
    for index in range(900):
        label = index % 10
        image, objects = render_scene(image_rng(0, 0, index), 64, 64, [label], (0.42, 0.6))
        images.append(image)
        masks.append(objects[0].mask)
        labels.append(label)
    return np.stack(images), masks, np.array(labels)


def held_out_accuracy(features: np.ndarray, labels: np.ndarray) -> float:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=300))
    return model.fit(features[:600], labels[:600]).score(features[600:], labels[600:])


def test_colour_alone_is_near_chance(pictures: tuple) -> None:
    images, _, labels = pictures
    flat = images.reshape(len(images), -1, 3)
    bins = (flat // 64).astype(int) @ [16, 4, 1]
    histograms = np.stack([np.bincount(image, minlength=64) for image in bins])
    # Chance is 0.1; three standard deviations of 300 guesses are 0.05.
    assert held_out_accuracy(flat.mean(axis=1), labels) < 0.17
    assert held_out_accuracy(histograms, labels) < 0.2


def test_outline_tells_the_shape(pictures: tuple) -> None:
    _, masks, labels = pictures
    features = []
    for mask in masks:
        contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        contour = max(contours, key=cv2.contourArea)
        area, length = cv2.contourArea(contour), cv2.arcLength(contour, True)
        hull = cv2.contourArea(cv2.convexHull(contour))
        triangle, _ = cv2.minEnclosingTriangle(contour)
        moments = cv2.HuMoments(cv2.moments(contour)).ravel()[:4]
        features.append([area / hull, area / length**2, area / triangle, *np.log10(moments)])
    assert held_out_accuracy(np.array(features), labels % 5) > 0.9


def test_gradients_tell_the_class(pictures: tuple) -> None:
    images, _, labels = pictures
    hog = cv2.HOGDescriptor((64, 64), (16, 16), (16, 16), (8, 8), 9)
    gray = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in images]
    features = np.stack([hog.compute(image).ravel() for image in gray])
    assert held_out_accuracy(features, labels) > 0.4


# ---- ImageNet's layout -------------------------------------------------------------------------


@pytest.mark.parametrize(('split', 'count'), [('train', 40), ('val', 20)])
def test_imagenet_is_read_by_mmpretrain(data: dict[str, Path], split: str, count: int) -> None:
    from mmpretrain.datasets import CustomDataset, ImageNet

    listed = ImageNet(data_root=str(data['imagenet']), split=split)
    labels = [listed[i]['gt_label'] for i in range(len(listed))]
    assert labels == [i % 10 for i in range(count)]
    for i in range(count):
        with Image.open(listed[i]['img_path']) as image:
            assert (image.format, image.mode, image.size) == ('JPEG', 'RGB', (48, 48))
    by_folder = CustomDataset(data_prefix=str(data['imagenet'] / split))
    assert {s['img_path']: s['gt_label'] for s in by_folder} == {s['img_path']: s['gt_label'] for s in listed}


# ---- VOC's layout ------------------------------------------------------------------------------


def voc_splits() -> list[tuple[str, str, int]]:
    train, val, test = VOC_COUNTS.values()
    both = [
        (year, split, count)
        for year in ('VOC2007', 'VOC2012')
        for split, count in (('train', train), ('val', val), ('trainval', train + val))
    ]
    return [*both, ('VOC2007', 'test', test)]


def test_voc_splits_are_the_published_ones(data: dict[str, Path]) -> None:
    for year, split, count in voc_splits():
        assert len(read_list(data['voc'] / year / f'ImageSets/Main/{split}.txt')) == count
    assert not (data['voc'] / 'VOC2012/ImageSets/Main/test.txt').exists()
    for year in ('VOC2007', 'VOC2012'):
        main = data['voc'] / year / 'ImageSets/Main'
        train, val, both = (read_list(main / f'{s}.txt') for s in ('train', 'val', 'trainval'))
        assert both == train + val and not set(train) & set(val)


def test_voc_annotations_follow_the_schema(data: dict[str, Path]) -> None:
    flags = Counter()
    for year in ('VOC2007', 'VOC2012'):
        images = {path.stem for path in (data['voc'] / year / 'JPEGImages').iterdir()}
        annotations = sorted((data['voc'] / year / 'Annotations').iterdir())
        assert images == {path.stem for path in annotations}
        for path in annotations:
            root = ET.parse(path).getroot()
            assert root.tag == 'annotation' and root.findtext('folder') == year
            assert root.findtext('filename') == f'{path.stem}.jpg'
            with Image.open(data['voc'] / year / 'JPEGImages' / f'{path.stem}.jpg') as image:
                width, height = image.size
            size = [int(root.findtext(f'size/{tag}')) for tag in ('width', 'height', 'depth')]
            assert size == [width, height, 3]
            assert max(width, height) == 128 and min(width, height) >= 83
            assert 1 <= len(root.findall('object')) <= 5
            for node in root.findall('object'):
                assert node.findtext('name') in VOC_NAMES
                corners = ('xmin', 'ymin', 'xmax', 'ymax')
                xmin, ymin, xmax, ymax = (int(node.findtext(f'bndbox/{tag}')) for tag in corners)
                assert 1 <= xmin < xmax <= width and 1 <= ymin < ymax <= height
                truncated, difficult = node.findtext('truncated'), node.findtext('difficult')
                flags[truncated, difficult] += 1
                if truncated == '1':
                    assert xmin == 1 or ymin == 1 or xmax == width or ymax == height
    assert set(flags) == {('0', '0'), ('1', '0'), ('1', '1')}


def test_voc_boxes_are_one_based_and_inclusive(data: dict[str, Path]) -> None:
    from clsa_mm.datasets.embedded.crowded_scene import crowded_scene

    _, objects = crowded_scene(3, 10, 0, 128)  # the first training image of VOC2007
    root = ET.parse(data['voc'] / 'VOC2007/Annotations/000001.xml').getroot()
    nodes = root.findall('object')
    assert len(nodes) == len(objects)
    for instance, node in zip(objects, nodes, strict=True):
        rows, columns = np.nonzero(instance.mask)
        expected = [columns.min() + 1, rows.min() + 1, columns.max() + 1, rows.max() + 1]
        assert [int(child.text) for child in node.find('bndbox')] == expected
        assert node.findtext('name') == VOC_NAMES[instance.kind]


def test_voc_class_lists_agree_with_annotations(data: dict[str, Path]) -> None:
    for year, split, _ in voc_splits():
        main = data['voc'] / year / 'ImageSets' / 'Main'
        names = read_list(main / f'{split}.txt')
        for class_name in VOC_NAMES:
            lines = [line.split() for line in read_list(main / f'{class_name}_{split}.txt')]
            assert [name for name, _ in lines] == names
            for name, flag in lines:
                root = ET.parse(data['voc'] / year / f'Annotations/{name}.xml').getroot()
                difficult = [
                    node.findtext('difficult')
                    for node in root.findall('object')
                    if node.findtext('name') == class_name
                ]
                expected = '1' if '0' in difficult else '0' if difficult else '-1'
                assert flag == expected
            assert {'1', '-1'} <= {flag for _, flag in lines}


def test_voc_is_read_by_mmpretrain(data: dict[str, Path]) -> None:
    from mmpretrain.datasets import VOC

    for year, split, count in voc_splits():
        dataset = VOC(data_root=str(data['voc'] / year), split=split)
        assert dataset.CLASSES == VOC_NAMES and len(dataset) == count
        for i in range(count):
            assert i % 20 in dataset[i]['gt_label'] or split == 'trainval'
            assert Path(dataset[i]['img_path']).exists()


def test_voc_is_read_by_mmdet(data: dict[str, Path]) -> None:
    datasets = pytest.importorskip(
        'mmdet.datasets', reason='mmdet cannot be imported here', exc_type=ImportError
    )
    dataset = datasets.VOCDataset(
        data_root=str(data['voc']) + '/',
        ann_file='VOC2012/ImageSets/Main/trainval.txt',
        data_prefix={'sub_data_root': 'VOC2012/'},
        filter_cfg={'filter_empty_gt': True, 'min_size': 32},
    )
    assert dataset.metainfo['dataset_type'] == 'VOC2012'
    assert len(dataset) == VOC_COUNTS['num_train'] + VOC_COUNTS['num_val']
    assert dataset.metainfo['classes'] == VOC_NAMES
    assert all(info['instances'] for info in map(dataset.get_data_info, range(len(dataset))))


# ---- COCO's layout -----------------------------------------------------------------------------


@pytest.mark.filterwarnings('ignore:__array__ implementation:DeprecationWarning')  # pycocotools
@pytest.mark.parametrize(('split', 'count'), [('train2017', 24), ('val2017', 20)])
def test_coco_masks_and_boxes_agree_with_pixels(data: dict[str, Path], split: str, count: int) -> None:
    COCO = pytest.importorskip('pycocotools.coco', reason='pycocotools is not installed').COCO
    from clsa_mm.datasets.embedded.crowded_scene import crowded_scene

    coco = COCO(data['coco'] / f'annotations/instances_{split}.json')
    assert len(coco.getImgIds()) == count
    for index, image_id in enumerate(sorted(coco.getImgIds())):
        info = coco.loadImgs([image_id])[0]
        with Image.open(data['coco'] / split / info['file_name']) as image:
            assert image.size == (info['width'], info['height'])
        _, objects = crowded_scene(3, {'train2017': 20, 'val2017': 21}[split], index, 128)
        annotations = coco.loadAnns(coco.getAnnIds([image_id]))
        for instance, annotation in zip(objects, annotations, strict=True):
            category = coco.loadCats([annotation['category_id']])[0]
            assert category['name'] == COCO_NAMES[instance.kind]
            mask = coco.annToMask(annotation).astype(bool)
            assert (mask & instance.mask).sum() / (mask | instance.mask).sum() > 0.9
            assert annotation['area'] == pytest.approx(mask.sum(), rel=0.05)
            rows, columns = np.nonzero(instance.mask)
            x, y, width, height = annotation['bbox']
            drawn = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            assert np.abs(np.subtract(drawn, [x, y, x + width, y + height])).max() < 4
            assert annotation['iscrowd'] == 0


def test_coco_categories_are_the_published_ones(data: dict[str, Path]) -> None:
    detection = pytest.importorskip('torchvision.models.detection')
    published = detection.FasterRCNN_ResNet50_FPN_Weights.COCO_V1.meta['categories']
    expected = {i: name for i, name in enumerate(published) if i and name != 'N/A'}
    content = json.loads((data['coco'] / 'annotations/instances_val2017.json').read_text())
    assert {c['id']: c['name'] for c in content['categories']} == expected
    assert len(expected) == 80 and set(COCO_NAMES) <= set(expected.values())
    used = {annotation['category_id'] for annotation in content['annotations']}
    assert {expected[number] for number in used} == set(COCO_NAMES)


def test_coco_is_read_by_mmdet(data: dict[str, Path]) -> None:
    datasets = pytest.importorskip(
        'mmdet.datasets', reason='mmdet cannot be imported here', exc_type=ImportError
    )
    for split, count in (('train2017', 24), ('val2017', 20)):
        dataset = datasets.CocoDataset(
            data_root=str(data['coco']) + '/',
            ann_file=f'annotations/instances_{split}.json',
            data_prefix={'img': f'{split}/'},
            filter_cfg={'filter_empty_gt': True, 'min_size': 32},
        )
        assert len(dataset) == count
        for i in range(count):
            info = dataset.get_data_info(i)
            assert Path(info['img_path']).exists()
            names = {dataset.metainfo['classes'][obj['bbox_label']] for obj in info['instances']}
            assert COCO_NAMES[i % 20] in names
            assert all(obj['mask'] for obj in info['instances'])


# ---- writing -----------------------------------------------------------------------------------


def test_same_seed_same_bytes_in_another_process(tmp_path: Path) -> None:
    code = (
        'import json, sys\n'
        'from clsa_mm.datasets.embedded import GENERATORS\n'
        'for name, options in json.loads(sys.argv[2]).items():\n'
        '    GENERATORS[name](sys.argv[1], seed=3, progress=False, **options)\n'
    )
    options = {
        'imagenet': {'num_train': 6, 'num_val': 2, 'image_size': 48},
        'voc': {'num_train': 3, 'num_val': 1, 'num_test': 1, 'image_size': 64},
        'coco': {'num_train': 3, 'num_val': 1, 'image_size': 64},
    }
    folders = {
        name: GENERATORS[name](tmp_path / 'here', seed=3, progress=False, **sizes)
        for name, sizes in options.items()
    }
    environment = {**os.environ, 'PYTHONHASHSEED': '77', 'PYTHONPATH': str(REPOSITORY)}
    subprocess.run(
        [sys.executable, '-c', code, str(tmp_path / 'there'), json.dumps(options)],
        check=True, env=environment, cwd=tmp_path,
    )  # fmt: skip
    for folder in folders.values():
        assert digest(tmp_path / 'there' / folder.name) == digest(folder)


def test_larger_set_begins_with_the_smaller_one(data: dict[str, Path], tmp_path: Path) -> None:
    small = digest(data['voc'])
    large = digest(
        generate_voc(tmp_path, num_train=26, num_val=22, num_test=23, image_size=128, seed=3, progress=False)
    )
    images = {name for name in small if 'JPEGImages' in name or 'Annotations' in name}
    assert {large[name] for name in images} == {small[name] for name in images}
    assert len(large) == len(small) + 2 * (2 + 2 + 2)


def test_another_seed_gives_other_images(tmp_path: Path) -> None:
    options = {'num_train': 5, 'num_val': 5, 'image_size': 32, 'progress': False}
    first = digest(generate_imagenet(tmp_path / 'a', seed=0, **options))
    second = digest(generate_imagenet(tmp_path / 'b', seed=1, **options))
    jpegs = [name for name in first if name.endswith('.JPEG')]
    assert len(jpegs) == 10
    assert not {first[name] for name in jpegs} & {second[name] for name in jpegs}


def test_second_call_does_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {'num_train': 5, 'num_val': 5, 'image_size': 32, 'progress': False}
    folder = generate_coco(tmp_path, **options)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob('*')}
    monkeypatch.setattr('clsa_mm.datasets.embedded.coco.write_jpeg', None)  # would fail if called
    assert generate_coco(tmp_path, **options) == folder
    assert {path: path.stat().st_mtime_ns for path in folder.rglob('*')} == before


def test_other_parameters_need_overwrite(tmp_path: Path) -> None:
    options = {'num_val': 3, 'image_size': 32, 'progress': False}
    folder = generate_imagenet(tmp_path, num_train=4, **options)
    with pytest.raises(EmbeddedDataError, match='num_train is 4, asked for 6.*overwrite=True'):
        generate_imagenet(tmp_path, num_train=6, **options)
    assert len(read_list(folder / 'meta/train.txt')) == 4
    generate_imagenet(tmp_path, num_train=6, overwrite=True, **options)
    assert len(read_list(folder / 'meta/train.txt')) == 6
    assert [path.name for path in tmp_path.iterdir()] == ['imagenet']


def test_lost_files_are_noticed(tmp_path: Path) -> None:
    options = {'num_train': 4, 'num_val': 3, 'image_size': 32, 'progress': False}
    folder = generate_imagenet(tmp_path, **options)
    complete = digest(folder)
    next(folder.rglob('*.JPEG')).unlink()
    with pytest.raises(EmbeddedDataError, match='holds 8 files instead of 9.*overwrite=True'):
        generate_imagenet(tmp_path, **options)
    assert digest(generate_imagenet(tmp_path, overwrite=True, **options)) == complete


@pytest.mark.parametrize('record', [None, '{}', 'not json'])
@pytest.mark.parametrize('overwrite', [False, True])
def test_foreign_folder_is_left_alone(tmp_path: Path, record: str | None, overwrite: bool) -> None:
    folder = tmp_path / 'imagenet'
    folder.mkdir()
    (folder / 'mine.txt').write_text('precious')
    if record is not None:
        (folder / 'embedded.json').write_text(record)
    before = digest(folder)
    with pytest.raises(EmbeddedDataError, match='not made by this generator.*another root'):
        generate_imagenet(tmp_path, num_train=1, num_val=1, overwrite=overwrite, progress=False)
    assert digest(folder) == before


def test_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / 'coco').write_text('')
    with pytest.raises(EmbeddedDataError, match='coco is not a folder.*another root'):
        generate_coco(tmp_path, num_train=1, num_val=1, progress=False)


def test_interrupted_run_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(path: Path, image: np.ndarray) -> None:
        if path.name == 'train_00000002.JPEG':
            raise OSError('No space left on device')

    monkeypatch.setattr('clsa_mm.datasets.embedded.imagenet.write_jpeg', full_disk)
    with pytest.raises(OSError, match='No space left'):
        generate_imagenet(tmp_path, num_train=4, num_val=1, image_size=32, progress=False)
    assert list(tmp_path.iterdir()) == []


def test_empty_folder_and_link_are_filled(tmp_path: Path) -> None:
    real = tmp_path / 'disk'
    real.mkdir()
    root = tmp_path / 'data'
    root.mkdir()
    (root / 'imagenet').symlink_to(real, target_is_directory=True)
    generate_imagenet(root, num_train=2, num_val=1, image_size=32, progress=False)
    assert (root / 'imagenet').is_symlink() and (real / 'meta/train.txt').exists()


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'num_train': 0}, 'num_train must be an integer of at least 1, got 0'),
        ({'num_val': 2.5}, 'num_val must be an integer of at least 1, got 2.5'),
        ({'image_size': 31}, 'image_size must be an integer of at least 32, got 31'),
        ({'seed': -1}, 'seed must be an integer of at least 0, got -1'),
        ({'num_classes': 21}, 'num_classes must be at most 20, got 21'),
    ],
)
def test_bad_numbers_are_named(tmp_path: Path, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        generate_imagenet(tmp_path, **options)
    assert list(tmp_path.iterdir()) == []


def test_too_many_images_for_the_names(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='must be at most 200000'):
        generate_voc(tmp_path, num_val=200_001)
    with pytest.raises(ValueError, match='must be at most 1000000'):
        generate_coco(tmp_path, num_train=1_000_001)


def test_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tool = str(REPOSITORY / 'tools/dataset_converters/make_embedded_data.py')
    small = ['--num-train', '4', '--num-val', '2', '--num-test', '2', '--image-size', '32']
    monkeypatch.setattr(sys, 'argv', [tool, str(tmp_path), *small])
    runpy.run_path(tool, run_name='__main__')
    assert sorted(path.name for path in tmp_path.iterdir()) == ['VOCdevkit', 'coco', 'imagenet']
    printed = capsys.readouterr().out
    assert 'train: 4/4 images' in printed and f'voc: {tmp_path / "VOCdevkit"}' in printed

    monkeypatch.setattr(sys, 'argv', [tool, str(tmp_path), *small, '--seed', '1'])
    with pytest.raises(SystemExit, match='error: .*seed is 0, asked for 1'):
        runpy.run_path(tool, run_name='__main__')
