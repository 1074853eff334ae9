"""coldframe: train a small chat model on your own hardware, under glass."""

__version__ = "0.1.0"
