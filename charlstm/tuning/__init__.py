"""The search for the settings that learn a text best: optuna proposes them, and a process each tries them."""
