"""`make demo`: a mesh is upgraded before your eyes, on a real control plane."""
