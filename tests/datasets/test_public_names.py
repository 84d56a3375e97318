"""The public names of restorekit.datasets are what they say, also once its modules have been imported."""

import importlib
import pkgutil

import restorekit.datasets


def test_no_module_hides_a_public_name() -> None:
    modules = [module.name for module in pkgutil.iter_modules(restorekit.datasets.__path__)]
    for name in modules:
        importlib.import_module(f"restorekit.datasets.{name}")
    assert all(callable(getattr(restorekit.datasets, name)) for name in restorekit.datasets.__all__)
    assert not set(modules) & set(restorekit.datasets.__all__)
