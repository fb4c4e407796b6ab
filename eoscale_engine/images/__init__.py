"""Where pixels come from and where they go: sources, targets, and what is read of them."""
