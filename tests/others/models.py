"""Other people's models, small and at random weights: how each is built, its batch and its loss."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import peft
import timm
import torch
import torchvision.models as tv
import transformers as hf
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

Loss = Callable[[nn.Module, Any], Tensor]


@dataclass(frozen=True)
class Other:
    """A model, its batch and its loss.

    `single`: parts are computed in float32 whatever the model's type. `kinks`: a difference of gradients crosses some
    (ReLU behind the statistics of few samples), so the second derivative is that of the deep copy's graph. Not `twice`:
    the copy has none.
    """

    build: Callable[[], nn.Module]
    batch: Callable[[], Any]
    loss_fn: Loss
    single: bool = False
    kinks: bool = False
    twice: bool = True


def image_loss(model: nn.Module, batch: Any) -> Tensor:
    return cross_entropy(model(batch[0]), batch[1])


def own_loss(model: nn.Module, batch: Any) -> Tensor:
    return model(**batch).loss


def images(size: int, count: int = 4) -> Callable[[], Any]:
    return lambda: (torch.randn(count, 3, size, size, dtype=torch.float64), torch.arange(count) % 3)


def text(**more: Any) -> Callable[[], Any]:
    def make() -> dict[str, Tensor]:
        ids = torch.randint(3, 20, (2, 6))
        return {"input_ids": ids, "labels": ids.clone(), **more}

    return make


def sentences() -> dict[str, Tensor]:
    return {"input_ids": torch.randint(3, 20, (3, 6)), "labels": torch.arange(3)}


def sequences() -> tuple[Tensor, Tensor]:
    return torch.randn(3, 5, 4, dtype=torch.float64), torch.arange(3)


class Recurrent(nn.Module):
    """The last state of a recurrent layer, classified."""

    def __init__(self, kind: type[nn.RNNBase]) -> None:
        super().__init__()
        self.layer, self.head = kind(4, 6, num_layers=2, dropout=0.2, batch_first=True), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layer(x)[0][:, -1])


class Autoencoder(nn.Module):
    """torch.nn.Transformer as it comes, with a mask."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Transformer(4, 2, 1, 1, 8, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1], dtype=x.dtype)
        return self.body(x, x, tgt_mask=mask)


def vision(build: Callable[[], nn.Module], size: int = 32, kinks: bool = False) -> Other:
    return Other(build, images(size), image_loss, kinks=kinks)


def of_timm(name: str, size: int = 32, kinks: bool = False, **options: Any) -> Other:
    return vision(lambda: timm.create_model(name, pretrained=False, num_classes=3, **options), size, kinks)


def gpt2() -> nn.Module:
    return hf.GPT2LMHeadModel(hf.GPT2Config(vocab_size=20, n_positions=8, n_embd=8, n_layer=2, n_head=2))


def lora() -> nn.Module:
    config = peft.LoraConfig(r=2, target_modules=["c_attn"], lora_dropout=0.1, init_lora_weights=False)
    return peft.get_peft_model(gpt2(), config)


def checkpointed_lora() -> nn.Module:
    """Fine-tuning as it is often done: what a reentrant checkpoint is given comes from a frozen embedding."""
    model = lora()
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": True})
    model.enable_input_require_grads()
    return model


