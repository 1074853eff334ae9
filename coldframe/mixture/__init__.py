"""What is read next: stages, the packing of rows, the stream."""
