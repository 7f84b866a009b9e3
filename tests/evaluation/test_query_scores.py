"""Scores of single images, against a loop over equation 3, and the tool that draws them."""

import statistics
import sys

import pytest
import reference
import torch
import torch.nn.functional as F
from mmengine.registry import DATASETS, MODELS
from small_runs import RandomViews, small_model
from tool_modules import load_tool

from clsa_mm.checkpoints.read import CheckpointError
from clsa_mm.evaluation import query_scores
from clsa_mm.evaluation.frozen_model import build_pretrained_model
from clsa_mm.evaluation.query_scores import role_scores
from clsa_mm.evaluation.score_statistics import query_statistics, temperature_of
from clsa_mm.models import Bank, DDMHead


@pytest.mark.parametrize('temperature', [0.05, 0.2])
def test_by_a_loop_over_equation_3(temperature):
    """Of the images that the seed chooses, in order; the views of these images do not depend on it here."""
    model = small_model().eval()
    for parameter in model.key_encoder.parameters():
        parameter.data += 0.05  # so that it is another network than the query encoder
    dataset = RandomViews()
    found = role_scores(model, dataset, 10, temperature, seed=3, batch_size=4)
    chosen = torch.randperm(48, generator=torch.Generator().manual_seed(3))[:10].sort().values.tolist()
    views = [dataset[i]['inputs'] for i in chosen]
    images = {role: torch.stack([view[role][0] for view in views]) for role in ('key', 'weak', 'strong')}
    keys = F.normalize(model.key_encoder(images['key'])[0], dim=1).detach().double()
    assert found.keys() == {'weak', 'strong'}
    for role in found:
        queries = F.normalize(model.neck(model.backbone(images[role]))[0], dim=1).detach().double()
        for i, query in enumerate(queries):
            probabilities = reference.distribution(query, keys, temperature)
            others = [float(p) for m, p in enumerate(probabilities) if m != i]
            expected = dict(
                positive_score=float(query @ keys[i]),
                positive_probability=float(probabilities[i]),
                negative_probability_variance=statistics.pvariance(others),
            )
            for name, value in expected.items():
                assert float(found[role][name][i]) == pytest.approx(value, rel=1e-3, abs=1e-9)


def test_a_bank_of_several_chunks(monkeypatch):
    """The positives of later queries are their own, too."""
    model = small_model()
    whole = role_scores(model, RandomViews(), 48, 0.2)
    monkeypatch.setattr(query_scores, '_CHUNK', 7)
    parts = role_scores(model, RandomViews(), 48, 0.2)
    for role, values in whole.items():
        for name, value in values.items():
            torch.testing.assert_close(parts[role][name], value)


def test_each_query_by_itself():
    generator = torch.Generator().manual_seed(0)
    keys, queries = (F.normalize(torch.randn(5, 4, generator=generator), dim=1) for _ in range(2))
    together = query_statistics(queries, Bank(keys, [keys]), 0.2)
    for i in range(5):
        alone = query_statistics(queries[i : i + 1], Bank(keys[i : i + 1], [keys]), 0.2)
        for name, values in together.items():
            torch.testing.assert_close(values[i : i + 1], alone[name])


def test_views_without_roles():
    class Plain(RandomViews):
        def __getitem__(self, index):
            return dict(inputs=super().__getitem__(index)['inputs']['key'])

    with pytest.raises(ValueError, match='no weak or strong views by role: give a config with'):
        role_scores(small_model(), Plain(), 8, 0.2)


def test_temperature_is_that_of_the_trained_loss():
    assert temperature_of(DDMHead(temperature=0.3, ddm_temperature=0.1)) == 0.3
    assert temperature_of(DDMHead(0.3, 0.1, contrastive_weight=0)) == 0.1
    assert temperature_of(torch.nn.Identity()) is None


@pytest.fixture
def saved(tiny_pretraining, tmp_path):
    """A config, and the checkpoint of another random model of MoCo v2, whose head and queue differ."""
    cfg = tiny_pretraining('cifar10/clsa_r18_1xb256_200e_cifar10.py')
    other = tiny_pretraining('cifar10/mocov2_r18_1xb256_200e_cifar10.py', **{'model.queue_len': 16})
    torch.manual_seed(5)
    model = MODELS.build(other.model)
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'epoch_1.pth')
    return cfg, model, tmp_path / 'epoch_1.pth'


def test_all_encoders_are_loaded(saved):
    cfg, model, checkpoint = saved
    state = build_pretrained_model(cfg, str(checkpoint)).state_dict()
    for name, value in model.state_dict().items():
        if not name.startswith('queue'):
            torch.testing.assert_close(state[name].cpu(), value)
    random = build_pretrained_model(cfg, None).state_dict()
    assert not torch.equal(random['backbone.conv1.weight'], state['backbone.conv1.weight'])


def test_a_checkpoint_that_does_not_fit(saved):
    cfg, _, checkpoint = saved
    cfg.model.neck.hid_channels = 48
    with pytest.raises(
        CheckpointError, match=r'epoch_1.pth does not fit .* neck\..* Give the config of that'
    ):
        build_pretrained_model(cfg, str(checkpoint))


@pytest.fixture
def tool():
    return load_tool('analysis_tools/plot_scores.py')


def test_tool(saved, tool, tmp_path, monkeypatch, capsys):
    cfg, _, checkpoint = saved
    cfg.dump(tmp_path / 'config.py')
    arguments = [tmp_path / 'config.py', '--random-init', f'a$b={checkpoint}', '--images', 8]
    arguments += ['--out', tmp_path / 'out']
    monkeypatch.setattr(sys, 'argv', ['plot_scores.py', *map(str, arguments)])
    tool.main()
    said = capsys.readouterr().out
    assert 'random, strong: median positive probability' in said and 'a$b, weak: median' in said
    assert '8 images, temperature 0.2' in said
    assert (tmp_path / 'out.png').is_file() and (tmp_path / 'out.svg').is_file()
    model = build_pretrained_model(cfg, str(checkpoint))
    scores = role_scores(model, DATASETS.build(cfg.train_dataloader.dataset), 8, 0.2)
    median = scores['weak']['positive_probability'].median().item()
    assert f'a$b, weak: median positive probability {median:.3g}' in said


def test_tool_without_the_checkpoint(saved, tool, tmp_path, monkeypatch):
    saved[0].dump(tmp_path / 'config.py')
    monkeypatch.setattr(sys, 'argv', ['plot_scores.py', str(tmp_path / 'config.py'), f'a={tmp_path}/no.pth'])
    with pytest.raises(SystemExit, match='There is no checkpoint file .*no.pth; check the path'):
        tool.main()
