"""Number formats beside each other: accuracy against stored bits and against the width of the register."""
