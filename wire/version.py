"""The version, in a place that every layer may read without importing anything."""

VERSION = "0.1.0"
