"""Reports: a self-contained HTML file, from a study or from a folder of figures."""
