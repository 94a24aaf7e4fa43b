"""The pictures of docs/: what follows from the specification alone, without any model."""
