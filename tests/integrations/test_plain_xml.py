"""Annotation files cannot pull in entities or files: ours refuse, the parser of the others stops."""

from pathlib import Path

import pytest
from annotated_images import write_voc
from mmdet.datasets import VOCDataset
from mmengine.registry import init_default_scope
from mmpretrain.datasets import VOC

from clsa_mm.integrations.plain_xml import read_xml

LAUGHS = (
    '<!DOCTYPE a [<!ENTITY l0 "ha">{}]><annotation><object><name>&l30;</name></object></annotation>'.format(
        ''.join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 31))
    )
)
EXTERNAL = (
    '<!DOCTYPE a [<!ENTITY secret SYSTEM "file://{path}">]>'
    '<annotation><object><name>&secret;</name></object></annotation>'
)


@pytest.fixture(params=['laughs', 'external', 'harmless'])
def hostile(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    (tmp_path / 'secret').write_text('the secret')
    return dict(
        laughs=LAUGHS,
        external=EXTERNAL.format(path=tmp_path / 'secret'),
        harmless='<!DOCTYPE annotation><annotation/>',
    )[request.param]


def test_ours(hostile: str, tmp_path: Path) -> None:
    (tmp_path / 'a.xml').write_text(hostile)
    with pytest.raises(ValueError, match='a.xml is not a whole, plain .xml file .it declares a DOCTYPE'):
        read_xml(str(tmp_path / 'a.xml'))
    (tmp_path / 'a.xml').write_text('<annotation><object><name>cat</name></object></annotation>')
    assert read_xml(str(tmp_path / 'a.xml')).findtext('object/name') == 'cat'


@pytest.mark.parametrize('library', ['mmdet', 'mmpretrain'])
def test_of_other_libraries(hostile: str, library: str, tmp_path: Path) -> None:
    """They read with expat, which follows no entity to a file and stops one that grows."""
    if 'ENTITY' not in hostile:
        pytest.skip('nothing to pull in')
    init_default_scope(library)
    annotated = {name: [('cat', 0, (10, 10, 40, 40))] for name in ('a', 'b')}
    write_voc(tmp_path / 'voc', trainval=annotated, test=annotated)
    (path,) = (tmp_path / 'voc').rglob('Annotations/a.xml')
    path.write_text(hostile)
    root = path.parents[1]
    with pytest.raises(Exception, match='undefined entity|amplification|limit on input'):
        if library == 'mmdet':
            VOCDataset(
                data_root=str(root.parent),
                ann_file=f'{root.name}/ImageSets/Main/trainval.txt',
                data_prefix=dict(sub_data_root=f'{root.name}/'),
            )
        else:
            VOC(data_root=str(root), split='trainval')
