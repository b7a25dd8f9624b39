"""The catalog: providers and models as data, and the resolution of a choice.

Nothing here imports pydantic until a catalog is read.
"""

from ante_nb.providers.catalog.load import Catalog, load_catalog
from ante_nb.providers.catalog.resolve import Overrides, resolve

__all__ = ["Catalog", "Overrides", "load_catalog", "resolve"]
