"""Looking into a trained network: plain data out, nothing drawn or printed."""
