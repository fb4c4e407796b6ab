"""Images in shared memory: the private folder, allocation, mappings, and who still needs which."""
