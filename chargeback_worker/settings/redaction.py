"""Hides the secrets in a text that is about to be shown or logged.

It hides too much rather than too little: a password may hold `@`, `/` or `:` unescaped.
"""

import re
from pathlib import Path

HIDDEN = "***"
# Bounded, so that no text takes a time that grows with its square.
_URL_PASSWORD = re.compile(r"(://[^\s:/@]{0,1024}:)\S{0,1024}@")
_WORD = r"password|passwd|secret|token|api[_-]?key|authorization|credentials?"
_NAMED = re.compile(
    rf"((?:{_WORD})['\"]?\s*[=:]\s*)(?:bearer\s+)?(?:'[^']*'|\"[^\"]*\"|[^\s,;&)}}\]]+)",
    re.IGNORECASE,
)
_SECRET_NAME = re.compile(rf"(?:.*[_-])?(?:{_WORD})", re.IGNORECASE)


def redacted(text: str) -> str:
    """`text` without the passwords of URLs and without what follows `password=` and its like."""
    if ":" not in text and "=" not in text:
        # Most of what is logged; to look for the words takes ten times as long.
        return text
    if "://" in text:
        text = _URL_PASSWORD.sub(rf"\1{HIDDEN}@", text)
    return _NAMED.sub(rf"\1{HIDDEN}", text)


def names_a_secret(name: str) -> bool:
    """Whether what is called so should not be shown at all."""
    return _SECRET_NAME.fullmatch(name) is not None


def shown_path(text: str) -> str:
    """What should be the path of a file with a secret, and may be the secret itself: shown only
    where it leads into a folder that there is."""
    path = Path(text)
    try:
        # A secret may begin with a slash.
        leads_somewhere = path.is_absolute() and len(path.parts) > 2 and path.parent.is_dir()
        return text if leads_somewhere else HIDDEN
    except (OSError, ValueError):
        return HIDDEN
