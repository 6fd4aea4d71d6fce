"""pyarrow, or a sentence that says how to get it."""

from __future__ import annotations

from costtrace.errors import MissingExtra

try:
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow import parquet
except ImportError as error:
    raise MissingExtra(package="pyarrow", feature="Data frames", extra="frames") from error

__all__ = ["pa", "parquet", "pc"]
