"""What a controls engineer asks on the bench: which tags, what stands in them, and how fast they answer."""
