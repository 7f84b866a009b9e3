"""What the soak test says of figures that grow, stay or wobble, and what Linux says of a process."""

import mmap
import os
import runpy
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from child_process import run_tool

TOOLS = Path(__file__).parents[2] / 'tools/benchmarks'


@pytest.fixture
def soak(monkeypatch: pytest.MonkeyPatch) -> dict:
    monkeypatch.syspath_prepend(str(TOOLS))
    return runpy.run_path(str(TOOLS / 'soak.py'))


def sample(iteration: int, **figures: float) -> tuple[int, dict]:
    return iteration, {name.replace('_', ' '): {7: value} for name, value in figures.items()}


@pytest.mark.parametrize(
    ('name', 'per_look', 'grows'),
    [('own_MiB', 0.0, False), ('own_MiB', 0.5, True), ('own_MiB', 0.02, False), ('handles', 0.1, True)],
)
def test_a_line_is_fitted_behind_the_warm_up(soak, name, per_look, grows):
    """100 looks, 10 iterations apart; over the 50 behind the warm-up 0.5 MiB make 25, 0.1 handles 5."""
    noise = np.random.default_rng(0).normal(0, 0.2, 100)
    samples = [sample(10 * i, **{name: 300 * (i < 50) + 100 + per_look * i + noise[i]}) for i in range(100)]
    ((line, found),) = soak['slope_lines'](samples)
    assert found is grows and line.endswith('GROWS' if grows else 'flat')
    slope = float(line.split()[-2])
    assert slope == pytest.approx(100 * per_look, abs=0.5)


def test_a_single_low_number_makes_no_growth(soak):
    numbers = [18] * 100
    numbers[60] = 17
    ((_, grows),) = soak['slope_lines']([sample(10 * i, handles=n) for i, n in enumerate(numbers)])
    assert not grows


def test_handles_that_come_and_go_do_not_grow(soak):
    """From 17 to 26, as of a worker, with high numbers at the end: the line rises, the least does not."""
    numbers = [17 + (7 * i) % 10 for i in range(90)] + [26, 25, 17, 26, 25, 26, 26, 26, 25, 26]
    ((line, grows),) = soak['slope_lines']([sample(10 * i, handles=n) for i, n in enumerate(numbers)])
    assert not grows and float(line.split()[-2]) > 1


@pytest.mark.parametrize(('leak', 'grows'), [(0, False), (1000, True)])
def test_a_leak_of_a_kilobyte_is_told(soak, tmp_path, leak, grows):
    """Beside what comes and goes, and a jump during the warm-up."""
    rng = np.random.default_rng(0)
    sizes = [300e6 + 5e6 * (i > 40) + 1e5 * rng.random() + leak * 10 * i for i in range(1, 251)]
    (tmp_path / 'allocated_0.txt').write_text(''.join(f'{10 * i} {s:.0f}\n' for i, s in enumerate(sizes, 1)))
    ((line, found),) = soak['allocation_lines'](tmp_path)
    assert found is grows and line.startswith('rank 0 main allocated MiB')
    assert float(line.split()[-2]) == pytest.approx(leak * 1000 / 2**20, abs=0.1)


def test_what_is_allocated_is_told(monkeypatch):
    monkeypatch.syspath_prepend(str(TOOLS))
    allocated = runpy.run_path(str(TOOLS / 'allocated.py'))['allocated']
    before = allocated()
    block = bytearray(2**24)
    assert allocated() - before == pytest.approx(len(block), abs=2**21)
    del block
    assert allocated() - before < 2**21


def test_processes_that_come_and_go_are_left_out(soak):
    samples = [(i, {'own MiB': {7: 50.0, 100 + i: 1.0 * i}}) for i in range(20)]
    ((line, grows),) = soak['slope_lines'](samples)
    assert not grows and line.split()[2:5] == ['1', '50.0', '50.0']


def test_a_process_that_is_known(soak):
    look, children = soak['look'], soak['children']
    figures = look(os.getpid())
    assert figures['rank 0 main threads'][os.getpid()] == threading.active_count() + extra_threads()
    with open(os.devnull) as one, open(os.devnull) as two:
        more = look(os.getpid())['rank 0 main handles'][os.getpid()]
        assert one.fileno() != two.fileno()
    assert more == figures['rank 0 main handles'][os.getpid()] + 2
    before = look(os.getpid())['rank 0 main anonymous MiB'][os.getpid()]
    # From the system: an allocator may have kept as much. 256 MiB are much beside what is taken meanwhile.
    with mmap.mmap(-1, 2**28, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as block:
        block.write(bytes([1]) * 2**28)
        after = look(os.getpid())['rank 0 main anonymous MiB'][os.getpid()]
    assert after - before == pytest.approx(256, abs=40)
    child = subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE)
    assert child.pid in children()[os.getpid()] and child.pid in look(os.getpid())['rank 0 worker threads']
    child.communicate(b'\n')


def extra_threads() -> int:
    """Threads that Python does not know, of torch and OpenCV."""
    status = Path('/proc/self/status').read_text()
    total = next(int(line.split()[1]) for line in status.splitlines() if line.startswith('Threads:'))
    return total - threading.active_count()


def test_memory_of_a_list_of_images():
    done = run_tool(TOOLS / 'data_list.py', '--images', '3000')
    assert done.returncode == 0, done.stderr[-2000:]
    assert '3000 images of a list: ' in done.stdout
    assert 'worker, own' in done.stdout and 'MiB after all entries' in done.stdout
