"""The search for the settings that learn a text best: trials, each a process of its own, chosen by optuna."""
