"""A hook of MkDocs: shows mkdocstrings the package, whose folder is the repository's root and may have any name."""

import tempfile
from pathlib import Path
from typing import Any

from mkdocs.plugins import event_priority

_links = tempfile.TemporaryDirectory(prefix="stembridge-docs-")  # removed when MkDocs ends


@event_priority(100)  # before mkdocstrings reads its settings
def on_config(config: Any) -> None:
    """Link the rooms into a folder called stembridge, and let mkdocstrings look there."""
    root, package = Path(config.config_file_path).parent, Path(_links.name, "stembridge")
    package.mkdir(exist_ok=True)
    for path in [root / "__init__.py", *(init.parent for init in root.glob("*/__init__.py"))]:
        link = package / path.name
        if not link.exists():
            link.symlink_to(path)
    config.plugins["mkdocstrings"].config.handlers["python"]["paths"] = [_links.name]
