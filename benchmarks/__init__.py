"""One program per question. Each prints a table, and the record of its figures as one line of JSON last."""
