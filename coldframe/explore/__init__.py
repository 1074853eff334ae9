"""The explorer: web pages, their JSON twins, the chat."""
