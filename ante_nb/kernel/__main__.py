"""``python -m ante_nb.kernel -f FILE`` is what a kernelspec runs."""

from ante_nb.kernel.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
