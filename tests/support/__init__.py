"""What several test files share: builders, recorded data, fakes."""
