from tests.otlp.fixtures import otlp

__all__ = ["otlp"]
