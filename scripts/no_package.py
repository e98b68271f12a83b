# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""What `pip install .` calls to build a package (pyproject.toml): there is none, and it says so."""

raise SystemExit(
    "error: CenterNet for MindSpore is no package; run its programs from their folder, after "
    "pip install -r requirements.txt there."
)
