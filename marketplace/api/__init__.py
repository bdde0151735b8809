"""Serve everything over HTTP that is not an inference request."""
