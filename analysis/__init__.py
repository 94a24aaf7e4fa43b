"""One module per figure or table of a paper, and what draws, writes and caches them (needs the extra ``analysis``)."""
