"""Units of blocks: the sum of a block's products, its shift by both scales, and the registers that it goes into."""
