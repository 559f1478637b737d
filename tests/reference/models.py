"""One table of held models: tiny, float64, each with a difficulty that tools of this kind have stumbled over."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

from normlab.nn import normalizer

ROWS = 6


@dataclass(frozen=True)
class Held:
    """A model with its batch and loss; `layers` are its weight layers in forward order, each with its own parameters;
    `order` are all trainable parameters in the order of their first use."""

    name: str
    build: Callable[[], nn.Module]
    batch: Callable[[], Any]
    loss_fn: Callable[[nn.Module, Any], Tensor]
    layers: dict[str, tuple[str, ...]]
    order: tuple[str, ...]

    def make(self) -> tuple[nn.Module, Callable[[nn.Module, Any], Tensor], Any]:
        """A fresh model, the loss and the batch; the same at every call."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(7)
            return self.build().double(), self.loss_fn, self.batch()

    def __str__(self) -> str:
        return self.name


def classification(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    return F.cross_entropy(model(batch[0]), batch[1])


def vectors() -> tuple[Tensor, Tensor]:
    return torch.randn(ROWS, 4, dtype=torch.float64), torch.arange(ROWS) % 3


def images() -> tuple[Tensor, Tensor]:
    return torch.randn(ROWS, 2, 4, 4, dtype=torch.float64), torch.arange(ROWS) % 3


def tokens() -> dict[str, Tensor]:
    return {"tokens": torch.randint(0, 5, (3, 4)), "labels": torch.tensor([0, 1, 0])}


def mlp(*between: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 5), *between, nn.Tanh(), nn.Linear(5, 3))


class Tied(nn.Module):
    """Encoder and decoder share one matrix; the decoder is registered first."""

    def __init__(self) -> None:
        super().__init__()
        self.decoder = nn.Linear(5, 4)
        self.middle = nn.Linear(5, 5)
        self.encoder = nn.Linear(5, 4)
        self.encoder.weight = self.decoder.weight

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.tanh(x @ self.encoder.weight)
        return self.decoder(torch.tanh(self.middle(hidden)))


class Partly(nn.Module):
    """One layer frozen, one never used, one used only for its bias-free product."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Linear(3, 2)
        self.frozen = nn.Linear(4, 5)
        self.head = nn.Linear(5, 3)
        self.frozen.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.tanh(self.frozen(x)))


class TinyTransformer(nn.Module):
    """Embedding, learned positions (a parameter of the model itself), one encoder layer, mean pooling, head."""

    def __init__(self) -> None:
        super().__init__()
        self.position = nn.Parameter(0.1 * torch.randn(1, 4, 4))
        self.embedding = nn.Embedding(5, 4)
        self.encoder = nn.TransformerEncoderLayer(4, 2, dim_feedforward=6, dropout=0.1, batch_first=True)
        self.head = nn.Linear(4, 2)

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        return self.head(self.encoder(self.embedding(batch["tokens"]) + self.position).mean(1))


def dict_loss(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    return F.cross_entropy(model(batch), batch["labels"])


_AFFINE = ("1.weight", "1.bias")
_MLP_LAYERS = {"0": ("0.weight", "0.bias"), "2": ("2.weight", "2.bias")}
_NORMED_LAYERS = {"0": ("0.weight", "0.bias"), "3": ("3.weight", "3.bias")}
_NORMED_ORDER = ("0.weight", "0.bias", *_AFFINE, "3.weight", "3.bias")
_CNN_LAYERS = {"0": ("0.weight", "0.bias"), "4": ("4.weight", "4.bias")}
_CNN_ORDER = ("0.weight", "0.bias", *_AFFINE, "4.weight", "4.bias")
_ENCODER = {
    "self_attn": ("self_attn.in_proj_weight", "self_attn.in_proj_bias"),
    "self_attn.out_proj": ("self_attn.out_proj.weight", "self_attn.out_proj.bias"),
    "linear1": ("linear1.weight", "linear1.bias"),
    "linear2": ("linear2.weight", "linear2.bias"),
}


def _cnn(kind: str) -> nn.Module:
    return nn.Sequential(nn.Conv2d(2, 3, 3), normalizer(kind, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(12, 3))


def _normed(kind: str) -> nn.Module:
    return mlp(normalizer(kind, 5, dims=0))


def _table() -> list[Held]:
    transformer_order = (
        "embedding.weight",
        "position",
        *(f"encoder.{name}" for layer in ("self_attn", "self_attn.out_proj") for name in _ENCODER[layer]),
        *(f"encoder.{name}" for name in ("norm1.weight", "norm1.bias", *_ENCODER["linear1"], *_ENCODER["linear2"])),
        *("encoder.norm2.weight", "encoder.norm2.bias", "head.weight", "head.bias"),
    )
    transformer_layers = {
        "embedding": ("embedding.weight",),
        "": ("position",),
        **{f"encoder.{layer}": tuple(f"encoder.{name}" for name in own) for layer, own in _ENCODER.items()},
        "head": ("head.weight", "head.bias"),
    }
    flat, conv = tuple(p for own in _MLP_LAYERS.values() for p in own), _CNN_ORDER
    weight_normed = ("0.bias", "0.parametrizations.weight.original0", "0.parametrizations.weight.original1")
    return [
        Held("mlp", mlp, vectors, classification, _MLP_LAYERS, flat),
        *(
            Held(f"{kind}_mlp", lambda kind=kind: _normed(kind), vectors, classification, _NORMED_LAYERS, _NORMED_ORDER)
            for kind in ("batch", "noisy_batch", "l1", "l2", "linf")
        ),
        *(
            Held(f"{kind}_cnn", lambda kind=kind: _cnn(kind), images, classification, _CNN_LAYERS, conv)
            for kind in ("batch", "noisy_batch", "layer", "group")
        ),
        Held(
            "dropout", lambda: mlp(nn.Dropout(0.4)), vectors, classification, {"0": flat[:2], "3": _NORMED_ORDER[4:]},
            (*flat[:2], *_NORMED_ORDER[4:]),
        ),
        Held(
            "tied", Tied, lambda: (torch.randn(ROWS, 4, dtype=torch.float64), torch.arange(ROWS) % 4), classification,
            {"middle": ("middle.weight", "middle.bias"), "decoder": ("decoder.weight", "decoder.bias")},
            ("decoder.weight", "middle.weight", "middle.bias", "decoder.bias"),
        ),
        Held("unused_and_frozen", Partly, vectors, classification, {"head": ("head.weight", "head.bias")},
             ("head.weight", "head.bias")),
        Held("transformer", TinyTransformer, tokens, dict_loss, transformer_layers, transformer_order),
        Held(
            "weight_norm", lambda: nn.Sequential(weight_norm(nn.Linear(4, 5)), nn.Tanh(), nn.Linear(5, 3)), vectors,
            classification, {"0": weight_normed, "2": ("2.weight", "2.bias")},
            (*weight_normed, "2.weight", "2.bias"),
        ),
    ]  # fmt: skip


HELD = _table()
BY_NAME = {held.name: held for held in HELD}


def quadratic(eigenvalues: Tensor) -> tuple[nn.Module, Any, Tensor]:
    """½ wᵀHw with these eigenvalues in a random basis."""
    draws = torch.Generator().manual_seed(0)
    n = len(eigenvalues)
    q, _ = torch.linalg.qr(torch.randn(n, n, generator=draws, dtype=torch.float64))
    model = nn.ParameterList([nn.Parameter(torch.randn(n, generator=draws, dtype=torch.float64))])
    return model, lambda m, h: 0.5 * m[0] @ h @ m[0], q @ torch.diag(eigenvalues) @ q.T
