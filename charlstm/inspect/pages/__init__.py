"""Views of a network and of its training: from what was measured to a page of blocks."""
