"""Files that are indexed, by their kind: pictures, and videos of which there are many moments."""
