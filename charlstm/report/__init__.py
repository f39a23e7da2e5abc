"""Results as plain data, and how they are shown: sentences, a picture, an HTML page."""
