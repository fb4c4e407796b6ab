"""Features of grey level co-occurrence."""
