"""What a design costs in gates."""
