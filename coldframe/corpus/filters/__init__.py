"""What is good text: measures of a batch of documents, rules over them, and a verdict with its reason."""
