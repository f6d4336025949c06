"""
What `typing` has since Python 3.12 and 3.13, and typing_extensions before.

Imported from here, so that where `typing` has it all the other is not loaded: a tenth of the import's time and of
the memory that a fork copies.
"""

import sys

if sys.version_info >= (3, 13):
    from collections.abc import Buffer
    from typing import TypeVar, override
else:
    from typing_extensions import Buffer, TypeVar, override

__all__ = ("Buffer", "TypeVar", "override")
