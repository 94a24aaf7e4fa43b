"""Gate counts of datapaths, and the accuracy of networks on them."""
