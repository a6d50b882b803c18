"""Depth video of one animal seen from above: from a camera's frames to aligned crops and scalars."""
