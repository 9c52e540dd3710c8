"""lsloop closes the loop between a dataset, its annotators and its models."""

__version__ = "0.1.0"
