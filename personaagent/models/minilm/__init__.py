"""Data of the embedded embedder: the tokenizer of all-MiniLM-L6-v2. ``NOTICE`` says where it is from."""
