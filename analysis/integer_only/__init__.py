"""Integer-only networks: what every unit costs, one at a time and together, and how precise each has to be."""
