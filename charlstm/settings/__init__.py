"""Settings that choose themselves: `probe` measures the machine, `choose` decides, `presets` are fixed points."""
