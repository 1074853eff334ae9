"""Text comes in: sources and the readers that turn them into documents."""
