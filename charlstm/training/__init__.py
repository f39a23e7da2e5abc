"""Training: `loop` runs the steps, `budget` ends them, `snapshot` makes a resume exact, `plan` chooses settings."""
