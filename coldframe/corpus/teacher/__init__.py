"""Scenes and rewrites from a teacher model behind an OpenAI-compatible endpoint."""
