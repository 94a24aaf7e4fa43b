"""An encoder block in hardware: tiles, integer units, memories, and a sequencer that runs a plan's steps on them."""
