"""What a corpus holds, how good it is, and what could be added to it: looked at on a sample, and never changed."""
