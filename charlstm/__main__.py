"""``python -m charlstm`` is ``charlstm``."""

from charlstm.cli.app import main

main()
