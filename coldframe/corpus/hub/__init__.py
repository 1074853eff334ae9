"""Datasets of the Hugging Face hub, by name or as a folder: chosen by their card, and read piece by piece."""
