import pytest
import torch

from rapport.core.errors import RapportError
from rapport.training.config import OptimConfig
from rapport.training.optim import build_optimizer, learning_rates, load_optimizer_tensors, optimizer_tensors, set_rate
from rapport.training.schedules import Rate


def step(model, optimizer) -> None:
    optimizer.zero_grad()
    output = model.train()(torch.randn(2, 4000), torch.tensor([4000, 3000]))
    output.logits.square().sum().backward()
    optimizer.step()


def test_norms_and_biases_are_not_decayed(make_model):
    optimizer = build_optimizer(make_model(), OptimConfig(weight_decay=0.1))
    for group in optimizer.param_groups:
        assert group["weight_decay"] == (0.1 if all(p.ndim >= 2 for p in group["params"]) else 0.0)
    assert {group["weight_decay"] for group in optimizer.param_groups} == {0.0, 0.1}


def test_a_pretrained_encoder_has_a_rate_of_its_own_and_its_adapters_that_of_the_head(make_pretrained):
    optimizer = build_optimizer(make_pretrained(lora={"rank": 2}, unfreeze_last_n_layers=1), OptimConfig(lr=1e-3, encoder_lr=1e-5))
    parts = {name: group["part"] for group in optimizer.param_groups for name in group["names"]}
    assert {part for name, part in parts.items() if "lora_" in name} == {"head"}
    assert {part for name, part in parts.items() if "encoder.backbone.encoder.layers.2" in name and "lora_" not in name} == {"encoder"}
    set_rate(optimizer, Rate(0.5))
    assert learning_rates(optimizer) == {"encoder": 0.5e-5, "head": 0.5e-3}


def test_frozen_parameters_are_not_given_to_the_optimiser(make_pretrained):
    optimizer = build_optimizer(make_pretrained(), OptimConfig())
    assert learning_rates(optimizer).keys() == {"head"}


def test_a_rate_may_set_the_momentum(make_model):
    optimizer = build_optimizer(make_model(), OptimConfig(betas=(0.9, 0.98)))
    set_rate(optimizer, Rate(1.0, 0.85))
    assert all(group["betas"] == (0.85, 0.98) for group in optimizer.param_groups)


def test_state_by_name_comes_back_exactly(make_model):
    model = make_model()
    optimizer = build_optimizer(model, OptimConfig())
    assert optimizer_tensors(optimizer) == {}
    step(model, optimizer)
    tensors = optimizer_tensors(optimizer)
    assert "head.output.weight/exp_avg" in tensors
    again = build_optimizer(model, OptimConfig())
    load_optimizer_tensors(again, {name: tensor.clone() for name, tensor in tensors.items()})
    assert optimizer_tensors(again).keys() == tensors.keys()
    assert all(torch.equal(tensor, optimizer_tensors(again)[name]) for name, tensor in tensors.items())


def test_state_of_other_parameters_is_refused(make_model):
    with pytest.raises(RapportError, match=r"elsewhere\.weight"):
        load_optimizer_tensors(build_optimizer(make_model(), OptimConfig()), {"elsewhere.weight/exp_avg": torch.zeros(1)})


def test_a_model_of_which_nothing_trains_is_refused(make_model):
    with pytest.raises(RapportError, match="no parameter of the model trains"):
        build_optimizer(make_model().requires_grad_(False), OptimConfig())
