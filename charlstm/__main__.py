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
        import signal  # here, for it takes as long to load as Python itself, and Ctrl-C could come meanwhile

        signal.signal(signal.SIGINT, signal.SIG_IGN)  # all is said and done: nothing is left to interrupt


if __name__ == "__main__":
    main()
