"""Normalizers and networks of the paper, with the normalizer as an argument."""

from normlab.nn.deep_linear import DeepLinear, deep_linear
from normlab.nn.lp import LpNorm
from normlab.nn.noise import Noise, NoisyBatchNorm1d, NoisyBatchNorm2d
from normlab.nn.normalizers import KINDS, normalizer
from normlab.nn.resnet import ResNet, resnet
from normlab.nn.vgg import VGG, vgg

__all__ = [
    "KINDS",
    "VGG",
    "DeepLinear",
    "LpNorm",
    "Noise",
    "NoisyBatchNorm1d",
    "NoisyBatchNorm2d",
    "ResNet",
    "deep_linear",
    "normalizer",
    "resnet",
    "vgg",
]
