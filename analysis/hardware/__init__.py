"""What each choice of a datapath costs in gates, and what accuracy it buys."""
