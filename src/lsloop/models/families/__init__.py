"""Model families: each module here is one, and its file name is its registration."""
