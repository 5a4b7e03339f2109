"""Real photographs that installed packages carry, for tests, benchmarks and the demo."""
