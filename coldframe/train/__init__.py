"""The loop, its state, its checkpoints, and what may interrupt it."""
