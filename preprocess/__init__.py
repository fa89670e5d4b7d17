"""Offline half: raw text to indexed datasets on disk."""
