"""The server: the page's interface and OpenAI's, for networks of one's own."""