SIZES = {"vocab_size": 20, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
T5 = {"vocab_size": 20, "d_model": 8, "d_kv": 4, "d_ff": 16, "num_layers": 2, "num_heads": 2}
START = {"decoder_start_token_id": 0}
CONVNEXT = [tv.convnext.CNBlockConfig(8, 16, 2), tv.convnext.CNBlockConfig(16, None, 1)]
SPEECH = {"conv_dim": (8, 8), "conv_stride": (4, 2), "conv_kernel": (8, 4), "num_conv_pos_embeddings": 4}
MASKED = {"num_conv_pos_embedding_groups": 2, "mask_time_prob": 0.3, "mask_time_length": 2}
EXPERTS = {"num_key_value_heads": 1, "num_local_experts": 3, "experts_implementation": "eager"}
REFORMER = {
    "vocab_size": 20,
    "hidden_size": 8,
    "num_attention_heads": 2,
    "attention_head_size": 4,
    "num_labels": 3,
    "feed_forward_size": 16,
    "attn_layers": ["local", "lsh"],
    "axial_pos_embds": False,
    "num_buckets": 2,
    "max_position_embeddings": 16,
    "local_attn_chunk_length": 4,
    "lsh_attn_chunk_length": 4,
    # it draws the seeds of its dropout and its buckets from the operating system: nothing could be repeated
    "hash_seed": 1,
    "hidden_dropout_prob": 0.0,
    "local_attention_probs_dropout_prob": 0.0,
}
GATED = {"mlp_ratio": 6, "block_layer": timm.models.mlp_mixer.SpatialGatingBlock, "mlp_layer": timm.layers.GatedMlp}
LEVIT = {"img_size": 64, "embed_dim": (16, 24), "depth": (1, 1), "num_heads": (1, 2), "key_dim": 8}

MODELS: dict[str, Other] = {
    # torchvision
    "resnet18": vision(lambda: tv.resnet18(num_classes=3), kinks=True),
    "mobilenet_v3_small": vision(lambda: tv.mobilenet_v3_small(num_classes=3, width_mult=0.5)),
    "densenet": vision(lambda: tv.DenseNet(4, (2, 2), 8, num_classes=3)),
    "vit": vision(lambda: tv.VisionTransformer(16, 8, 2, 2, 16, 32, num_classes=3, dropout=0.1), 16),
    "swin": vision(lambda: tv.SwinTransformer([2, 2], 8, [1, 1], [1, 2], [2, 2], num_classes=3), 16),
    "squeezenet": vision(lambda: tv.squeezenet1_1(num_classes=3)),
    "shufflenet": vision(lambda: tv.shufflenet_v2_x0_5(num_classes=3), kinks=True),
    "mnasnet": vision(lambda: tv.mnasnet0_5(num_classes=3), kinks=True),
    "convnext": vision(lambda: tv.ConvNeXt(CONVNEXT, stochastic_depth_prob=0.2, num_classes=3)),
    # torch
    "lstm": Other(lambda: Recurrent(nn.LSTM), sequences, image_loss),
    "gru": Other(lambda: Recurrent(nn.GRU), sequences, image_loss),
    "transformer": Other(Autoencoder, lambda: sequences()[0], lambda model, x: mse_loss(model(x), x)),
    # transformers
    "gpt2": Other(gpt2, text(), own_loss, single=True),
    "t5": Other(lambda: hf.T5ForConditionalGeneration(hf.T5Config(**T5, **START)), text(), own_loss, single=True),
    "mamba": Other(
        lambda: hf.MambaForCausalLM(
            hf.MambaConfig(vocab_size=20, hidden_size=8, state_size=4, num_hidden_layers=2, use_mambapy=False)
        ),
        text(), own_loss, single=True,
    ),
    "bert": Other(lambda: hf.BertForSequenceClassification(hf.BertConfig(**SIZES, num_labels=3)), sentences, own_loss),
    "albert": Other(
        lambda: hf.AlbertForSequenceClassification(hf.AlbertConfig(**SIZES, embedding_size=8, num_labels=3)),
        sentences, own_loss,
    ),
    "deberta": Other(
        lambda: hf.DebertaV2ForSequenceClassification(
            hf.DebertaV2Config(**SIZES, relative_attention=True, pos_att_type=["p2c", "c2p"], num_labels=3)
        ),
        sentences, own_loss, single=True,
    ),
    "llama": Other(
        lambda: hf.LlamaForCausalLM(hf.LlamaConfig(**SIZES, num_key_value_heads=1)), text(), own_loss, single=True
    ),
    "mixtral": Other(
        lambda: hf.MixtralForCausalLM(hf.MixtralConfig(**SIZES, **EXPERTS)),
        text(), own_loss, single=True,
    ),
    "bart": Other(
        lambda: hf.BartForConditionalGeneration(
            hf.BartConfig(vocab_size=20, d_model=8, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
                          decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, max_position_embeddings=16)
        ),
        text(), own_loss,
    ),
    "distilbert": Other(
        lambda: hf.DistilBertForMaskedLM(
            hf.DistilBertConfig(vocab_size=20, dim=8, n_layers=2, n_heads=2, hidden_dim=16)
        ),
        text(), own_loss,
    ),
    "wav2vec2": Other(  # hides parts of its input, chosen by numpy's generator; its positions have weight normalization
        lambda: hf.Wav2Vec2ForSequenceClassification(
            hf.Wav2Vec2Config(**SIZES, **SPEECH, **MASKED, classifier_proj_size=8, num_labels=3)
        ),
        lambda: {"input_values": torch.randn(3, 160, dtype=torch.float64), "labels": torch.arange(3)}, own_loss,
    ),
    "switch": Other(  # a router that adds noise
        lambda: hf.SwitchTransformersForConditionalGeneration(
            hf.SwitchTransformersConfig(**T5, **START, num_experts=2, num_sparse_encoder_layers=1,
                                        num_sparse_decoder_layers=1, router_jitter_noise=0.1)
        ),
        text(), own_loss, single=True,
    ),
    "reformer": Other(  # reversible: its backward pass runs others inside
        lambda: hf.ReformerForSequenceClassification(hf.ReformerConfig(**REFORMER)),
        lambda: {"input_ids": torch.randint(3, 20, (3, 8)), "labels": torch.arange(3)},
        own_loss, single=True, twice=False,
    ),
    # peft
    "lora": Other(lora, text(), own_loss, single=True),
    "checkpointed_lora": Other(checkpointed_lora, text(), own_loss, single=True, twice=False),
    # timm
    "mixer": vision(lambda: timm.models.MlpMixer(3, 32, patch_size=8, num_blocks=2, embed_dim=16)),
    "resnetv2_weight_standardized": of_timm("resnetv2_50", layers=(1, 1), channels=(16, 32), stem_chs=8),
    "levit": of_timm("levit_128s", 64, True, **LEVIT),
    "cait": of_timm("cait_xxs24_224", img_size=32, patch_size=8, embed_dim=16, depth=2, num_heads=2),
    "regnety": of_timm("regnety_002", kinks=True),
    "mobilenetv4": of_timm("mobilenetv4_conv_small", 64, True),
    "gmlp": vision(lambda: timm.models.MlpMixer(3, 32, patch_size=8, num_blocks=2, embed_dim=16, **GATED)),
}  # fmt: skip
