"""Studies: many points, each one network on one datapath, computed once, side by side or on a cluster."""
