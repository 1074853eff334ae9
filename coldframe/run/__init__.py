"""The run folder: the only door between the trainer, the explorer, people and other tools."""
