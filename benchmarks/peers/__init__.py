"""Other methods that a user would pick for the same paths, each in one small file, written from its paper."""
