"""The pictures of docs/ that follow from the specification alone, without a model."""
