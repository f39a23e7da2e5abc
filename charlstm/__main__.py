"""``python -m charlstm`` is ``charlstm``."""

import sys


def main() -> None:
    """Start the command line; Ctrl-C while its modules are still being loaded ends it as quietly as later."""
    try:
        from charlstm.cli.app import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        import signal  # only here: it takes 8 ms to load, in which a Ctrl-C would end in a traceback

        signal.signal(signal.SIGINT, signal.SIG_IGN)  # all is said and done: nothing is left to interrupt


if __name__ == "__main__":
    main()
