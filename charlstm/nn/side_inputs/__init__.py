"""What is added to a token's embedding: each side input in a file of its own."""
