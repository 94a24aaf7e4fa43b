"""Object detection: DETR (Carion et al., ECCV 2020) as transformers has it; its data, loss and metric."""
