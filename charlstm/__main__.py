"""``python -m charlstm`` is ``charlstm``."""

import sys


def main() -> None:
    """Run the command line; Ctrl-C while its modules are still loading ends it as quietly as later."""
    try:
        from charlstm.cli.app import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        import signal  # only here: it takes 8 ms to load, during which Ctrl-C would end in a traceback

        signal.signal(signal.SIGINT, signal.SIG_IGN)  # nothing is left to interrupt


if __name__ == "__main__":
    main()
