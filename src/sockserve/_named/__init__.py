"""Parts and values by what people write: ``thread``, ``workers=4``, ``module:attribute``."""
