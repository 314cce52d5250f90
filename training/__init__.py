"""Train and evaluate networks. No other room uses PyTorch."""
