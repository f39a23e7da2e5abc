"""Views: from what was measured to a page of blocks."""
