"""Reports: one HTML file that holds everything, from a study or from a folder of figures."""
