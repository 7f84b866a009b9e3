"""bench_views.py: the table it prints."""

import importlib.util
import re
from pathlib import Path

import pytest
from photos import photo, to_pil

TOOL = Path(__file__).parents[2] / 'tools' / 'benchmarks' / 'bench_views.py'
spec = importlib.util.spec_from_file_location('bench_views', TOOL)
bench_views = importlib.util.module_from_spec(spec)
spec.loader.exec_module(bench_views)


def test_table(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """All rows with consistent figures, a budget that names the operations, crops within tolerance."""
    for i in range(3):
        to_pil(photo(260 + i, 300, seed=i)).save(tmp_path / f'{i}.jpg')
    bench_views.main(['--data', str(tmp_path), '--repeat', '1', '--recipes', 'MoCo v2', 'CLSA-Single'])
    printed = capsys.readouterr().out
    rows = re.findall(r'^  (\w+) +([\d.]+) img/s +([\d.]+) ms +ours: ([\d.]+)x$', printed, re.M)
    names = [row[0] for row in rows]
    assert names == ['clsa_mm', 'torchvision', 'mmpretrain', 'clsa_mm', 'torchvision']
    for _, rate, milliseconds, _ in rows:
        assert float(rate) * float(milliseconds) == pytest.approx(1000, rel=0.02)
    assert float(rows[1][3]) == pytest.approx(float(rows[1][2]) / float(rows[0][2]), rel=0.02)
    for operation in ('read', 'decode', 'crop to 224', 'crop to 96', 'strong operations', 'pack'):
        assert re.search(rf'^    {operation} +[\d.]+ \([\d.]+\)$', printed, re.M)
    errors = re.findall(r'crops differ from PIL by [\d.]+/255 on average, ([\d.]+) at most', printed)
    assert len(errors) == 2 and all(float(error) < 2 for error in errors)
