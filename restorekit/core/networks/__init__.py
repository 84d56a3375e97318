"""The base restoration networks F, by name or from a file, and how each becomes a ``Restorer``."""

from restorekit.core.networks.base import NetworkConfig
from restorekit.core.networks.callables import load_callable
from restorekit.core.networks.catalogue import (
    NETWORKS,
    PUBLISHED,
    NetworkOption,
    NetworkRow,
    build_network,
    configure,
    describe_networks,
)
from restorekit.core.networks.convert import convert_checkpoint, read_description
from restorekit.core.networks.foreign import load_foreign
from restorekit.core.networks.measure import count_macs, count_parameters
from restorekit.core.networks.restorer import NetworkRestorer
from restorekit.core.networks.surveyed import network_restorer

__all__ = [
    "NETWORKS",
    "PUBLISHED",
    "NetworkConfig",
    "NetworkOption",
    "NetworkRestorer",
    "NetworkRow",
    "build_network",
    "configure",
    "convert_checkpoint",
    "count_macs",
    "count_parameters",
    "describe_networks",
    "load_callable",
    "load_foreign",
    "network_restorer",
    "read_description",
]
