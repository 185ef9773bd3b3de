"""``python -m personaagent``: the command line."""

from personaagent.app.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
