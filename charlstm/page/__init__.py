"""The page that people play on: plain ES modules and a style sheet, and what makes one file or a site of them."""
