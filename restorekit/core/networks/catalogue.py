"""The networks by name: built from plain options, described for lists, and the configurations their papers measured."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from restorekit.core.networks.base import NetworkConfig
from restorekit.core.networks.dense_unet import DenseUNetConfig
from restorekit.core.networks.maxim import MaximConfig
from restorekit.core.networks.nafnet import NAFNetConfig
from restorekit.core.networks.restormer import RestormerConfig
from restorekit.core.networks.routed_unets import RoutedUNetsConfig
from restorekit.core.networks.sci import SCIConfig
from restorekit.core.networks.snr_aware import SNRAwareConfig
from restorekit.core.networks.zero_dce import ZeroDCEConfig
from restorekit.core.options import check_options
from restorekit.errors import ModelError, did_you_mean

__all__ = ["NETWORKS", "PUBLISHED", "NetworkOption", "NetworkRow", "build_network", "configure", "describe_networks"]

NETWORKS: dict[str, type[NetworkConfig]] = {
    "nafnet": NAFNetConfig,
    "restormer": RestormerConfig,
    "dense_unet": DenseUNetConfig,
    "routed_unets": RoutedUNetsConfig,
    "maxim": MaximConfig,
    "snr_aware": SNRAwareConfig,
    "zero_dce": ZeroDCEConfig,
    "sci": SCIConfig,
}
"""Name of the network -> its configuration, whose ``build()`` makes it."""

_GOPRO = {"encoder_blocks": (1, 1, 1, 28), "middle_blocks": 1, "decoder_blocks": (1, 1, 1, 1)}

PUBLISHED: dict[str, tuple[str, dict[str, object]]] = {
    "nafnet-sidd-32": ("nafnet", {"width": 32}),
    "nafnet-sidd-64": ("nafnet", {"width": 64}),
    "nafnet-gopro-32": ("nafnet", {"width": 32, **_GOPRO}),
    "nafnet-gopro-64": ("nafnet", {"width": 64, **_GOPRO}),
    "restormer": ("restormer", {}),
    "restormer-gaussian-colour": ("restormer", {"norm": "bias_free"}),
    "restormer-gaussian-gray": ("restormer", {"norm": "bias_free", "in_channels": 1, "out_channels": 1}),
    "restormer-defocus-dual-pixel": ("restormer", {"in_channels": 6, "dual_pixel": True}),
    "maxim-1s": ("maxim", {}),
    "snr-aware": ("snr_aware", {}),
    "zero-dce": ("zero_dce", {}),
    "sci": ("sci", {"stages": 1}),
}
"""Name of a configuration that a paper reports results for -> (network, options)."""


def build_network(name: str, options: Mapping[str, object] | None = None) -> nn.Module:
    """A network with fresh weights.

    Args:
        name: a key of ``NETWORKS``, for example "nafnet".
        options: fields of its configuration; numbers may be text, as they come from a command line.

    Raises:
        ModelError: no network of that name, or options that are unknown or out of range (all are named).
    """
    return configure(name, options).build()


def configure(name: str, options: Mapping[str, object] | None = None) -> NetworkConfig:
    """The checked configuration of a network; arguments and errors as in ``build_network``."""
    if name not in NETWORKS:
        raise ModelError(f"network: expected one of {', '.join(NETWORKS)}, got {name!r}" + did_you_mean(name, NETWORKS))
    config = check_options(NETWORKS[name], options or {}, prefix=f"network {name}: option ")
    if isinstance(config, list):
        raise ModelError("\n".join(config))
    return config


@dataclass(frozen=True)
class NetworkOption:
    """One option of a network, for help texts."""

    name: str
    default: object
    description: str


@dataclass(frozen=True)
class NetworkRow:
    """One network, for lists."""

    name: str
    summary: str
    options: tuple[NetworkOption, ...]


def describe_networks() -> list[NetworkRow]:
    """Every network with its options, in the order of ``NETWORKS``."""
    return [
        NetworkRow(
            name,
            config.summary,
            tuple(
                NetworkOption(key, field.get_default(), field.description or "")
                for key, field in config.model_fields.items()
            ),
        )
        for name, config in NETWORKS.items()
    ]
