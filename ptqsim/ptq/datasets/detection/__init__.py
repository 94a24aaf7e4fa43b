"""Images with annotated objects: bundled detection scenes and folders in COCO's layout.

Mean average precision is computed here too, as its definition is COCO's.
"""
