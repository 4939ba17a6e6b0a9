"""Contract of every network in NETWORKS, and the published parameter counts."""

from __future__ import annotations

from importlib.resources import files

import pytest
import torch

from pancseg.segmentation.networks import NETWORKS, parameter_count
from pancseg.segmentation.networks.graph import NetworkGraph
from pancseg.segmentation.networks.stored_graphs import graph_of
from pancseg.segmentation.networks.trace import trace

COUNTS = {
    "monet": (403_556, 401_666),
    "unet": (31_054_145, 31_042_369),
    "attention_unet": (31_753_349, 31_741_573),
    "unet16": (1_946_705, 1_943_761),
}
"""All parameters as Keras counts them, and the trainable ones among them: as published in arXiv
2009.00872, except for unet16, for which none is published."""


def test_every_network_has_a_count() -> None:
    assert set(COUNTS) == set(NETWORKS)


@pytest.mark.parametrize("name", NETWORKS)
def test_parameters_are_counted(name: str) -> None:
    network = NETWORKS[name]()
    trainable = sum(p.numel() for p in network.parameters() if p.requires_grad)
    assert (parameter_count(network), trainable) == COUNTS[name]


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("shape", [(2, 1, 32, 32), (1, 1, 48, 64)])
def test_logits_have_the_input_shape(name: str, shape: tuple[int, ...]) -> None:
    network = NETWORKS[name]().eval()
    assert network(torch.rand(shape)).shape == shape


@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_reach_every_parameter(name: str) -> None:
    network = NETWORKS[name]().train()
    network(torch.rand(2, 1, 32, 32)).sub(1).square().sum().backward()
    silent = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []


@pytest.mark.parametrize("name", NETWORKS)
def test_evaluation_is_deterministic(name: str) -> None:
    network, x = NETWORKS[name]().eval(), torch.rand(1, 1, 32, 32)
    with torch.no_grad():
        assert torch.equal(network(x), network(x))


def test_monet_drops_channels_in_training_only() -> None:
    network, x = NETWORKS["monet"]().train(), torch.rand(1, 1, 32, 32)
    with torch.no_grad():
        assert not torch.equal(network(x), network(x))


def test_monet_connects_its_dilated_blocks_as_described() -> None:
    """c1 = b4(x); c2 = b3(x + c1); c3 = b2(c2); out = b1(c2 + c3), without dropout."""
    from pancseg.segmentation.networks.monet import RDDC

    block, x = RDDC(3).eval(), torch.rand(1, 3, 24, 24)
    b4, b3, b2, b1 = block.blocks
    assert [b[0].dilation for b in (b4, b3, b2, b1)] == [(4, 4), (3, 3), (2, 2), (1, 1)]
    with torch.no_grad():
        c2 = b3(x + b4(x))
        torch.testing.assert_close(block(x), b1(c2 + b2(c2)))


@pytest.mark.parametrize("name", NETWORKS)
def test_the_stored_graph_is_that_of_the_network(name: str) -> None:
    """Written anew by ``python -m pancseg.segmentation.networks.trace``."""
    stored = files("pancseg.segmentation.networks") / "graphs" / f"{name}.json"
    assert stored.read_text(encoding="utf-8") == trace(name).to_json()
    assert graph_of(name) == NetworkGraph.from_json(trace(name).to_json())


def test_a_network_without_a_stored_graph_is_traced(monkeypatch: pytest.MonkeyPatch) -> None:
    class Doubled(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + x

    monkeypatch.setitem(NETWORKS, "doubled", Doubled)
    first, second = graph_of("doubled").steps
    assert second.inputs == (first.name, first.name)


class Softened(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.softmax(x, dim=1)


class Scaled(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 2


class Stacked(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([x, x], dim=2)


class Grouped(torch.nn.Sequential):
    def __init__(self) -> None:
        super().__init__(torch.nn.Conv2d(2, 2, 3, groups=2))


class Reflected(torch.nn.Sequential):
    def __init__(self) -> None:
        super().__init__(torch.nn.Conv2d(2, 2, 3, padding=1, padding_mode="reflect"))


class Padded(torch.nn.Sequential):
    def __init__(self) -> None:
        super().__init__(torch.nn.MaxPool2d(3, 2, padding=1))


class Method(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.relu()


class Branching(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x if x.mean() > 0 else -x


class Counting(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return sum(x for _ in range(x.shape[1]))  # type: ignore[return-value]


@pytest.mark.parametrize("network", [Branching, Counting])
def test_what_torch_cannot_trace_is_refused_in_one_line(
    network: type[torch.nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(NETWORKS, "new", network)
    with pytest.raises(
        ValueError, match=r"torch cannot trace network 'new' \(T\w+Error: "
    ) as caught:
        trace("new")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("network", [Softened, Scaled, Stacked, Grouped, Reflected, Padded, Method])
def test_what_a_graph_cannot_say_is_refused(
    network: type[torch.nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(NETWORKS, "new", network)
    with pytest.raises(ValueError, match=r"a graph can describe only|a graph cannot describe"):
        trace("new")
