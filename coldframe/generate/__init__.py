"""How it speaks: engine, sampling, streaming."""
