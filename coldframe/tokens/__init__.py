"""Text becomes tokens: tokenizer, chat template, shards."""
