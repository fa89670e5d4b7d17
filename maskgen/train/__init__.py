"""Training: models, objectives, the loop, checkpoints, prediction. Needs PyTorch."""
