"""Training: `loop` the steps, `budget` when they end, `snapshot` what an exact resume needs, `plan` the settings."""
