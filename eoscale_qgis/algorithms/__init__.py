"""The provider's algorithms: declarations as Processing algorithms, and a few of their own."""
