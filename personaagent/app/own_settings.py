"""The file of a person's own settings: read, changed, checked. Its form is that of ``.env``."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from dotenv import dotenv_values, set_key, unset_key
from pydantic import AliasChoices, SecretStr, ValidationError

from personaagent.errors import HomeNotWritable, InputError
from personaagent.settings import OWN_SETTINGS, Settings

USER = "PERSONAAGENT_USER"


def variable(key: str) -> str:
    """The environment variable of a setting that is named by its field, or by the variable; raises InputError."""
    wanted = key.strip()
    for name, field in Settings.model_fields.items():
        alias = field.validation_alias
        names = alias.choices if isinstance(alias, AliasChoices) else [alias or f"PERSONAAGENT_{name.upper()}"]
        if wanted.lower() == name or wanted.upper() in names:
            return str(names[0])
    if wanted.upper() in {"USER", USER}:
        return USER
    raise InputError(f"there is no setting {wanted!r}: docs/settings.md lists them; `user` is whose agent it is")


def read() -> dict[str, str]:
    """What is kept, by variable; empty where nothing is."""
    return {name: value for name, value in dotenv_values(OWN_SETTINGS).items() if value is not None}


def write(name: str, value: str | None) -> None:
    """Keep a setting, or drop it (None). Raises InputError where it cannot be read so, HomeNotWritable."""
    if value is not None:
        _check(name, value)
    try:
        OWN_SETTINGS.parent.mkdir(parents=True, exist_ok=True)
        OWN_SETTINGS.touch(mode=0o600)
        if value is None:
            unset_key(OWN_SETTINGS, name)
        else:
            set_key(OWN_SETTINGS, name, value)
        OWN_SETTINGS.chmod(0o600)  # a key may be in it
    except OSError as error:
        raise HomeNotWritable(f"{OWN_SETTINGS} cannot be written ({error.strerror or error})") from error


def shown(name: str, value: str) -> str:
    """The value, or of a secret its last four characters."""
    secret = any(
        name in str(field.validation_alias) or name == f"PERSONAAGENT_{key.upper()}"
        for key, field in Settings.model_fields.items()
        if SecretStr in (field.annotation, *getattr(field.annotation, "__args__", ()))
    )
    return f"…{value[-4:]}" if secret else value


def own_user() -> str | None:
    """The default user: of the folder's ``.env``, else of the person's own settings."""
    for file in (Path(".env"), OWN_SETTINGS):
        if file.is_file() and (user := dotenv_values(file).get(USER)):
            return user
    return None


def _check(name: str, value: str) -> None:
    """See that the settings can be read with it."""
    if name == USER:
        from personaagent.inputs import check_user_id

        check_user_id(value)
        return
    descriptor, draft = tempfile.mkstemp(suffix=".env")
    try:
        os.close(descriptor)
        set_key(draft, name, value)
        here: dict[str, Any] = {"_env_file": draft}
        Settings(**here)
    except ValidationError as error:
        raise InputError(f"{name} cannot be {value!r}: {error.errors()[0]['msg']}") from error
    finally:
        Path(draft).unlink()
