"""The command line for every test of this folder that asks for it."""

from cli_house import cli, scripted_models  # noqa: F401  (fixtures)
